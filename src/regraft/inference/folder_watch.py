"""Photos that arrive in folders: each is reported once, after it has stopped changing."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from regraft.data.folders.walk import photos_below

SETTLED = 1.0
"""Seconds without a change after which a file is complete."""

PATIENCE = 10.0
"""Seconds after which a photo that cannot be read, and has not changed, counts as unreadable."""

_INCOMPLETE = (".part", ".partial", ".crdownload", ".download", ".tmp", "~")
"""Endings of the names that programs give to files that they are still writing."""

Identity: TypeAlias = tuple[int | str, int, int, int]
"""Device, inode, size and time of the last change of a file: a renamed file has the same, a changed one another."""


class _Sighting(NamedTuple):
    identity: Identity
    since: float


class FolderWatch:
    """Watch over folders by listing them, which works on every file system, also on network drives and cards.

    A file whose content changes is a new photo; one that is renamed or moved between the folders is not. Photos in the
    folders at the first listing are reported at once if they were last changed some time ago.

    Args:
        folders: the folders; photos at any depth are reported. A folder may vanish, and come back.
    """

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folders)
        self._seen: dict[Path, _Sighting] = {}
        self._reported: set[Identity] = set()
        self._postponed: set[Identity] = set()
        self._is_first = True

    def poll(self, now: float) -> list[Path]:
        """Return the photos that are complete and were not reported before.

        Args:
            now: the time in seconds, from any start.
        """
        seen: dict[Path, _Sighting] = {}
        for path, identity, changed in self._files():
            earlier = self._seen.get(path)
            since = earlier.since if earlier is not None and earlier.identity == identity else now
            is_old = self._is_first and time.time() - changed >= SETTLED
            seen[path] = _Sighting(identity, now - SETTLED if is_old else since)
        present = {sighting.identity for sighting in seen.values()}
        self._seen, self._is_first = seen, False
        self._reported &= present
        self._postponed &= present
        complete = []
        for path, (identity, since) in seen.items():
            if identity not in self._reported and now - since >= SETTLED:
                self._reported.add(identity)
                complete.append(path)
        return complete

    def postpone(self, path: Path, now: float) -> bool:
        """Report a photo that could not be read once more, `PATIENCE` seconds later, unless it changes before.

        Returns:
            Whether it will be reported again; False if this is the second time, and the file has not changed.
        """
        sighting = self._seen.get(path)
        if sighting is None or sighting.identity in self._postponed:
            return False
        self._postponed.add(sighting.identity)
        self._reported.discard(sighting.identity)
        self._seen[path] = _Sighting(sighting.identity, now + PATIENCE - SETTLED)
        return True

    def _files(self) -> list[tuple[Path, Identity, float]]:
        """Return the files that may be photos, with their identity and the time of their last change."""
        files = []
        for folder in self._folders:
            for _, path in photos_below(folder, str(folder), frozenset(), []):
                if path.name.lower().endswith(_INCOMPLETE):
                    continue
                try:
                    status = path.stat()
                except OSError:  # removed since the listing
                    continue
                inode = status.st_ino or os.fspath(path)
                if status.st_size:
                    identity = (inode, status.st_dev, status.st_size, status.st_mtime_ns)
                    files.append((path, identity, status.st_mtime))
        return files
