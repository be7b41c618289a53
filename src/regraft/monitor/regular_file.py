"""Reading of files that other programs write: regular files only, never through a symbolic link."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def read_file(path: Path, *, most: int, start: int = 0) -> bytes:
    """Return at most ``most`` bytes of a regular file, from byte ``start``.

    Raises:
        OSError: the file is missing, unreadable, a symbolic link, or not a regular file.
    """
    handle = os.open(path, _FLAGS)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(f"{path} is not a regular file")
        os.lseek(handle, start, os.SEEK_SET)
        blocks, left = [], most
        while left and (block := os.read(handle, min(left, 1 << 20))):
            blocks.append(block)
            left -= len(block)
        return b"".join(blocks)
    finally:
        os.close(handle)


def read_json(path: Path, *, most: int = 4 << 20) -> dict[str, Any] | None:
    """Return the object in a JSON file, or None if the file is missing, too large or has no such content."""
    try:
        value = parse_json(read_file(path, most=most))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def parse_json(data: bytes | str) -> Any:
    """Return the value of a JSON text from outside.

    Raises:
        ValueError: the text is not JSON, is not UTF-8, or is nested too deeply.
    """
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def signature(path: Path) -> tuple[int, int, int] | None:
    """Return numbers that change when a regular file changes: inode, size, time; None if there is no such file."""
    try:
        facts = path.lstat()
    except (OSError, ValueError):
        return None
    return (facts.st_ino, facts.st_size, facts.st_mtime_ns) if stat.S_ISREG(facts.st_mode) else None
