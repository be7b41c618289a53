"""Feature store that many processes on many machines write and read at once, without a lock.

Every write adds a file. Readers list the files, load the keys of new ones, and read entries batch by batch. An entry
that two processes have computed is in two files until the store is compacted, and readers see one. Each entry has a
digest, so a damaged one is a miss, and another copy of it is used if there is one. No error of the store stops a run.
"""

from __future__ import annotations

import threading
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from regraft.features.stores.shared.arrow_file import DamagedFileError, Row, encoded, name_of
from regraft.features.stores.shared.key_index import KeyIndex
from regraft.features.stores.shared.places import Place
from regraft.features.stores.shared.reading import by_file, keys_of_file, sound_entries
from regraft.features.stores.store import FeatureArray, FeatureKey, pack

_LOOKUP_BATCH = 65_536  # keys whose places are in memory at once
_ATTEMPTS = 3  # listings of the place, because another process may compact the store meanwhile


class SharedStore:
    """Feature store of immutable files at a place.

    Args:
        place: the place of the files.
        warn: called once with the reason if the place cannot be read or written.
    """

    def __init__(self, place: Place, *, warn: Callable[[str], None] | None = None) -> None:
        self.place, self.warn = place, warn or _warn
        self._index = KeyIndex()
        self._unreadable: set[str] = set()
        self._lock = threading.RLock()
        self._warned = False

    def get(self, key: FeatureKey) -> FeatureArray | None:
        """Return the read-only features stored under ``key``, or None."""
        return next((numbers for _, numbers in self.get_many([key])), None)

    def get_many(self, keys: Sequence[FeatureKey]) -> Iterator[tuple[int, FeatureArray]]:
        """Yield (position in ``keys``, features) for stored keys, in any order; only a few are in memory at a time."""
        positions: dict[bytes, list[int]] = defaultdict(list)
        for position, key in enumerate(keys):
            positions[bytes.fromhex(key)].append(position)
        wanted = list(positions)
        for first in range(0, len(wanted), _LOOKUP_BATCH):
            for raw, numbers in self._found(wanted[first : first + _LOOKUP_BATCH]):
                for position in positions[raw]:
                    yield position, numbers

    def missing(self, keys: Sequence[FeatureKey]) -> list[int]:
        """Return the positions in ``keys`` that are not stored; this reads keys only."""
        with self._lock:
            self._refresh()
            there = self._index.contains([bytes.fromhex(key) for key in keys])
        return [position for position, stored in enumerate(there.tolist()) if not stored]

    def put(self, key: FeatureKey, features: FeatureArray, kind: str = "") -> None:
        """Store ``features`` under ``key``; ``kind`` describes them for people."""
        self.put_many([(key, features)], kind)

    def put_many(self, items: Iterable[tuple[FeatureKey, FeatureArray]], kind: str = "") -> None:
        """Store several entries in one file: all of them or none."""
        rows = [Row(raw := bytes.fromhex(key), kind, pack(raw, numbers)) for key, numbers in items]
        if not rows:
            return
        data = encoded(sorted(rows))
        try:
            self.place.write(name_of(data), data)
        except OSError as error:
            self._warn_once("written", error)

    def size(self) -> int:
        """Return the size of all files in bytes."""
        try:
            return sum(self.place.sizes().values())
        except OSError as error:
            self._warn_once("listed", error)
            return 0

    def _found(self, keys: Sequence[bytes]) -> Iterator[tuple[bytes, FeatureArray]]:
        """Yield stored entries; an entry that is damaged in one file is read from another one."""
        left = set(keys)
        for _ in range(_ATTEMPTS):
            with self._lock:
                self._refresh()
                places = dict(zip(keys, self._index.places(keys), strict=True))
            copies = max((len(places[key]) for key in left), default=0)
            vanished = False
            for copy in range(copies):
                some = {key: places[key][copy] for key in left if copy < len(places[key])}
                for name, batches in by_file(some).items():
                    try:
                        for key, numbers in sound_entries(self.place, name, batches):
                            left.discard(key)
                            yield key, numbers
                    except FileNotFoundError:
                        vanished = True
                    except OSError as error:
                        self._warn_once("read", error)
            if not vanished:
                return

    def _refresh(self) -> None:
        """Load the keys of new files, and forget files that were compacted."""
        try:
            there = set(self.place.sizes())
        except OSError as error:
            self._warn_once("listed", error)
            return
        self._index.forget(self._index.names - there)
        self._unreadable &= there
        for name in sorted(there - self._index.names - self._unreadable):
            try:
                self._index.add(name, keys_of_file(self.place, name))
            except DamagedFileError:
                self._unreadable.add(name)
            except FileNotFoundError:
                continue
            except OSError as error:
                self._warn_once("read", error)

    def _warn_once(self, done: str, error: OSError) -> None:
        if not self._warned:
            self._warned = True
            self.warn(f"the shared feature store {self.place.address} could not be {done}: {error}")


def _warn(text: str) -> None:
    warnings.warn(text, RuntimeWarning, stacklevel=2)
