"""Opening what a folder holds without ever waiting on it: pipes, sockets and devices are refused, not read."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

MAX_BYTES = 1 << 30
"""A file above 1 GiB is no photo that can be decoded in bounded memory."""


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading; a link is followed.

    Raises:
        OSError: it cannot be opened, is no regular file, or is larger than `MAX_BYTES`.
    """
    _check(path.stat(), path)  # opening a device can act on it, so look first
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    handle = os.open(path, flags)  # and never block, whatever took its place meanwhile
    try:
        _check(os.fstat(handle), path)
    except BaseException:
        os.close(handle)
        raise
    return os.fdopen(handle, "rb")


def read_regular(path: Path) -> bytes:
    """Return all bytes of a regular file.

    Raises:
        OSError: as for `open_regular`.
    """
    with open_regular(path) as file:
        return file.read()


def _check(found: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, f"it is {_special(found.st_mode)}, not a file", str(path))
    if found.st_size > MAX_BYTES:
        raise OSError(errno.EFBIG, f"it is larger than {MAX_BYTES >> 30} GiB", str(path))


def _special(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "a pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def why_unreadable(error: OSError, path: Path) -> str:
    """Return why a file cannot be read, in a few words without its path."""
    if error.errno == errno.ENOENT:
        return "cannot be read: a link to nothing" if path.is_symlink() else "cannot be read: no longer there"
    if error.errno == errno.ELOOP:
        return "cannot be read: a link to itself"
    said = error.strerror or type(error).__name__
    return f"cannot be read: {said[:1].lower()}{said[1:]}"
