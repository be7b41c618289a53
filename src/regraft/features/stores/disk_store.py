"""Feature store on disk: shared by all runs and processes of a user, bounded in size, and verified on every read.

Each entry has a digest of its key and its bits. A read returns exactly the bits that were written or nothing, even
from a damaged disk. A damaged file is replaced by a new one with the next number; other processes that use the old file
notice and switch. If the disk is full or failing, the store warns once and stops writing. No error of the store stops a
run.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sqlite3
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from regraft.cache_dir import cache_folder
from regraft.features.stores.sqlite_file import LOG_FILES, EntryKind, ErrorCause, StoreFile, error_cause
from regraft.features.stores.store import FeatureArray, FeatureKey

MAX_BYTES = 10 * 10**9
"""Default maximum size of the store in bytes."""

MAX_DISK_SHARE = 0.1
"""Default maximum share of the free disk space."""

_READ_BATCH = 64  # entries per read: a few hundred KB of features, or tens of MB of activations
_LOOKUP_BATCH = 4096  # keys per query
_AFTER_EVICTION = 0.9  # share of the bound, so that not every write needs an eviction
_TIMEOUT = 10.0  # seconds to wait while another process writes
_TRIES = 3
_NAME = re.compile(r"features-(\d{4,9})\.sqlite")
_MAX_EMPTY_BYTES = 10**6  # a sound file without entries is smaller

T = TypeVar("T")


class DiskStore:
    """Feature store in a file that several processes may use at the same time.

    Args:
        folder: folder of the store; ``features`` in the user's cache folder if None.
        bound: maximum size in bytes; the smaller of `MAX_BYTES` and `MAX_DISK_SHARE` of the free disk if None. The
            least recently used entries are dropped first.
        warn: called once with the reason if the store becomes unusable.
    """

    def __init__(
        self, folder: Path | None = None, *, bound: int | None = None, warn: Callable[[str], None] | None = None
    ) -> None:
        self.folder = cache_folder() / "features" if folder is None else folder
        self._requested_bound, self.warn = bound, warn or _warn
        self._file: StoreFile | None = None
        self._path = self._numbered_path(1)
        self._process = os.getpid()
        self._lock = threading.RLock()
        self._disabled = self._read_only = False

    def close(self) -> None:
        """Close the file; the next access opens it again."""
        with self._lock:
            if self._file is not None and self._process == os.getpid():
                self._file.close()
            self._file = None

    @property
    def bound(self) -> int:
        """Maximum size in bytes."""
        if self._requested_bound is not None:
            return self._requested_bound
        try:
            place = next(p for p in (self.folder, *self.folder.absolute().parents) if p.exists())
            free = shutil.disk_usage(place).free
        except OSError:
            return MAX_BYTES
        return min(MAX_BYTES, int(MAX_DISK_SHARE * (free + self.size())))

    def size(self) -> int:
        """Return the size on disk in bytes."""
        return sum(_file_bytes(path) for path in self._files())

    def get(self, key: FeatureKey) -> FeatureArray | None:
        """Return the read-only features stored under ``key``, or None."""
        return next((numbers for _, numbers in self.get_many([key])), None)

    def get_many(self, keys: Sequence[FeatureKey]) -> Iterator[tuple[int, FeatureArray]]:
        """Yield (position in ``keys``, features) for stored keys, in any order; only a few are in memory at a time."""
        places: dict[bytes, list[int]] = {}
        for position, key in enumerate(keys):
            places.setdefault(bytes.fromhex(key), []).append(position)
        wanted, now = list(places), _hour()
        stale: list[bytes] = []
        for first in range(0, len(wanted), _READ_BATCH):
            for raw, used, numbers in self._read(wanted[first : first + _READ_BATCH]):
                if numbers is None:
                    continue
                if used != now:
                    stale.append(raw)
                for position in places[raw]:
                    yield position, numbers
        if stale and not self._read_only:
            self._with_file(lambda file: file.touch(stale, now), None, writes=True)

    def missing(self, keys: Sequence[FeatureKey]) -> list[int]:
        """Return the positions in ``keys`` that are not stored; this reads keys only."""
        raw = [bytes.fromhex(key) for key in keys]
        there: set[bytes] = set()
        for first in range(0, len(raw) if self._files() else 0, _LOOKUP_BATCH):
            none: set[bytes] = set()
            there |= self._with_file(partial(StoreFile.existing, keys=raw[first : first + _LOOKUP_BATCH]), none)
        return [position for position, key in enumerate(raw) if key not in there]

    def put(self, key: FeatureKey, features: FeatureArray, kind: str = "") -> None:
        """Store ``features`` under ``key``; ``kind`` describes them for people."""
        self.put_many([(key, features)], kind)

    def put_many(self, items: Iterable[tuple[FeatureKey, FeatureArray]], kind: str = "") -> None:
        """Store several entries in one transaction: all of them or none."""
        rows = [(bytes.fromhex(key), numbers) for key, numbers in items]
        if rows and not self._read_only and sum(numbers.nbytes for _, numbers in rows) < _AFTER_EVICTION * self.bound:
            self._with_file(lambda file: self._keep(file, rows, kind), None, writes=True)

    def kinds(self) -> list[EntryKind]:
        """Return the kinds of entries, largest first."""
        return self._with_file(lambda file: file.kinds(), []) if self._files() else []

    def prune(self, *, size: int | None = None, unused_hours: int | None = None) -> int:
        """Remove the least recently used entries and free their disk space.

        Args:
            size: maximum size in bytes after pruning.
            unused_hours: remove entries that were not used for longer than this.

        Returns:
            The number of removed entries.
        """
        removed = 0
        if unused_hours is not None:
            removed += self._with_file(
                lambda file: _remove(file, file.keys(used_before=_hour() - unused_hours)), 0, writes=True
            )
        if size is not None:
            removed += self._with_file(lambda file: _evict(file, size), 0, writes=True)
        self._with_file(lambda file: file.shrink(), None, writes=True)
        return removed

    def clear(self) -> int:
        """Remove all entries and return their number."""
        removed = self._with_file(lambda file: _remove(file, file.keys()), 0, writes=True)
        self._with_file(lambda file: file.shrink(), None, writes=True)
        return removed

    def verify(self) -> tuple[int, int]:
        """Read every entry and remove damaged ones; return the numbers of sound and of damaged entries."""
        self._with_file(lambda file: file.check(), None)  # replaces the file if its structure is damaged
        sound, bad = 0, list[bytes]()
        keys: list[bytes] = []
        keys = self._with_file(lambda file: file.keys(), keys)
        for first in range(0, len(keys), _READ_BATCH):
            part = keys[first : first + _READ_BATCH]
            good = {key for key, _, numbers in self._read(part) if numbers is not None}
            sound += len(good)
            bad += [key for key in part if key not in good]
        if bad:
            self._with_file(lambda file: file.remove(bad), None, writes=True)
        return sound, len(bad)

    def _read(self, keys: list[bytes]) -> list[tuple[bytes, int, FeatureArray | None]]:
        nothing: list[tuple[bytes, int, FeatureArray | None]] = []
        return self._with_file(lambda file: file.read(keys), nothing)

    def _keep(self, file: StoreFile, rows: Sequence[tuple[bytes, FeatureArray]], kind: str) -> None:
        file.write(rows, kind, _hour())
        bound = self.bound
        if file.size() > bound:
            _evict(file, int(_AFTER_EVICTION * bound))

    def _with_file(self, work: Callable[[StoreFile], T], otherwise: T, *, writes: bool = False) -> T:
        """Return the result of ``work`` with the file, or ``otherwise`` if the store is unavailable."""
        with self._lock:
            for last in (False,) * (_TRIES - 1) + (True,):
                if self._disabled or (writes and self._read_only):
                    break
                try:
                    return work(self._opened())
                except (sqlite3.Error, OSError, OverflowError, UnicodeDecodeError) as error:
                    self._handle_error(error, writes=writes, last=last)
        return otherwise

    def _opened(self) -> StoreFile:
        if self._process != os.getpid():  # never use or close a connection after a fork
            self._file, self._process = None, os.getpid()
        if self._file is not None and not self._path.exists():  # another process replaced it
            self.close()
        if self._file is None:
            files = self._files()
            self._path = files[-1] if files else self._numbered_path(1)
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = StoreFile(self._path, timeout=_TIMEOUT)
            for old in files[:-1]:
                _delete(old)
        return self._file

    def _handle_error(self, error: Exception, *, writes: bool, last: bool) -> None:
        """Switch to a new file, stop writing, or disable the store; ``last`` means that there is no further try."""
        writable = os.access(self.folder, os.W_OK) or not self.folder.exists()
        cause, certain = error_cause(error, self._path, folder_is_writable=writable)
        if not certain and last:
            cause = ErrorCause.DISK
        elif cause is ErrorCause.DAMAGE:
            self._replace_file()
            return
        elif not certain:
            self.close()
            return
        self._read_only = True
        self._disabled = isinstance(error, OSError) or cause is ErrorCause.LOCK or not writes
        name = self.folder.name.removesuffix("s")  # "feature cache", "pixel cache"
        self.warn(f"{name} cache {self.folder} is {'unusable' if self._disabled else 'not writable'}: {error}")

    def _replace_file(self) -> None:
        """Close a damaged file and create the next one, unless another process already has."""
        self.close()
        if self._files()[-1:] == [self._path]:
            with contextlib.suppress(OSError):
                self._numbered_path(_number(self._path) + 1).touch()

    def _files(self) -> list[Path]:
        try:
            paths = [path for path in self.folder.iterdir() if _NAME.fullmatch(path.name)]
        except OSError:
            return []
        return sorted(paths, key=_number)

    def _numbered_path(self, number: int) -> Path:
        return self.folder / f"features-{number:04}.sqlite"


def _evict(file: StoreFile, target: int) -> int:
    """Remove the least recently used entries until at most ``target`` bytes are in use; return their number.

    Raises:
        sqlite3.DatabaseError: a file without entries is larger; its pages are lost, or lie far beyond its end.
    """
    removed, before = 0, None
    while (size := file.size()) > target and size != before:
        removed += _remove(file, file.keys(min_bytes=size - target))
        before = size
    if size > max(target, _MAX_EMPTY_BYTES) and not file.keys(min_bytes=1):
        raise sqlite3.DatabaseError(f"{size:,} bytes without an entry")
    return removed


def _remove(file: StoreFile, keys: list[bytes]) -> int:
    file.remove(keys)
    return len(keys)


def _delete(path: Path) -> None:
    for part in (path, *(path.with_name(path.name + end) for end in ("-journal", *LOG_FILES))):
        with contextlib.suppress(OSError):
            part.unlink()


def _number(path: Path) -> int:
    match = _NAME.fullmatch(path.name)
    assert match is not None
    return int(match[1])


def _file_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _hour() -> int:
    return int(time.time() // 3600)


def _warn(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=2)
