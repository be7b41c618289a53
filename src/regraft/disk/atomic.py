"""Files that are whole or absent: written beside their place, flushed to the disk, then renamed onto it.

Files that grow line by line while a training runs, and are cut back to a known length when it goes on.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

PART = ".part-"
"""What the name of a temporary file begins with."""


@contextlib.contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path``; on success what was written there becomes ``path``.

    The file is flushed to the disk before it is renamed, and the folder after it, so that a crash or a power cut leaves
    either the old file or the new one. If the block raises, ``path`` is as it was and the temporary file is gone.

    Args:
        path: where the file should be. Its folder must exist.

    Raises:
        OSError: the file cannot be written there.
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
    """Make a folder and those that it lies in, all of which are there after a power cut too.

    Raises:
        OSError: it cannot be made.
    """
    missing = [one for one in (path, *path.parents) if not one.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for one in reversed(missing):
        flush_folder(one.parent)


def sweep(folder: Path, *, below: bool = False) -> None:
    """Remove the temporary files of writes that a killed process left in ``folder``; nobody may be writing there.

    Args:
        folder: where to look.
        below: whether to look in all folders below it too.
    """
    for path in (folder.rglob if below else folder.glob)(f"{PART}*"):
        with contextlib.suppress(OSError):
            path.unlink()


def write_bytes(path: Path | str, data: bytes) -> None:
    """Write ``data`` to ``path``, whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path | str, text: str) -> None:
    """Write ``text`` to ``path`` as UTF-8, line ends as they are, whole or not at all.

    File names that are not valid UTF-8 on disk (lone surrogates in Python) are written back as the bytes that they are.
    """
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def write_json(path: Path | str, value: Any) -> None:
    """Write ``value`` to ``path`` as readable JSON, whole or not at all.

    Raises:
        ValueError: a number is NaN or infinite; such figures are written as ``None`` by whoever makes them.
    """
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def flush_folder(folder: Path) -> None:
    """Bring the names in ``folder`` to the disk: files that were made in it, renamed or removed."""
    with contextlib.suppress(OSError):  # Windows cannot open a folder; there the rename itself is durable
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
    """Bring what was written to ``file`` to the disk, and its name, and return its size in bytes.

    Raises:
        OSError: the disk is full.
    """
    file.flush()
    os.fsync(file.fileno())
    flush_folder(Path(file.name).parent)
    return os.fstat(file.fileno()).st_size


def truncate_to(file: IO[Any], size: int) -> bool:
    """Cut ``file``, open for writing, to ``size`` bytes; return whether it was shorter already, and is left so."""
    shorter = os.fstat(file.fileno()).st_size < size
    if not shorter:
        os.ftruncate(file.fileno(), size)
    return shorter
