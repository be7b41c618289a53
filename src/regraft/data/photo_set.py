"""`PhotoSet`: the photos of one side of the split as a map-style data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from regraft.data.agreement import check_agreement
from regraft.data.augmentation import Augmentation
from regraft.data.loading.loader import PhotoBatches
from regraft.data.loading.photo_task import LoadPhoto
from regraft.data.manifest import Entry
from regraft.data.preprocessing import Preprocessing, normalise
from regraft.data.source import composed
from regraft.errors import DecodeError

if TYPE_CHECKING:
    import torch


class PhotoSet:
    """Photos of one side: a map-style data set of (photo, class index).

    Attributes:
        classes: names of the classes; index i is ``classes[i]``.
        entries: the photos, in name order.
        labels: the class index of each, shape (n,), int64.
        preprocessing: preprocessing of the photos.
        augmentation: ranges of the random views, or None.
        epoch: the epoch whose views `__getitem__` returns, equal to those of `batches`; if None, each call returns a
            new view, drawn by torch's global generator (of the worker, inside a ``DataLoader``).
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        classes: Sequence[str],
        preprocessing: Preprocessing,
        *,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        workers: int | None = None,
    ) -> None:
        index = {composed(name): i for i, name in enumerate(classes)}
        self.classes, self.entries = tuple(classes), list(entries)
        self.labels = np.array([index[composed(entry.label)] for entry in entries], dtype=np.int64)
        self.preprocessing, self.augmentation = preprocessing, augmentation
        self.seed, self.workers = seed, workers
        self.epoch: int | None = None

    def __len__(self) -> int:
        """Return the number of photos."""
        return len(self.entries)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        """Return photo ``i`` as a normalized float32 tensor of shape (3, H, W), and its class index.

        Raises:
            DecodeError: it can no longer be decoded; its name is in the message.
            IndexError: ``i`` is out of range.
            TypeError: ``i`` is not an integer.
        """
        index: Any = i
        if type(index) is bool or not hasattr(index, "__index__"):
            raise TypeError(
                f"the index of a photo must be an integer, found {index!r}; for a part of the photos use "
                "torch.utils.data.Subset(photos, range(10))"
            )
        entry = self.entries[i]
        try:
            pixels = LoadPhoto(self.preprocessing, self.augmentation, self._view())(entry)
        except DecodeError as error:
            raise DecodeError(f"{entry.name}: {error}") from error
        return normalise(pixels[None], self.preprocessing)[0], int(self.labels[i])

    def __iter__(self) -> Iterator[tuple[torch.Tensor, int]]:
        """Yield every photo in turn."""
        return (self[i] for i in range(len(self)))

    def batches(self, batch_size: int = 32, *, shuffle: bool = False, drop_last: bool = False) -> PhotoBatches:
        """Return these photos as seekable batches, decoded in threads.

        Raises:
            ConfigError: ``batch_size`` is not a positive integer.
        """
        return PhotoBatches(
            self.entries,
            self.labels,
            self.preprocessing,
            augmentation=self.augmentation,
            seed=self.seed,
            batch_size=batch_size,
            shuffle=shuffle,
            workers=self.workers,
            drop_last=drop_last,
            dataset=self,
        )

    def check_module(self, module: Any) -> str:
        """Compare preprocessing and classes with those of a network.

        `Trainer` calls this method of a data set, if it exists, before the first step.

        Returns:
            A warning, or an empty string.

        Raises:
            ConfigError: they differ; all differences are listed.
        """
        return check_agreement(self.preprocessing, self.classes, module)

    def _view(self) -> tuple[str | int, ...]:
        """Return the key of the next view."""
        if self.augmentation is None or self.epoch is not None:
            return self.seed, self.epoch or 0
        import torch

        return self.seed, "drawn", int(torch.randint(2**62, ()).item())
