"""`ImageFolder`: a folder of photos as data sets for training, each photo on its side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from regraft.data.loader import PhotoBatches, decode_in_order
from regraft.data.loading import Loading
from regraft.data.manifest import Entry, Manifest, check_usable, scan
from regraft.data.photo import Side
from regraft.data.preprocessing import Preprocessing, normalise
from regraft.data.source import find_photos
from regraft.data.split import assign, check_split, take_given
from regraft.data.threads import workers_or_default
from regraft.data.views import Augmentation
from regraft.errors import DecodeError

if TYPE_CHECKING:
    import torch


class PhotoSet:
    """Photos of one side: a map-style data set of (photo, class index).

    Attributes:
        classes: names of the classes; index i is ``classes[i]``.
        entries: the photos, in name order.
        labels: the class index of each, shape (n,), int64.
        preprocessing: how pixels are made.
        augmentation: what views are drawn from, or None.
        epoch: which views `__getitem__` gives; set it before each epoch where there is an augmentation.
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
        index = {name: i for i, name in enumerate(classes)}
        self.classes, self.entries = tuple(classes), list(entries)
        self.labels = np.array([index[entry.label] for entry in entries], dtype=np.int64)
        self.preprocessing, self.augmentation = preprocessing, augmentation
        self.seed, self.workers, self.epoch = seed, workers, 0

    def __len__(self) -> int:
        """Return the number of photos."""
        return len(self.entries)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        """Return photo ``i`` as a float32 tensor of shape (3, H, W), normalised, and its class index.

        Raises:
            DecodeError: it cannot be decoded any more; the message names it.
            IndexError: there is no such photo.
        """
        entry = self.entries[i]
        try:
            pixels = Loading(self.preprocessing, self.augmentation, (self.seed, self.epoch))(entry)
        except DecodeError as error:
            raise DecodeError(f"{entry.name}: {error}") from error
        return normalise(pixels[None], self.preprocessing)[0], int(self.labels[i])

    def __iter__(self) -> Iterator[tuple[torch.Tensor, int]]:
        """Yield every photo in turn."""
        return (self[i] for i in range(len(self)))

    def batches(self, batch_size: int = 32, *, shuffle: bool = False, drop_last: bool = False) -> PhotoBatches:
        """Return these photos as seekable batches, decoded in threads."""
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
        )


class ImageFolder(PhotoSet):
    """The photos of a folder; the data set itself is the train side, ``.validation`` and ``.test`` are the others.

    Args:
        root: a folder per class; or train/ and val/ [and test/] with such folders.
        labels: a CSV of path,label[,split,group] that says the classes instead.
        size: side of the square that the network sees, in pixels.
        mean: of each channel in [0, 1].
        std: of each channel in [0, 1].
        augmentation: what views of the train side are drawn from; None for none.
        split_seed: of the split by content, where none is given.
        split: shares of train, validation and test, where none is given.
        seed: of the views and orders.
        preprocessing: all of how pixels are made, instead of ``size``, ``mean`` and ``std``.
        workers: threads that read and decode; None for one per processor.
        check: whether every photo is decoded once now, so that a damaged one is put aside here and not met in the
            middle of an epoch.

    Attributes:
        manifest: every file and its fate.
        notes: what is worth saying about the folder and the split.
        train: this data set itself.
        validation: the validation side, without augmentation, or None where it has no photos.
        test: the test side, likewise.

    Raises:
        PhotosError: the folder or the CSV is not what is needed, or a class has no photo to train on.
    """

    def __init__(
        self,
        root: Path | str,
        labels: Path | str | None = None,
        *,
        size: int = 224,
        mean: tuple[float, float, float] = (0.5, 0.5, 0.5),
        std: tuple[float, float, float] = (0.5, 0.5, 0.5),
        augmentation: Augmentation | None = None,
        split_seed: int = 0,
        split: tuple[float, float, float] = (0.8, 0.1, 0.1),
        seed: int = 0,
        preprocessing: Preprocessing | None = None,
        workers: int | None = None,
        check: bool = True,
    ) -> None:
        wanted = preprocessing or Preprocessing(height=size, width=size, mean=mean, std=std)
        workers = workers_or_default(workers)
        source = find_photos(root, labels)
        self.manifest = scan(source, workers=workers)
        if check:
            put_undecodable_aside(self.manifest, wanted, workers=workers)
        notes = [*source.notes, *check_usable(self.manifest)]
        notes += _divide(self.manifest, bool(source.given_split), split_seed, split)
        check_split(self.manifest)
        self.notes = tuple(notes)
        common: dict[str, Any] = {"seed": seed, "workers": workers}
        super().__init__(self._on("train"), self.manifest.classes, wanted, augmentation=augmentation, **common)
        self.train: PhotoSet = self
        self.validation = self._side("validation", wanted, common)
        self.test = self._side("test", wanted, common)

    def _on(self, side: Side) -> list[Entry]:
        return [entry for entry in self.manifest.usable if entry.side == side]

    def _side(self, side: Side, preprocessing: Preprocessing, common: dict[str, Any]) -> PhotoSet | None:
        entries = self._on(side)
        return PhotoSet(entries, self.manifest.classes, preprocessing, **common) if entries else None


def put_undecodable_aside(manifest: Manifest, p: Preprocessing, *, workers: int) -> None:
    """Decode every usable photo once and put those aside that cannot be."""
    entries = manifest.usable
    for batch in decode_in_order(entries, Loading(p), batch_size=32, workers=workers):
        for position, why in batch.failed:
            manifest.set_aside(entries[position], why)


def _divide(manifest: Manifest, given: bool, seed: int, fractions: tuple[float, float, float]) -> tuple[str, ...]:
    if given:
        return take_given(manifest)
    split = assign(manifest.usable, seed=seed, fractions=fractions)
    for entry in manifest.usable:
        entry.side = split.sides[entry.content]
    return split.notes
