"""JSON for other programs, which is valid UTF-8 whatever the names in it are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from regraft.disk.atomic import write_text


def json_text(value: Any, indent: int | None = None) -> str:
    """Return ``value`` as JSON. Names of folders may not be valid UTF-8: then all letters beyond ASCII are escaped.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, indent=indent, allow_nan=False)
    return text


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` to ``path`` as readable JSON, completely or not at all; as for `json_text`."""
    write_text(path, json_text(value, indent=2) + "\n")
