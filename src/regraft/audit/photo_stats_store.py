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

from regraft.audit.photo_stats import GRAY_SIDE, PACKED_LENGTH, VERSION, PhotoStats, decode_with_stats
from regraft.data.decode import DECODER
from regraft.data.manifest import Entry
from regraft.data.prefetch import Prefetcher
from regraft.data.preprocessing import Preprocessing
from regraft.data.threads import map_in_order, workers_or_default
from regraft.data.worker_processes import run_task
from regraft.disk.row_table import new_table
from regraft.errors import DecodeError
from regraft.features.store import FeatureKey, FeatureStore, feature_key

_WRITE_BATCH = 512
_PREFETCH_BYTES = 96 << 20  # bytes of photos that are decoded ahead


@dataclass(frozen=True)
class DecodeWithStats:
    """A photo's packed stats and the pixels that the network sees, in one row of bytes; a `photo_task.Work`.

    Attributes:
        preprocessing: what the network sees.
    """

    preprocessing: Preprocessing

    def __call__(self, entry: Entry) -> NDArray[np.uint8]:
        """Return the row of a photo, uint8.

        Raises:
            DecodeError: it cannot be decoded.
        """
        pixels, stats = decode_with_stats(entry, self.preprocessing)
        return np.concatenate([stats.pack().view(np.uint8), pixels.ravel()])

    def as_dict(self) -> dict[str, Any]:
        """Return all fields, ready for JSON."""
        return self.preprocessing.as_dict()

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> DecodeWithStats:
        """Return what `as_dict` gave."""
        return cls(Preprocessing.from_dict(fields))


class PhotoStatsStore:
    """Takes photo_stats of photos, or finds them where they were kept.

    Args:
        preprocessing: what the network sees; its pixels are compared to tell copies.
        store: where photo_stats are kept between runs.

    Attributes:
        preprocessing: as given.
        prefetched: photos that `load` found decoded.
    """

    def __init__(self, preprocessing: Preprocessing, store: FeatureStore) -> None:
        self.preprocessing, self._store = preprocessing, store
        self._looking = DecodeWithStats(preprocessing)
        self._new: dict[FeatureKey, NDArray[np.float32]] = {}
        self._lock = Lock()
        self._ahead: Prefetcher | None = None
        self.prefetched = 0

    def load(self, entry: Entry) -> NDArray[np.uint8]:
        """Return the pixels that the network sees, shape (H, W, 3), uint8, and take a stats on the way.

        It is what `regraft.features.extract.extract` takes as ``load``; threads may call it at once.

        Raises:
            DecodeError: the photo cannot be decoded.
        """
        row = None if self._ahead is None else self._ahead.take(entry)
        if row is None:
            row = run_task(self._looking, entry)
        else:
            self.prefetched += 1
        self._add(entry, row[: 4 * PACKED_LENGTH].view(np.float32).copy())
        p = self.preprocessing
        pixels: NDArray[np.uint8] = row[4 * PACKED_LENGTH :].reshape(p.height, p.width, 3)
        return pixels

    def prefetch(self, entries: Sequence[Entry], workers: int) -> None:
        """Begin to do for ``entries`` what `load` does; see `regraft.data.prefetch`."""
        width = 4 * PACKED_LENGTH + 3 * self.preprocessing.height * self.preprocessing.width
        with contextlib.suppress(OSError):  # without it, it only takes longer
            self._ahead = Prefetcher(entries[: _PREFETCH_BYTES // width], self._looking, width, workers=workers)

    def close(self) -> None:
        """Let go of what was read ahead."""
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None

    def missing(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return those of ``entries`` that no stats was kept of."""
        return [entries[i] for i in self._store.missing([self._key(entry) for entry in entries])]

    def get(self, entries: Sequence[Entry], workers: int | None = None) -> PhotoStatsTable:
        """Return the stats of each photo, but those that cannot be decoded. Those taken are kept in the store."""
        self._keep()
        found = PhotoStatsTable(len(entries))
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
            row = decode_with_stats(entry, self.preprocessing)[1].pack()
        except (DecodeError, OSError):
            return None
        self._add(entry, row)
        return row

    def _add(self, entry: Entry, row: NDArray[np.float32]) -> None:
        with self._lock:
            self._new[self._key(entry)] = row
            many = len(self._new) >= _WRITE_BATCH
        if many:
            self._keep()

    def _keep(self) -> None:
        with self._lock:
            new, self._new = self._new, {}
        if new:
            self._store.put_many(new.items(), "glances for the check")

    def _key(self, entry: Entry) -> FeatureKey:
        return feature_key(entry.content, f"{DECODER} {self.preprocessing.id}", "glance", "", "", VERSION)


class PhotoStatsTable(Sequence[PhotoStats]):
    """Glances of ``count`` photos; each is unpacked when it is asked for.

    One that is not there yet raises `LookupError`.
    """

    def __init__(self, count: int) -> None:
        self._rows: NDArray[np.float32] = new_table(count, PACKED_LENGTH)
        self._there = np.zeros(count, dtype=bool)

    @classmethod
    def from_sequence(cls, photo_stats: Sequence[PhotoStats]) -> PhotoStatsTable:
        """Return ``photo_stats`` packed, or themselves where they are."""
        if isinstance(photo_stats, cls):
            return photo_stats
        out = cls(len(photo_stats))
        for position, stats in enumerate(photo_stats):
            out.put(position, stats.pack())
        return out

    @property
    def median_side(self) -> int:
        """Median of the photos' shorter sides in pixels."""
        return median_low(min(stats.width, stats.height) for stats in self)

    def put(self, position: int, row: NDArray[np.floating]) -> None:
        """Take what `Glance.pack` gave for one photo; anything else is left."""
        if row.shape == (PACKED_LENGTH,) and row.dtype == np.float32:
            self._rows[position] = row
            self._there[position] = True

    @property
    def missing(self) -> list[int]:
        """Positions of those that are not there, ascending."""
        return [int(i) for i in np.flatnonzero(~self._there)]

    def gray(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return small gray versions of the photos at ``positions``, shape (len, 64, 64), uint8."""
        packed = np.ascontiguousarray(self._rows[positions]).view(np.uint8)
        return packed[:, -GRAY_SIDE * GRAY_SIDE :].reshape(-1, GRAY_SIDE, GRAY_SIDE)

    def __len__(self) -> int:
        return len(self._there)

    @overload
    def __getitem__(self, index: int) -> PhotoStats: ...
    @overload
    def __getitem__(self, index: slice) -> list[PhotoStats]: ...
    def __getitem__(self, index: int | slice) -> PhotoStats | list[PhotoStats]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        position = range(len(self))[index]
        row = self._rows[np.array([position])][0]  # read, not mapped: the system maps many pages around one
        stats = PhotoStats.unpack(row) if self._there[position] else None
        if stats is None:
            raise LookupError(f"there is no stats of photo {position}")
        return stats


class GraySubset:
    """Small gray versions of the photos at ``rows``, read as an array of shape (len, 64, 64), uint8, is."""

    def __init__(self, photo_stats: PhotoStatsTable, rows: NDArray[np.int64]) -> None:
        self._glances, self._rows = photo_stats, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        return self._glances.gray(self._rows[positions])
