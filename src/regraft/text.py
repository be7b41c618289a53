"""Text for the user: figures, counts, sizes, durations, aligned columns, and commands to paste."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from regraft.screen.line_breaks import cells, printable


def percent(value: float | None) -> str:
    """Return a share in [0, 1] as ``"90.7 %"``, or a dash for None."""
    return "–" if value is None else f"{100 * value:.1f} %"


def interval(figure: dict[str, Any]) -> str:
    """Return the 95 % interval of a figure of ``metrics.json`` as ``"84.4 – 94.6"``, or "" if it has none."""
    bounds = figure.get("interval")
    if not bounds or None in bounds:
        return ""
    return f"{100 * bounds[0]:.1f} – {100 * bounds[1]:.1f}"


def counted(n: int, one: str, several: str | None = None) -> str:
    """Return a count with its noun: ``"1 photo"`` or ``"1,284 photos"``; ``several`` is an irregular plural."""
    return f"{n:,} {one if n == 1 else several or one + 's'}"


def shorten(names: Sequence[str], shown: int = 3) -> str:
    """Return the first ``shown`` names and the number of the others: ``"a, b, c and 4 more"``.

    The empty name is that of a module itself in ``named_modules()``.
    """
    first = ", ".join(name or "the module" for name in names[:shown])
    return first if len(names) <= shown else f"{first} and {len(names) - shown} more"


def file_size(size: int) -> str:
    """Return a number of bytes as ``"1.2 GB"``, ``"14 MB"``, ``"3.4 kB"`` or ``"12 B"``."""
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            value = size / unit
            return f"{value:.0f} {name}" if value >= 10 else f"{value:.1f} {name}"
    return f"{size} B"


def duration(seconds: float) -> str:
    """Return a duration in words: ``"40 s"``, ``"12 min"``, ``"3 h"``, ``"2 days"``."""
    for size, unit, most in ((1, "s", 90), (60, "min", 90), (3600, "h", 36)):
        if seconds / size < most:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} days"


def command(*words: str | Path) -> str:
    """Return ``words`` as a command line, quoted for the shell of this system."""
    texts = [str(word) for word in words]
    return subprocess.list2cmdline(texts) if os.name == "nt" else " ".join(shlex.quote(text) for text in texts)


def relative_if_below(path: str | Path) -> str:
    """Return a path as it can be written from the current folder: relative if it is absolute and below that folder."""
    try:
        return str(Path(path).relative_to(Path.cwd())) if Path(path).is_absolute() else str(path)
    except (OSError, ValueError):  # elsewhere, or the current folder is gone
        return str(path)


def cell_width(texts: Iterable[str]) -> int:
    """Return the number of terminal columns of the widest text; wide characters take two."""
    return max((cells(printable(text)) for text in texts), default=0)


def padded(text: str, width: int, *, right: bool = False) -> str:
    """Return ``text`` with control characters made visible, filled up to ``width`` terminal columns.

    Args:
        text: any text; one that is wider than ``width`` stays as it is.
        width: terminal columns.
        right: whether to align at the right.
    """
    text = printable(text)
    gap = " " * (width - cells(text))
    return gap + text if right else text + gap


def shortened_path(path: str, width: int) -> str:
    """Return ``path`` in at most ``width`` terminal columns: the middle becomes ``…``, the end of the name stays."""
    if cell_width([path]) <= width:
        return path
    tail = path
    while tail and cell_width([tail]) > max(width * 2 // 3, 1):
        tail = tail[1:]
    head = path[: len(path) - len(tail)]
    while head and cell_width([f"{head}…{tail}"]) > width:
        head = head[:-1]
    return f"{head}…{tail}"
