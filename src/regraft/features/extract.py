"""Features of photos: read from the store, or computed and stored."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from regraft.data.loading.fixed_views import PLAIN
from regraft.data.loading.loader import DecodedBatch, decode_in_order
from regraft.data.loading.photo_task import LoadPhoto
from regraft.data.manifest import Entry
from regraft.disk.row_table import new_table, take
from regraft.features.engines.engine_interface import Engine, map_batches
from regraft.features.stores.store import FeatureArray, FeatureKey, FeatureStore, feature_key
from regraft.models.spec import BackboneSpec
from regraft.screen import Bar


class Network(Protocol):
    """A frozen network, as far as the extraction of features needs to know it; a `Backbone` is one."""

    @property
    def spec(self) -> BackboneSpec:
        """Its description."""


@dataclass(frozen=True)
class Features:
    """Features of all photos that could be decoded.

    Attributes:
        values: shape (n, D), float32; a `regraft.disk.row_table.FileRows` if large.
        rows: shape (n,), int64, ascending: ``values[i]`` belongs to ``entries[rows[i]]``.
        failed: photos that could not be decoded, as (position, reason).
        computed: number of photos that went through the network.
        from_store: number of photos whose features came from the store or from an exact copy.
    """

    values: NDArray[np.float32]
    rows: NDArray[np.int64]
    failed: tuple[tuple[int, str], ...]
    computed: int
    from_store: int


def extract(
    entries: Sequence[Entry],
    backbone: Network,
    engine: Engine,
    store: FeatureStore | None = None,
    *,
    load: Callable[[Entry], NDArray[np.uint8]] | None = None,
    view: str = PLAIN,
    weights: str | None = None,
    workers: int | None = None,
    bar: Bar | None = None,
    alone: bool = False,
) -> Features:
    """Return the features of ``entries``; threads decode while the network runs.

    The bits of a photo's features do not depend on the order of the entries, on the contents of the store, or on the
    number of workers.

    Args:
        entries: the photos. Those without a content hash are always computed and never stored.
        backbone: network to run.
        engine: engine that runs it.
        store: cache to read from and to write to.
        load: returns the pixels of a photo, shape (H, W, 3), uint8; by default those used for evaluation.
        view: name of the view that ``load`` returns.
        weights: hash of the weights, if they have not changed since it was computed; computed if None.
        workers: number of decoding threads; None for the default, 0 for none.
        bar: progress bar, advanced by one per photo.
        alone: whether to do all work in the calling thread, because other threads do the same with other photos.
    """
    p = backbone.spec.preprocessing
    weights = engine.refresh() if weights is None else engine.set_weights_hash(weights)
    keys = feature_keys(entries, backbone, weights, engine.numerics, view)
    buffer = WriteBuffer(store, f"{backbone.spec.name} · {view} · {engine.title}")
    extraction = _ExtractionPass(keys, buffer, backbone.spec.num_features, bar)
    try:
        extraction.look_up()
        for positions in extraction.rounds():
            batches = decode_in_order(
                entries,
                load or LoadPhoto(p),
                batch_size=engine.batch_size,
                workers=0 if alone else workers,
                order=positions,
            )
            for index, features, failed in run_batches(engine, batches, alone=alone):
                extraction.keep(index, features)
                extraction.fail(failed)
    finally:
        buffer.flush()
    return extraction.features()


_Done: TypeAlias = tuple[NDArray[np.int64], NDArray[np.float32], list[tuple[int, str]]]


def run_batches(engine: Engine, batches: Iterator[DecodedBatch], *, alone: bool = False) -> Iterator[_Done]:
    """Yield (positions, features, failures) of each batch, in order; decoding continues while the network runs.

    Args:
        engine: runs the network.
        batches: the batches.
        alone: whether to run the network in the calling thread only.
    """

    def work(batch: DecodedBatch) -> _Done:
        features = engine.run(batch.pixels) if len(batch.index) else np.empty((0, 0), dtype=np.float32)
        return batch.index, features, batch.failed

    return map(work, batches) if alone else map_batches(engine, work, batches)


def feature_keys(
    entries: Sequence[Entry], backbone: Network, weights_hash: str, numerics: str, view: str = PLAIN
) -> list[FeatureKey | None]:
    """Return the store key of each photo's features; None for photos without a content hash."""
    preprocessing, cut = backbone.spec.preprocessing.id, f"{backbone.spec.name}/features"
    return [
        feature_key(entry.content, preprocessing, view, weights_hash, cut, numerics) if entry.content else None
        for entry in entries
    ]


