"""Figures, columns and commands as a person reads them."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from regraft.screen import printable


def percent(value: float | None) -> str:
    """Return a share in [0, 1] as ``"90.7 %"``."""
    return "–" if value is None else f"{100 * value:.1f} %"


def interval(figure: dict[str, Any]) -> str:
    """Return the 95 % interval of a figure of ``metrics.json`` as ``"84.4 – 94.6"``, or an empty string without one."""
    bounds = figure.get("interval")
    if not bounds or None in bounds:
        return ""
    return f"{100 * bounds[0]:.1f} – {100 * bounds[1]:.1f}"


def counted(n: int, one: str, several: str | None = None) -> str:
    """Return ``"1 photo"`` or ``"1,284 photos"``."""
    return f"{n:,} {one if n == 1 else several or one + 's'}"


def megabytes(path: Path) -> str:
    """Return the size of a file as ``"17 MB"``."""
    size = path.stat().st_size / 1e6
    return f"{size:.0f} MB" if size >= 10 else f"{size:.1f} MB"


def command(*words: str | Path) -> str:
    """Return a command line as it can be pasted into the shell of this system."""
    texts = [str(word) for word in words]
    return subprocess.list2cmdline(texts) if os.name == "nt" else " ".join(shlex.quote(text) for text in texts)


def columns(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Return ``rows`` as lines with aligned columns; wide characters count as wide.

    Args:
        rows: cells, the same number in each row.
        right: the columns that are aligned at their right.
    """
    from rich.cells import cell_len

    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max(cell_len(row[k]) for row in shown) for k in range(len(shown[0]))] if shown else []
    lines = []
    for row in shown:
        gaps = [" " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)]
        cells = [gap + cell if k in right else cell + gap for k, (cell, gap) in enumerate(zip(row, gaps, strict=True))]
        lines.append("  ".join(cells).rstrip())
    return lines
