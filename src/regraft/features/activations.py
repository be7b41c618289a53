"""Activations at a cut point: computed once per view of a photo, cached, and read batch by batch.

The layers below the cut do not change during training, so that each epoch runs only the upper part of the network.
Training uses exactly the values that the store contains, rounded to half precision where that is safe. So freshly
computed and cached activations are equal to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from regraft.data.loading.fixed_views import AUGMENTATION, FIRST_CROP, fixed_view_key, fixed_view_task, view_name
from regraft.data.loading.loader import DecodedBatch, decode_in_order
from regraft.data.loading.reduced_views import ReducedViews
from regraft.data.manifest import Entry
from regraft.data.threads import map_in_order
from regraft.distributed.passes import fill_together
from regraft.distributed.shards import Bounds, Part
from regraft.errors import DecodeError
from regraft.features.engines.engine_interface import Engine
from regraft.features.extract import WriteBuffer, run_batches
from regraft.features.stores.store import FeatureArray, FeatureKey, FeatureStore, feature_key
from regraft.models.backbone import Backbone
from regraft.randomness import permutation
from regraft.screen import Bar

_READ_AHEAD = 2  # batches to read ahead while the network trains
_MAX_FLOAT16 = float(np.finfo(np.float16).max)


class Activations:
    """Activations of the lower part of a network for numbered views of photos (`regraft.data.loading.fixed_views`).

    Args:
        lower: the lower part, as `regraft.models.backbone.Backbone.lower` returns it.
        engine: runs the lower part.
        store: cache to read from and to write to; None to compute activations each time they are needed.
        half: whether to round to half precision. Values beyond its range are clipped to its largest number.
        workers: number of decoding threads; None for the default, 0 for none.
        reduced: source of random crops of reduced photos, which decodes each photo once for all views; None to cut each
            view from the whole photo.
    """

    def __init__(
        self,
        lower: Backbone,
        engine: Engine,
        store: FeatureStore | None,
        *,
        half: bool = True,
        workers: int | None = None,
        reduced: ReducedViews | None = None,
    ) -> None:
        self._lower, self._engine, self._store, self._half = lower, engine, store, half
        self._workers, self._reduced = workers, reduced
        self._weights = engine.refresh()

    def missing(self, entries: Sequence[Entry], views: Sequence[int]) -> int:
        """Return how many (photo, view) pairs are not in the store, without computing anything."""
        if self._store is None or not self._engine.verified:
            return len(entries) * len(views)
        return sum(len(self._store.missing(self._keys([(entry, view) for entry in entries]))) for view in views)

    def fill(self, entries: Sequence[Entry], views: Sequence[int], bar: Bar | None = None) -> int:
        """Compute the missing views of the photos, store them, and return how many were computed.

        Raises:
            DecodeError: a photo cannot be decoded; the message names it.
        """
        fill_together(entries, lambda own: self._fill(own, views))
        return self._fill(entries, views, bar)

    def _fill(self, entries: Sequence[Entry], views: Sequence[int], bar: Bar | None = None) -> int:
        computed = 0
        for view in views:
            keys = self._keys([(entry, view) for entry in entries])
            missing = range(len(keys)) if self._store is None else self._store.missing(keys)
            first = {keys[i]: i for i in reversed(missing)}  # compute exact copies once
            if bar is not None:
                bar.advance(len(entries) - len(first))
            for _ in self._compute([entries[i] for i in sorted(first.values())], view, bar):
                computed += 1
        return computed

    def batch(self, items: Sequence[tuple[Entry, int]]) -> NDArray[np.float32]:
        """Return the activations of (photo, view) pairs, shape (b, ...), float32, in the order of ``items``.

        Raises:
            DecodeError: a photo cannot be decoded; the message names it.
        """
        rows: dict[int, FeatureArray] = {}
        if self._store is not None:
            rows = dict(self._store.get_many(self._keys(items)))
        for view in sorted({view for i, (_, view) in enumerate(items) if i not in rows}):
            positions = [i for i, (_, v) in enumerate(items) if v == view and i not in rows]
            rows |= zip(positions, self._compute([items[i][0] for i in positions], view), strict=True)
        return np.stack([rows[i] for i in range(len(items))]).astype(np.float32)

    def _compute(self, entries: Sequence[Entry], view: int, bar: Bar | None = None) -> Iterator[FeatureArray]:
        """Compute, store and yield the activations of one view of the photos, in order."""
        engine = self._engine
        buffer = WriteBuffer(
            self._store, f"{self._lower.spec.name} · {view_name(view).partition('/')[0]} · {engine.title}"
        )
        try:
            for index, values, failed in run_batches(engine, self._pixels(entries, view)):
                for position, why in failed:
                    raise DecodeError(f"{entries[position].name}: {why}")
                for position, row in zip(index.tolist(), self._rounded(values), strict=True):
                    (key,) = self._keys([(entries[position], view)])
                    buffer.put(key, row)
                    yield row
                    if bar is not None:
                        bar.advance(1)
        finally:
            buffer.flush()

    def _pixels(self, entries: Sequence[Entry], view: int) -> Iterator[DecodedBatch]:
        """Return the batches of one view of the photos."""
        size = self._engine.batch_size
        if self._reduced is not None and view >= FIRST_CROP:
            return self._reduced.batches(entries, AUGMENTATION, fixed_view_key(view), batch_size=size)
        task = fixed_view_task(self._lower.spec.preprocessing, view)
        return decode_in_order(entries, task, batch_size=size, workers=self._workers)

    def _rounded(self, values: NDArray[np.float32]) -> FeatureArray:
        if not self._half:
            return values
        return np.clip(values, -_MAX_FLOAT16, _MAX_FLOAT16).astype(np.float16)

    def _keys(self, items: Sequence[tuple[Entry, int]]) -> list[FeatureKey]:
        spec = self._lower.spec
        numerics = f"{self._engine.numerics}/{'half' if self._half else 'single'}"
        source = "" if self._reduced is None else self._reduced.source
        return [
            feature_key(
                entry.content, spec.preprocessing.id, view_name(view, source), self._weights, spec.name, numerics
            )
            for entry, view in items
        ]


class ActivationBatches:
    """Batches of activations for training, with random access to any batch of any epoch.

    The order of an epoch depends on (seed, epoch). Each photo goes through its views in turn from epoch to epoch.
    Photos start at different views, so that every epoch mixes them.

    Args:
        activations: source of the activations.
        entries: photos that are known to decode.
        labels: class index of each photo.
        weight: weight of each photo in the loss, shape (n,), float32; None for batches without weights.
        views: number of views.
        first: number of the first view.
        seed: seed of the order.
        batch_size: photos per batch.
        shuffle: whether to shuffle each epoch.
    """

    def __init__(
        self,
        activations: Activations,
        entries: Sequence[Entry],
        labels: Sequence[int] | NDArray[np.int64],
        *,
        weight: NDArray[np.float32] | None = None,
        views: int = 1,
        first: int = 0,
        seed: int = 0,
        batch_size: int = 32,
        shuffle: bool = False,
    ) -> None:
        self._activations, self.entries, self.views, self.first = activations, entries, views, first
        self.labels, self.weight = np.asarray(labels, dtype=np.int64), weight
        self.seed, self.batch_size, self.shuffle = seed, batch_size, shuffle

    def __len__(self) -> int:
        """Return the number of batches per epoch."""
        return math.ceil(len(self.entries) / self.batch_size)

    def view(self, entry: Entry, epoch: int) -> int:
        """Return the number of the view that shows the photo in an epoch."""
        return self.first + view_in_epoch(entry.content, epoch, self.views)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[torch.Tensor, ...]]:
        """Yield the batches of one epoch, starting at batch ``start``.

        Yields:
            Activations, shape (B, ...), float32, channels-last for images; class indices, shape (B,), int64; and, if
            there are weights, weights of shape (B,), float32.

        Raises:
            DecodeError: a photo cannot be decoded; the message names it.
        """
        return self._read(epoch, self._rows(epoch, start))

    def epoch_part(self, epoch: int, start: int, bounds: Bounds) -> Iterator[Part]:
        """Yield the rows of each batch that one of several processes computes; no other row is read.

        Args:
            epoch: number of the epoch.
            start: number of its first batch.
            bounds: returns the first row, and the one after the last, for the size of a batch.
        """
        rows = self._rows(epoch, start)
        own = [part[slice(*bounds(len(part)))] for part in rows]
        batches = self._read(epoch, [part for part in own if len(part)])
        for whole, part in zip(rows, own, strict=True):
            yield Part(len(whole), next(batches) if len(part) else None)

    def _rows(self, epoch: int, start: int) -> list[NDArray[np.int64]]:
        """Return the positions of the photos of each batch of an epoch, from batch ``start`` on."""
        n = len(self.entries)
        order = permutation(n, "order", self.seed, epoch) if self.shuffle else np.arange(n, dtype=np.int64)
        return [order[i : i + self.batch_size] for i in range(start * self.batch_size, n, self.batch_size)]

    def _read(self, epoch: int, parts: Sequence[NDArray[np.int64]]) -> Iterator[tuple[torch.Tensor, ...]]:
        """Yield the batches of the photos at ``parts``."""

        def read(part: NDArray[np.int64]) -> torch.Tensor:
            chosen = [self.entries[i] for i in part.tolist()]
            values = self._activations.batch([(entry, self.view(entry, epoch)) for entry in chosen])
            return channels_last(torch.from_numpy(values))

        batches = map_in_order(read, parts, workers=1, ahead=_READ_AHEAD)
        try:
            for part, x in zip(parts, batches, strict=True):
                labels = torch.from_numpy(self.labels[part])
                yield (x, labels) if self.weight is None else (x, labels, torch.from_numpy(self.weight[part]))
        finally:
            batches.close()


def view_in_epoch(content: str, epoch: int, views: int) -> int:
    """Return the index of the view that an epoch shows of a photo: views take turns, starting at one set by content."""
    return (int(content[:8], 16) + epoch) % views


def channels_last(x: torch.Tensor) -> torch.Tensor:
    """Return images (B, C, H, W) in channels-last layout, which is fast for convolutions; other tensors unchanged."""
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x