class WriteBuffer:
    """Buffer that writes features to the store in batches; one transaction per photo would be too slow."""

    MAX_PHOTOS, MAX_SECONDS = 512, 5.0  # between two writes

    def __init__(self, store: FeatureStore | None, kind: str) -> None:
        self._store, self._kind = store, kind
        self._waiting: list[tuple[FeatureKey, FeatureArray]] = []
        self._written = time.monotonic()

    def look_up(self, keys: Sequence[FeatureKey]) -> Iterator[tuple[int, FeatureArray]]:
        """Yield (position in ``keys``, features) for keys that are in the store."""
        return iter(()) if self._store is None else self._store.get_many(keys)

    def put(self, key: FeatureKey, features: FeatureArray) -> None:
        """Add features to the buffer, and write the buffer if it is full or old enough."""
        if self._store is not None:
            self._waiting.append((key, features))
            if len(self._waiting) >= self.MAX_PHOTOS or time.monotonic() - self._written >= self.MAX_SECONDS:
                self.flush()

    def flush(self) -> None:
        """Write all buffered features."""
        waiting, self._waiting, self._written = self._waiting, [], time.monotonic()
        if self._store is not None and waiting:
            self._store.put_many(waiting, self._kind)


class _ExtractionPass:
    """State of one pass over the photos: features so far, and failures."""

    def __init__(self, keys: Sequence[FeatureKey | None], buffer: WriteBuffer, width: int, bar: Bar | None) -> None:
        self._keys, self._buffer, self._bar = keys, buffer, bar
        self._values = new_table(len(keys), width)
        self._done = np.zeros(len(keys), dtype=bool)
        self._failed: dict[int, str] = {}
        self._computed = 0

    def look_up(self) -> None:
        """Read all available features from the store."""
        keyed = [(position, key) for position, key in enumerate(self._keys) if key is not None]
        for i, features in self._buffer.look_up([key for _, key in keyed]):
            if features.shape == self._values.shape[1:]:
                self._set(keyed[i][0], features)

    def rounds(self) -> Iterator[list[int]]:
        """Yield the positions to compute: one photo per content, then copies if the first could not be read."""
        waiting = np.flatnonzero(~self._done).tolist()
        while waiting:
            leaders = {self._keys[i] or i: i for i in reversed(waiting)}
            now = sorted(leaders.values())
            yield now
            waiting = [i for i in waiting if not self._done[i] and i not in self._failed]
            for position in waiting:
                leader = leaders[self._keys[position] or position]
                if self._done[leader]:
                    self._set(position, self._values[leader])
            waiting = [i for i in waiting if not self._done[i]]

    def keep(self, positions: NDArray[np.int64], features: NDArray[np.float32]) -> None:
        """Add computed features, shape (b, D), of the photos at ``positions``."""
        for position, row in zip(positions.tolist(), features, strict=True):
            self._set(position, row)
            key = self._keys[position]
            if key is not None:
                self._buffer.put(key, row)
        self._computed += len(positions)

    def fail(self, failed: Sequence[tuple[int, str]]) -> None:
        """Record photos that could not be decoded."""
        self._failed.update(failed)
        if self._bar is not None:
            self._bar.advance(len(failed))

    def features(self) -> Features:
        """Return the result of the pass."""
        rows = np.flatnonzero(self._done)
        return Features(
            values=take(self._values, rows),
            rows=rows.astype(np.int64),
            failed=tuple(sorted(self._failed.items())),
            computed=self._computed,
            from_store=len(rows) - self._computed,
        )

    def _set(self, position: int, features: FeatureArray) -> None:
        self._values[position] = features
        self._done[position] = True
        if self._bar is not None:
            self._bar.advance(1)
