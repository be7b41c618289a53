"""Glances of many photos: taken while the network's features are computed, and kept beside them.

Glances of many photos, packed: in a table that is a file where they are many.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median_low
from threading import Lock
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from regraft.audit.photo_stats import GREY, PACKED, VERSION, Glance, look
from regraft.data.decode import DECODER
from regraft.data.manifest import Entry
from regraft.data.prefetch import Prefetcher
from regraft.data.preprocessing import Preprocessing
from regraft.data.threads import map_in_order, workers_or_default
from regraft.data.worker_processes import run_task
from regraft.disk.row_table import new_table
from regraft.errors import DecodeError
from regraft.features.store import FeatureKey, FeatureStore, feature_key

_AT_ONCE = 512
_AHEAD = 96 << 20  # bytes of photos that are decoded ahead


@dataclass(frozen=True)
class Looking:
    """A photo's packed glance and the pixels that the network sees, in one row of bytes; a `photo_task.Work`.

    Attributes:
        preprocessing: what the network sees.
    """

    preprocessing: Preprocessing

    def __call__(self, entry: Entry) -> NDArray[np.uint8]:
        """Return the row of a photo, uint8.

        Raises:
            DecodeError: it cannot be decoded.
        """
        pixels, glance = look(entry, self.preprocessing)
        return np.concatenate([glance.pack().view(np.uint8), pixels.ravel()])

    def as_dict(self) -> dict[str, Any]:
        """Return all fields, ready for JSON."""
        return self.preprocessing.as_dict()

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Looking:
        """Return what `as_dict` gave."""
        return cls(Preprocessing.from_dict(fields))


class Looks:
    """Takes glances of photos, or finds them where they were kept.

    Args:
        preprocessing: what the network sees; its pixels are compared to tell copies.
        store: where glances are kept between runs.

    Attributes:
        preprocessing: as given.
        taken_ahead: photos that `load` found decoded.
    """

    def __init__(self, preprocessing: Preprocessing, store: FeatureStore) -> None:
        self.preprocessing, self._store = preprocessing, store
        self._looking = Looking(preprocessing)
        self._new: dict[FeatureKey, NDArray[np.float32]] = {}
        self._lock = Lock()
        self._ahead: Prefetcher | None = None
        self.taken_ahead = 0

    def load(self, entry: Entry) -> NDArray[np.uint8]:
        """Return the pixels that the network sees, shape (H, W, 3), uint8, and take a glance on the way.

        It is what `regraft.features.extract.extract` takes as ``load``; threads may call it at once.

        Raises:
            DecodeError: the photo cannot be decoded.
        """
        row = None if self._ahead is None else self._ahead.take(entry)
        if row is None:
            row = run_task(self._looking, entry)
        else:
            self.taken_ahead += 1
        self._add(entry, row[: 4 * PACKED].view(np.float32).copy())
        pixels: NDArray[np.uint8] = row[4 * PACKED :].reshape(self.preprocessing.height, self.preprocessing.width, 3)
        return pixels

    def read_ahead(self, entries: Sequence[Entry], workers: int) -> None:
        """Begin to do for ``entries`` what `load` does; see `regraft.data.prefetch`."""
        width = 4 * PACKED + 3 * self.preprocessing.height * self.preprocessing.width
        with contextlib.suppress(OSError):  # without it, it only takes longer
            self._ahead = Prefetcher(entries[: _AHEAD // width], self._looking, width, workers=workers)

    def close(self) -> None:
        """Let go of what was read ahead."""
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None

    def unknown(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return those of ``entries`` that no glance was kept of."""
        return [entries[i] for i in self._store.missing([self._key(entry) for entry in entries])]

    def of(self, entries: Sequence[Entry], workers: int | None = None) -> Glances:
        """Return the glance of each photo, but those that cannot be decoded. Those taken are kept in the store."""
        self._keep()
        found = Glances(len(entries))
        for position, kept in self._store.get_many([self._key(entry) for entry in entries]):
            found.put(position, kept)
        missing = found.missing
        workers = workers_or_default(workers)
        taken = map_in_order(lambda i: self._take(entries[i]), missing, workers=workers, ahead=4 * max(workers, 1))
        for i, row in zip(missing, taken, strict=True):
            if row is not None:
                found.put(i, row)
        self._keep()
        return found

    def _take(self, entry: Entry) -> NDArray[np.float32] | None:
        try:
            row = look(entry, self.preprocessing)[1].pack()
        except (DecodeError, OSError):
            return None
        self._add(entry, row)
        return row

    def _add(self, entry: Entry, row: NDArray[np.float32]) -> None:
        with self._lock:
            self._new[self._key(entry)] = row
            many = len(self._new) >= _AT_ONCE
        if many:
            self._keep()

    def _keep(self) -> None:
        with self._lock:
            new, self._new = self._new, {}
        if new:
            self._store.put_many(new.items(), "glances for the check")

    def _key(self, entry: Entry) -> FeatureKey:
        return feature_key(entry.content, f"{DECODER} {self.preprocessing.id}", "glance", "", "", VERSION)


class Glances(Sequence[Glance]):
    """Glances of ``count`` photos; each is unpacked when it is asked for.

    One that is not there yet raises `LookupError`.
    """

    def __init__(self, count: int) -> None:
        self._rows: NDArray[np.float32] = new_table(count, PACKED)
        self._there = np.zeros(count, dtype=bool)

    @classmethod
    def of(cls, glances: Sequence[Glance]) -> Glances:
        """Return ``glances`` packed, or themselves where they are."""
        if isinstance(glances, cls):
            return glances
        out = cls(len(glances))
        for position, glance in enumerate(glances):
            out.put(position, glance.pack())
        return out

    @property
    def median_side(self) -> int:
        """Median of the photos' shorter sides in pixels."""
        return median_low(min(glance.width, glance.height) for glance in self)

    def put(self, position: int, row: NDArray[np.floating]) -> None:
        """Take what `Glance.pack` gave for one photo; anything else is left."""
        if row.shape == (PACKED,) and row.dtype == np.float32:
            self._rows[position] = row
            self._there[position] = True

    @property
    def missing(self) -> list[int]:
        """Positions of those that are not there, ascending."""
        return [int(i) for i in np.flatnonzero(~self._there)]

    def grey(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return small grey versions of the photos at ``positions``, shape (len, 64, 64), uint8."""
        packed = np.ascontiguousarray(self._rows[positions]).view(np.uint8)
        return packed[:, -GREY * GREY :].reshape(-1, GREY, GREY)

    def __len__(self) -> int:
        return len(self._there)

    @overload
    def __getitem__(self, index: int) -> Glance: ...
    @overload
    def __getitem__(self, index: slice) -> list[Glance]: ...
    def __getitem__(self, index: int | slice) -> Glance | list[Glance]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        position = range(len(self))[index]
        row = self._rows[np.array([position])][0]  # read, not mapped: the system maps many pages around one
        glance = Glance.unpack(row) if self._there[position] else None
        if glance is None:
            raise LookupError(f"there is no glance of photo {position}")
        return glance


class SomeGreys:
    """Small grey versions of the photos at ``rows``, read as an array of shape (len, 64, 64), uint8, is."""

    def __init__(self, glances: Glances, rows: NDArray[np.int64]) -> None:
        self._glances, self._rows = glances, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        return self._glances.grey(self._rows[positions])
