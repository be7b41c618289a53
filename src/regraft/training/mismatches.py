"""Lists of names for messages."""

from __future__ import annotations

from collections.abc import Sequence

SHOWN = 3


def listed(names: Sequence[str]) -> str:
    """Return the first names and the number of the other names: ``"a, b, c and 4 more"``."""
    shown = ", ".join(name or "the module" for name in names[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"
