"""Files that are whole or absent: written under a temporary name, flushed to the disk, then renamed.

Also files that grow line by line during a training: flushed, and truncated to a recorded size when it resumes.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

PART = ".part-"
"""Prefix of the names of temporary files."""

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@contextlib.contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path``; at the end of the block that file is renamed to ``path``.

    The file is flushed to the disk before it is renamed, and the folder after it, so that a crash or a power cut leaves
    either the old file or the new one. If the block raises, ``path`` is unchanged and the temporary file is removed.

    Args:
        path: the file. Its folder must exist.

    Raises:
        OSError: the file cannot be written.
    """
    target = Path(path)
    handle, name = tempfile.mkstemp(prefix=PART, suffix=target.suffix, dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        _flush(temporary)
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, target)
        flush_folder(target.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def make_folder(path: Path) -> None:
    """Create a folder and its missing parents, so that they survive a power cut.

    Raises:
        OSError: a folder cannot be created.
    """
    missing = [one for one in (path, *path.parents) if not one.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for one in reversed(missing):
        flush_folder(one.parent)


def sweep(folder: Path, *, below: bool = False) -> None:
    """Remove the temporary files that a killed process left in ``folder``; no process may be writing there.

    Args:
        folder: folder to clean.
        below: whether to clean all folders below it too.
    """
    for path in (folder.rglob if below else folder.glob)(f"{PART}*"):
        with contextlib.suppress(OSError):
            path.unlink()


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write ``data`` to ``path``, completely or not at all."""
    with atomic(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path | str, text: str) -> None:
    """Write ``text`` to ``path`` as UTF-8, line ends as they are, completely or not at all.

    File names that are not valid UTF-8 on disk (lone surrogates in Python) are written as their original bytes.
    """
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def write_json(path: Path | str, value: Any) -> None:
    """Write ``value`` to ``path`` as readable JSON, completely or not at all; see `readable_json`."""
    write_text(path, readable_json(value, indent=2) + "\n")


def readable_json(value: Any, *, indent: int | None = None) -> str:
    """Return ``value`` as JSON with all letters as they are.

    Lone surrogates, from file names that are not valid UTF-8 on disk, are escaped, so that the text is valid UTF-8.

    Raises:
        ValueError: a number is NaN or infinite; pass None in its place.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    return _LONE_SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def flush_folder(folder: Path) -> None:
    """Flush the names in ``folder`` to the disk: files that were created, renamed or removed in it."""
    with contextlib.suppress(OSError):  # Windows cannot open a folder; its renames are durable
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def durable_size(file: IO[Any]) -> int:
    """Flush the content and the name of ``file`` to the disk, and return its size in bytes.

    Raises:
        OSError: the disk is full.
    """
    file.flush()
    os.fsync(file.fileno())
    flush_folder(Path(file.name).parent)
    return os.fstat(file.fileno()).st_size


def truncate_to(file: IO[Any], size: int) -> bool:
    """Truncate ``file``, open for writing, to ``size`` bytes; if it is shorter, return True and do not change it."""
    shorter = os.fstat(file.fileno()).st_size < size
    if not shorter:
        os.ftruncate(file.fileno(), size)
    return shorter
