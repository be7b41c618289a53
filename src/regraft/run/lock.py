"""One process at a time in a run folder: a lock that dies with whoever holds it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from regraft.disk.atomic import make_folder
from regraft.errors import RunFolderError


class RunLock:
    """Held while a process trains into a run folder. The system lets go of it when the process ends, however it does.

    Args:
        folder: where the lock lies; made if it does not exist.
        run: the run folder, for the message.
    """

    def __init__(self, folder: Path, run: Path) -> None:
        self._folder, self._run = folder, run
        self._lock = FileLock(folder / "lock", blocking=False)
        self._owner = folder / "owner"

    def take(self) -> Self:
        """Take the lock, and return it.

        Raises:
            RunFolderError: another process has it.
            OSError: the folder cannot be written to.
        """
        make_folder(self._folder)
        try:
            self._lock.acquire()
        except Timeout:
            raise RunFolderError(
                f"{self._run} is being trained by another process{self._who()}\n  wait for it, or name another folder "
                "with -o"
            ) from None
        self._owner.write_text(str(os.getpid()), encoding="ascii")
        return self

    def release(self) -> None:
        """Let go of it; a second time does nothing."""
        self._lock.release()

    def _who(self) -> str:
        try:
            return f" (process {int(self._owner.read_text(encoding='ascii'))})"
        except (OSError, ValueError):
            return ""
