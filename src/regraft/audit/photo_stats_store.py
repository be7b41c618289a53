"""Stats of many photos: computed during feature extraction, cached with the features, and held in a packed table."""

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
from regraft.data.loading.prefetch import Prefetcher
from regraft.data.loading.worker_processes import run_task
from regraft.data.manifest import Entry
from regraft.data.preprocessing import Preprocessing
from regraft.data.threads import map_in_order, workers_or_default
from regraft.disk.row_table import new_table
from regraft.errors import DecodeError
from regraft.features.stores.store import FeatureKey, FeatureStore, feature_key

_WRITE_BATCH = 512
_PREFETCH_BYTES = 96 << 20  # bytes of prefetched photos


@dataclass(frozen=True)
class DecodeWithStats:
    """A `PhotoTask` that returns a photo's packed stats and evaluation pixels in one row of bytes.

    Attributes:
        preprocessing: preprocessing of the backbone.
    """

    preprocessing: Preprocessing

    def __call__(self, entry: Entry) -> NDArray[np.uint8]:
        """Return the row of a photo, uint8.

        Raises:
            DecodeError: the photo cannot be decoded.
        """
        pixels, stats = decode_with_stats(entry, self.preprocessing)
        return np.concatenate([stats.pack().view(np.uint8), pixels.ravel()])

    def as_dict(self) -> dict[str, Any]:
        """Return all fields, ready for JSON."""
        return self.preprocessing.as_dict()

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> DecodeWithStats:
        """Return the task that `as_dict` described."""
        return cls(Preprocessing.from_dict(fields))


