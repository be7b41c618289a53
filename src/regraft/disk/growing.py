"""Files that grow line by line while a training runs, and are cut back to a known length when it goes on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, Any

from regraft.disk.atomic import flush_folder


def durable_size(file: IO[Any]) -> int:
    """Bring what was written to ``file`` to the disk, and its name, and return its size in bytes.

    Raises:
        OSError: the disk is full.
    """
    file.flush()
    os.fsync(file.fileno())
    flush_folder(Path(file.name).parent)
    return os.fstat(file.fileno()).st_size


def cut(file: IO[Any], size: int) -> bool:
    """Cut ``file``, open for writing, to ``size`` bytes; return whether it was shorter already, and is left so."""
    shorter = os.fstat(file.fileno()).st_size < size
    if not shorter:
        os.ftruncate(file.fileno(), size)
    return shorter
