"""Batches of views that are cut from reduced photos, by Pillow in threads or by tensors on a graphics processor.

A view is the same function of the photo and its key in both cases, within rounding. On a graphics processor the reduced
photos stay in its memory as far as a quarter of it allows; only the first epoch sends them there.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from PIL import Image

from regraft.data.augmentation import Augmentation, draw_view, random_view
from regraft.data.loading.loader import DecodedBatch, collect
from regraft.data.loading.pixel_cache import PixelCache
from regraft.data.preprocessing import normalise
from regraft.data.threads import map_in_order
from regraft.errors import DecodeError

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from regraft.data.manifest import Entry
    from regraft.randomness import Part

DEVICE_SHARE = 0.25
"""Share of the free memory of a graphics processor that reduced photos may take."""

_CHUNK = 8  # photos that a thread reads from the disk at once

R = TypeVar("R")


class ReducedViews:
    """Source of training views of reduced photos, and of evaluation pixels; each photo is decoded once.

    Args:
        pixels: decodes the photos, or has them cached.
        device: graphics processor that computes the views; None for threads of this process.
        room: bytes of its memory for reduced photos.
        workers: number of threads; 0 for the calling thread.
    """

    def __init__(
        self, pixels: PixelCache, *, device: torch.device | None = None, room: int = 0, workers: int = 0
    ) -> None:
        self._pixels, self._p = pixels, pixels.preprocessing
        self._device, self._room, self._workers = device, room, workers
        self._on_device: dict[str, torch.Tensor] = {}

    @property
    def source(self) -> str:
        """Id of the reduced photos that views are cut from."""
        return self._pixels.reduction.id

    def batches(
        self,
        entries: Sequence[Entry],
        augmentation: Augmentation | None,
        key: Sequence[Part],
        *,
        batch_size: int,
        order: Sequence[int] | None = None,
    ) -> Iterator[DecodedBatch]:
        """Yield one view of each photo, in order, in the form of `regraft.data.loading.loader.decode_in_order`.

        Pillow computes these views: their bits depend neither on the batch nor on the device.

        Args:
            entries: the photos.
            augmentation: ranges of the random views; None for evaluation pixels.
            key: key of the random values, without the photo's content, such as ``(seed, epoch)``.
            batch_size: photos per batch.
            order: positions in ``entries`` to visit, in this order; None for all.
        """
        positions = list(range(len(entries))) if order is None else list(order)

        def load(some: Sequence[Entry]) -> list[NDArray[np.uint8] | str]:
            if augmentation is None:
                return self._pixels.evaluation(some)
            pairs = zip(some, self._pixels.reduced(some), strict=True)
            return [
                reduced if isinstance(reduced, str) else self._view(reduced, augmentation, *key, entry.content)
                for entry, reduced in pairs
            ]

        with closing(self._in_order(load, entries, positions, batch_size)) as results:
            yield from collect(positions, results, batch_size)

    def inputs(
        self,
        entries: Sequence[Entry],
        augmentation: Augmentation | None,
        key: Sequence[Part],
        *,
        batch_size: int,
        order: Sequence[int],
    ) -> Iterator[tuple[NDArray[np.int64], torch.Tensor]]:
        """Yield (positions, normalized input of the network) of each batch, on the device that computes the views.

        The views of a graphics processor are those of `batches` within rounding, which may depend on the batch.

        Args:
            entries: the photos.
            augmentation: ranges of the random views; None for evaluation pixels.
            key: key of the random values, without the photo's content.
            batch_size: photos per batch.
            order: positions in ``entries`` to visit, in this order.

        Raises:
            DecodeError: a photo cannot be decoded; its name is in the message.
        """
        if augmentation is None or self._device is None:
            for batch in self.batches(entries, augmentation, key, batch_size=batch_size, order=order):
                _raise_first(batch.failed, entries)
                yield batch.index, normalise(batch.pixels, self._p)
            return
        from regraft.data.loading.device_views import normalize_on_device

        for index, views, failed in self._device_views(entries, augmentation, key, order, batch_size):
            _raise_first(failed, entries)
            yield index, normalize_on_device(views, self._p)

    def _view(self, reduced: NDArray[np.uint8], a: Augmentation, *key: Part) -> NDArray[np.uint8]:
        return random_view(Image.fromarray(reduced), self._p, a, *key)

    def _in_order(
        self,
        load: Callable[[Sequence[Entry]], list[R]],
        entries: Sequence[Entry],
        positions: Sequence[int],
        batch_size: int,
    ) -> Generator[R, None, None]:
        """Yield the results of ``load`` for the photos, in order, computed by threads a bounded number ahead."""
        chunks = [[entries[i] for i in positions[k : k + _CHUNK]] for k in range(0, len(positions), _CHUNK)]
        ahead = -(-batch_size // _CHUNK) + self._workers
        results = map_in_order(load, chunks, workers=self._workers, ahead=ahead)
        try:
            yield from itertools.chain.from_iterable(results)
        finally:
            results.close()
            self._pixels.flush()

    def _device_views(
        self, entries: Sequence[Entry], a: Augmentation, key: Sequence[Part], order: Sequence[int], batch_size: int
    ) -> Iterator[tuple[NDArray[np.int64], torch.Tensor, list[tuple[int, str]]]]:
        """Yield (positions, views of shape (b, 3, H, W) on the device, failures) of each batch."""
        import torch

        from regraft.data.loading.device_views import views_on_device

        with closing(self._in_order(self._reduced_or_unchanged, entries, order, batch_size)) as results:
            for first in range(0, len(order), batch_size):
                good, failed = [], []
                for position in order[first : first + batch_size]:
                    reduced = next(results)
                    if isinstance(reduced, str):
                        failed.append((position, reduced))
                    else:
                        good.append((position, self._sent(entries[position], reduced)))
                draws = [draw_view((x.shape[2], x.shape[1]), a, (*key, entries[i].content)) for i, x in good]
                views = views_on_device([x for _, x in good], draws, self._p) if good else torch.empty((0, 3, 0, 0))
                yield np.array([i for i, _ in good], dtype=np.int64), views, failed

    def _reduced_or_unchanged(self, entries: Sequence[Entry]) -> list[NDArray[np.uint8] | str | None]:
        """Return the reduced photos; None for those on the device, whose files are compared instead."""
        missing = [entry for entry in entries if entry.content not in self._on_device]
        reduced = iter(self._pixels.reduced(missing))
        return [next(reduced) if entry in missing else self._why_changed(entry) for entry in entries]

    def _why_changed(self, entry: Entry) -> str | None:
        try:
            self._pixels.check_unchanged(entry)
        except DecodeError as error:
            return str(error)
        return None

    def _sent(self, entry: Entry, pixels: NDArray[np.uint8] | None) -> torch.Tensor:
        """Return a reduced photo on the device, shape (3, h, w), uint8; it stays there if there is room."""
        import torch

        if pixels is None:
            return self._on_device[entry.content]
        photo = torch.from_numpy(pixels.transpose(2, 0, 1).copy()).to(self._device)
        if photo.nbytes <= self._room and entry.content not in self._on_device:
            self._on_device[entry.content] = photo
            self._room -= photo.nbytes
        return photo


def _raise_first(failed: Sequence[tuple[int, str]], entries: Sequence[Entry]) -> None:
    for position, why in failed:
        raise DecodeError(f"{entries[position].name}: {why}")