class PhotoStatsStore:
    """Computes the stats of photos, or reads them from the feature store.

    Args:
        preprocessing: preprocessing of the backbone; duplicates are found by its pixels.
        store: cache of the stats, shared by all runs.

    Attributes:
        preprocessing: preprocessing of the backbone.
        prefetched: number of photos that `load` took from the prefetcher.
    """

    def __init__(self, preprocessing: Preprocessing, store: FeatureStore) -> None:
        self.preprocessing, self._store = preprocessing, store
        self._task = DecodeWithStats(preprocessing)
        self._new: dict[FeatureKey, NDArray[np.float32]] = {}
        self._lock = Lock()
        self._prefetcher: Prefetcher | None = None
        self.prefetched = 0

    def load(self, entry: Entry) -> NDArray[np.uint8]:
        """Return the evaluation pixels of a photo, shape (H, W, 3), uint8, and store its stats.

        This is the ``load`` argument of `regraft.features.extract.extract`; threads may call it concurrently.

        Raises:
            DecodeError: the photo cannot be decoded.
        """
        row = None if self._prefetcher is None else self._prefetcher.take(entry)
        if row is None:
            row = run_task(self._task, entry)
        else:
            self.prefetched += 1
        self._add(entry, row[: 4 * PACKED_LENGTH].view(np.float32).copy())
        p = self.preprocessing
        pixels: NDArray[np.uint8] = row[4 * PACKED_LENGTH :].reshape(p.height, p.width, 3)
        return pixels

    def prefetch(self, entries: Sequence[Entry], workers: int) -> None:
        """Start to decode ``entries`` for later calls of `load`; see `regraft.data.loading.prefetch`."""
        width = 4 * PACKED_LENGTH + 3 * self.preprocessing.height * self.preprocessing.width
        with contextlib.suppress(OSError):  # prefetching only saves time
            self._prefetcher = Prefetcher(entries[: _PREFETCH_BYTES // width], self._task, width, workers=workers)

    def close(self) -> None:
        """Stop prefetching and free its memory."""
        if self._prefetcher is not None:
            self._prefetcher.close()
            self._prefetcher = None

    def missing(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return the ``entries`` without cached stats."""
        return [entries[i] for i in self._store.missing([self._key(entry) for entry in entries])]

    def get(self, entries: Sequence[Entry], workers: int | None = None) -> PhotoStatsTable:
        """Return the stats of all photos except undecodable ones; missing stats are computed and cached."""
        self._flush()
        table = PhotoStatsTable(len(entries))
        for position, cached in self._store.get_many([self._key(entry) for entry in entries]):
            table.put(position, cached)
        missing = table.missing
        workers = workers_or_default(workers)
        computed = map_in_order(
            lambda i: self._compute(entries[i]), missing, workers=workers, ahead=4 * max(workers, 1)
        )
        for i, row in zip(missing, computed, strict=True):
            if row is not None:
                table.put(i, row)
        self._flush()
        return table

    def add_missing(self, entries: Sequence[Entry], workers: int | None = None) -> None:
        """Write the stats of all photos to the store; missing ones are computed, undecodable photos left out."""
        self._flush()
        workers = workers_or_default(workers)
        missing = self.missing(entries)
        for _ in map_in_order(self._compute, missing, workers=workers, ahead=4 * max(workers, 1)):
            pass
        self._flush()

    def _compute(self, entry: Entry) -> NDArray[np.float32] | None:
        try:
            row = decode_with_stats(entry, self.preprocessing)[1].pack()
        except (DecodeError, OSError):
            return None
        self._add(entry, row)
        return row

    def _add(self, entry: Entry, row: NDArray[np.float32]) -> None:
        with self._lock:
            self._new[self._key(entry)] = row
            full = len(self._new) >= _WRITE_BATCH
        if full:
            self._flush()

    def _flush(self) -> None:
        with self._lock:
            new, self._new = self._new, {}
        if new:
            self._store.put_many(new.items(), "glances for the check")

    def _key(self, entry: Entry) -> FeatureKey:
        return feature_key(entry.content, f"{DECODER} {self.preprocessing.id}", "glance", "", "", VERSION)


class PhotoStatsTable(Sequence[PhotoStats]):
    """Stats of ``count`` photos; each is unpacked on access.

    Access to missing stats raises `LookupError`.
    """

    def __init__(self, count: int) -> None:
        self._rows: NDArray[np.float32] = new_table(count, PACKED_LENGTH)
        self._present = np.zeros(count, dtype=bool)

    @classmethod
    def from_sequence(cls, photo_stats: Sequence[PhotoStats]) -> PhotoStatsTable:
        """Return ``photo_stats`` as a table; a table is returned unchanged."""
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
        """Set the row that `PhotoStats.pack` returned for one photo; other rows are ignored."""
        if row.shape == (PACKED_LENGTH,) and row.dtype == np.float32:
            self._rows[position] = row
            self._present[position] = True

    @property
    def missing(self) -> list[int]:
        """Positions without stats, ascending."""
        return [int(i) for i in np.flatnonzero(~self._present)]

    def gray(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the small gray images of the photos at ``positions``, shape (len, 64, 64), uint8."""
        packed = np.ascontiguousarray(self._rows[positions]).view(np.uint8)
        return packed[:, -GRAY_SIDE * GRAY_SIDE :].reshape(-1, GRAY_SIDE, GRAY_SIDE)

    def __len__(self) -> int:
        return len(self._present)

    @overload
    def __getitem__(self, index: int) -> PhotoStats: ...
    @overload
    def __getitem__(self, index: slice) -> list[PhotoStats]: ...
    def __getitem__(self, index: int | slice) -> PhotoStats | list[PhotoStats]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        position = range(len(self))[index]
        row = self._rows[np.array([position])][0]  # a copy: a memory map would load many pages around the row
        stats = PhotoStats.unpack(row) if self._present[position] else None
        if stats is None:
            raise LookupError(f"photo {position} has no stats")
        return stats


class GraySubset:
    """Small gray images of the photos at ``rows``, indexed like an array of shape (len, 64, 64), uint8."""

    def __init__(self, photo_stats: PhotoStatsTable, rows: NDArray[np.int64]) -> None:
        self._glances, self._rows = photo_stats, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        return self._glances.gray(self._rows[positions])
