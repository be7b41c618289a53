"""Batches of decoded photos, in order, decoded by threads a bounded number ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from regraft.data.augmentation import Augmentation
from regraft.data.file_types import why_unreadable
from regraft.data.loading.photo_task import LoadPhoto
from regraft.data.loading.worker_processes import run_task
from regraft.data.manifest import Entry
from regraft.data.preprocessing import Preprocessing, normalise
from regraft.data.threads import decoding_threads, map_in_order
from regraft.distributed.shards import Bounds, Part
from regraft.errors import ConfigError, DecodeError
from regraft.randomness import permutation

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from regraft.data.loading.reduced_views import ReducedViews


@dataclass
class DecodedBatch:
    """A batch of decoded photos.

    Attributes:
        index: shape (b,), int64, positions in the entries.
        pixels: shape (b, H, W, 3), uint8; row i belongs to ``index[i]``.
        failed: photos of this batch that could not be decoded, as (position, reason).
    """

    index: NDArray[np.int64]
    pixels: NDArray[np.uint8]
    failed: list[tuple[int, str]] = field(default_factory=list)


def decode_in_order(
    entries: Sequence[Entry],
    load: Callable[[Entry], NDArray[np.uint8]],
    *,
    batch_size: int,
    workers: int | None = None,
    order: Sequence[int] | None = None,
) -> Iterator[DecodedBatch]:
    """Yield the photos in batches, in order, decoded by threads a bounded number ahead.

    Args:
        entries: photos to decode.
        load: returns the pixels of one photo, shape (H, W, 3). It is called in the threads; a `LoadPhoto` is run in the
            worker processes if there are any (`regraft.data.loading.worker_processes`).
        batch_size: photos per batch. A photo that fails is missing from its batch, which may leave it empty.
        workers: number of threads; None for `regraft.data.threads.decoding_threads`, 0 for the calling thread.
        order: positions in ``entries`` to visit, in this order; None for all.

    Yields:
        `DecodedBatch`, one for every ``batch_size`` positions. Photos that raise `DecodeError` or `OSError` are in
        ``failed``; any other exception of ``load`` is raised.
    """
    workers = decoding_threads([entry.path for entry in entries]) if workers is None else workers
    positions = range(len(entries)) if order is None else [int(i) for i in order]

    def work(position: int) -> NDArray[np.uint8] | str:
        entry = entries[position]
        try:
            return run_task(load, entry) if isinstance(load, LoadPhoto) else load(entry)
        except DecodeError as error:
            return str(error)
        except OSError as error:
            return why_unreadable(error, entry.path)

    results = map_in_order(work, positions, workers=workers, ahead=batch_size + 2 * workers)
    try:
        yield from collect(positions, results, batch_size)
    finally:
        results.close()


def collect(
    positions: Sequence[int], results: Iterator[NDArray[np.uint8] | str], batch_size: int
) -> Iterator[DecodedBatch]:
    """Yield batches of the results: the pixels of each photo, or the reason why it could not be decoded."""
    for first in range(0, len(positions), batch_size):
        part = positions[first : first + batch_size]
        yield _batch(part, [next(results) for _ in part])


def _batch(positions: Sequence[int], results: Sequence[NDArray[np.uint8] | str]) -> DecodedBatch:
    pairs = list(zip(positions, results, strict=True))
    good = [(i, pixels) for i, pixels in pairs if not isinstance(pixels, str)]
    failed = [(i, why) for i, why in pairs if isinstance(why, str)]
    pixels = np.stack([p for _, p in good]) if good else np.empty((0, 0, 0, 3), dtype=np.uint8)
    return DecodedBatch(np.array([i for i, _ in good], dtype=np.int64), pixels, failed)


class PhotoBatches:
    """Batches of photos for training; an epoch can start at any batch without computing those before it.

    The order of an epoch depends on (seed, epoch), a view on (seed, epoch, content), and neither on the workers.

    Args:
        entries: photos that can be decoded.
        labels: the class index of each.
        preprocessing: preprocessing of the backbone.
        augmentation: ranges of the random views; None for evaluation pixels.
        seed: seed of the order and the views.
        batch_size: photos per batch.
        shuffle: whether each epoch has its own order.
        workers: number of decoding threads; None for `regraft.data.threads.decoding_threads`, 0 for the calling thread.
        drop_last: whether an incomplete last batch is left out.
        dataset: the data set of the photos, if any; a `Trainer` asks it whether its network matches.
        reduced: source of views that decodes each photo once; None to decode each photo in each epoch.

    Raises:
        ValueError: the numbers of photos and labels differ.
        ConfigError: ``batch_size`` is not a positive integer.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        labels: Sequence[int] | NDArray[np.int64],
        preprocessing: Preprocessing,
        *,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        batch_size: int = 32,
        shuffle: bool = False,
        workers: int | None = None,
        drop_last: bool = False,
        dataset: Any = None,
        reduced: ReducedViews | None = None,
    ) -> None:
        if len(entries) != len(labels):
            raise ValueError(f"{len(entries)} photos, but {len(labels)} labels; expected one label per photo")
        number: Any = batch_size
        if type(number) is bool or not isinstance(number, (int, np.integer)) or number < 1:
            raise ConfigError(f"batch_size must be positive, not {batch_size!r}: expected a whole number such as 32")
        self.entries, self.preprocessing, self.augmentation = entries, preprocessing, augmentation
        self.labels = np.asarray(labels, dtype=np.int64)
        self.seed, self.batch_size, self.shuffle, self.drop_last = seed, batch_size, shuffle, drop_last
        self.workers, self.dataset, self.reduced = workers, dataset, reduced

    @property
    def size(self) -> int:
        """Number of photos in an epoch."""
        return len(self) * self.batch_size if self.drop_last else len(self.entries)

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        n = len(self.entries)
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Return the positions of an epoch's photos, in order, shape (size,), int64."""
        n = len(self.entries)
        order = permutation(n, "order", self.seed, epoch) if self.shuffle else np.arange(n, dtype=np.int64)
        return order[: self.size]

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the batches of one epoch, beginning with batch ``start``; earlier ones are not decoded.

        Yields:
            Photos, shape (B, 3, H, W), float32, channels-last; and class indices, shape (B,), int64.

        Raises:
            DecodeError: a photo cannot be decoded; its name is in the message.
        """
        yield from self._read(epoch, self.order(epoch)[start * self.batch_size :].tolist(), self.batch_size)

    def epoch_part(self, epoch: int, start: int, bounds: Bounds) -> Iterator[Part]:
        """Yield the rows of each batch that one of several processes computes; no other photo is decoded.

        Args:
            epoch: number of the epoch.
            start: number of its first batch.
            bounds: returns the first row, and the one after the last, for the size of a batch.

        Raises:
            DecodeError: a photo cannot be decoded; its name is in the message.
        """
        order = self.order(epoch)[start * self.batch_size :]
        whole, rest = divmod(len(order), self.batch_size)
        for count, size in ((whole, self.batch_size), (1, rest)):
            if not count or not size:
                continue
            first, end = bounds(size)
            rows, order = order[: count * size].reshape(count, size)[:, first:end], order[count * size :]
            batches = self._read(epoch, rows.ravel().tolist(), end - first) if end > first else iter([None] * count)
            yield from (Part(size, batch) for batch in batches)

    def _read(self, epoch: int, order: Sequence[int], batch_size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the photos at the positions ``order``, in batches."""
        import torch

        if self.reduced is not None:
            key = (self.seed, epoch)
            for index, x in self.reduced.inputs(
                self.entries, self.augmentation, key, batch_size=batch_size, order=order
            ):
                yield x, torch.from_numpy(self.labels[index])
            return
        load = LoadPhoto(self.preprocessing, self.augmentation, (self.seed, epoch))
        for batch in decode_in_order(self.entries, load, batch_size=batch_size, workers=self.workers, order=order):
            for position, why in batch.failed:
                raise DecodeError(f"{self.entries[position].name}: {why}")
            yield normalise(batch.pixels, self.preprocessing), torch.from_numpy(self.labels[batch.index])
