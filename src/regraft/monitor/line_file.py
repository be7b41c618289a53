"""A file to which whole lines are appended, thousands a second."""

from __future__ import annotations

import contextlib
import os
from collections import OrderedDict
from pathlib import Path
from typing import ClassVar

MAX_OPEN = 64
"""Maximum number of files that are open at a time."""


class LineFile:
    """A file of lines. A line that was cut by a kill or a full disk is ended before the next one.

    A written line survives the end of this process at once, and a power cut after `flush`.

    Attributes:
        size: size of the file in bytes.
    """

    _open: ClassVar[OrderedDict[LineFile, int]] = OrderedDict()

    def __init__(self, path: Path) -> None:
        self._path = path
        self._torn = True  # unknown: look at it when it is opened
        try:
            self.size = path.lstat().st_size
        except OSError:
            self.size = 0

    def add(self, line: str) -> None:
        """Append a line.

        Raises:
            OSError: the disk is full, or the file is a symbolic link; the line is not kept.
        """
        handle = self._handle()
        data = (("\n" if self._torn else "") + line + "\n").encode()
        written, self._torn = 0, True
        try:
            while written < len(data):
                written += os.write(handle, data[written:])
        except OSError:
            self.size += written
            with contextlib.suppress(OSError):
                os.ftruncate(handle, self.size - written)
                self.size, self._torn = self.size - written, False
            raise
        self.size, self._torn = self.size + written, False

    def flush(self) -> None:
        """Flush the file to the disk, if it is open."""
        handle = self._open.get(self)
        if handle is not None:
            with contextlib.suppress(OSError):  # it was closed just now
                os.fsync(handle)

    def close(self) -> None:
        """Close the file, if it is open."""
        if self in self._open:
            os.close(self._open.pop(self))

    def _handle(self) -> int:
        if self in self._open:
            self._open.move_to_end(self)
            return self._open[self]
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        handle = os.open(self._path, flags, 0o666)
        self.size = os.fstat(handle).st_size
        self._torn = self.size > 0 and not _ends_with_newline(handle)
        self._open[self] = handle
        while len(self._open) > MAX_OPEN:
            _, old_handle = self._open.popitem(last=False)
            with contextlib.suppress(OSError):
                os.fsync(old_handle)
            os.close(old_handle)
        return handle


def _ends_with_newline(handle: int) -> bool:
    os.lseek(handle, -1, os.SEEK_END)
    return os.read(handle, 1) == b"\n"
