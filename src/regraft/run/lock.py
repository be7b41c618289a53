"""The lock of a run folder: one process at a time, released when that process ends."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from regraft.disk.atomic import make_folder
from regraft.errors import RunFolderError


class RunLock:
    """Held while a process trains into a run folder. The system releases it when the process ends in any way.

    Args:
        folder: the folder of the lock; created if it does not exist.
        run: the run folder, for the message.
    """

    def __init__(self, folder: Path, run: Path) -> None:
        self._folder, self._run = folder, run
        self._lock = FileLock(folder / "lock", blocking=False)
        self._owner = folder / "owner"

    def take(self) -> Self:
        """Acquire the lock and return it.

        Raises:
            RunFolderError: another process holds it.
            OSError: the folder is not writable.
        """
        make_folder(self._folder)
        try:
            self._lock.acquire()
        except Timeout:
            raise RunFolderError(
                f"{self._run} is in use by another process{self._holder()}\n"
                "  wait for it to end, or name another folder with -o"
            ) from None
        self._owner.write_text(str(os.getpid()), encoding="ascii")
        return self

    def release(self) -> None:
        """Release the lock; a second call does nothing."""
        self._lock.release()

    def _holder(self) -> str:
        try:
            return f" (process {int(self._owner.read_text(encoding='ascii'))})"
        except (OSError, ValueError):
            return ""
