"""`ImageFolder`: a folder of photos as data sets for training, validation and test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from regraft.data.augmentation import Augmentation
from regraft.data.folder_rendering import rendered_preprocessing
from regraft.data.given_sides import check_split, use_given_sides
from regraft.data.image_folder_arguments import ImageFolderArguments, check_arguments, check_classes, ordered_classes
from regraft.data.loading.loader import decode_in_order
from regraft.data.loading.photo_task import LoadPhoto
from regraft.data.manifest import Entry, Manifest, check_usable, scan
from regraft.data.photo import FolderMeaning, Side
from regraft.data.photo_places import photo_places
from regraft.data.photo_set import PhotoSet
from regraft.data.preprocessing import Preprocessing
from regraft.data.selection import PhotoSelection
from regraft.data.source import select_photos
from regraft.data.split import DEFAULT_SHARES, split_by_content
from regraft.data.tables.table import TableSource
from regraft.data.threads import workers_or_default
from regraft.screen import Screen, screen_for
from regraft.text import counted

__all__ = ["ImageFolder", "PhotoSet"]

_MAX_NAMED = 5
"""Number of skipped photos that the note lists by name."""


class ImageFolder(PhotoSet):
    """The training photos of a folder as a data set, with ``.validation`` and ``.test`` as further data sets.

    Args:
        root: a folder per class; or train/ and val/ [and test/] with such folders; or an archive (zip, tar) of these.
        labels: a CSV, an Excel file or a data frame of path,label[,split,group] with the classes, in place of class
            folders.
        network: the network that will process the photos; it determines their preprocessing. A `Backbone`, a network
            of timm, or a `Classifier`, which also determines the classes.
        classes: names of the classes in the order of the labels; by code points if None.
        size: side of the network's square input, in pixels; 224 by default.
        mean: mean of each channel, in [0, 1]; 0.5 by default.
        std: standard deviation of each channel, in [0, 1]; 0.5 by default.
        augmentation: ranges of the random views of the training photos; None for no augmentation.
        split_seed: seed of the split by content, if the folder or the CSV has no split.
        split: shares of train, validation and test, likewise: ``(0.8, 0.1, 0.1)`` or ``"80/10/10"``.
        seed: seed of the views and orders.
        preprocessing: the preprocessing, in place of ``network``, or of ``size``, ``mean`` and ``std``.
        workers: number of threads that read and decode; None for one per processor.
        check: whether every photo is decoded once now, so that damaged photos are skipped here instead of raising an
            error in the middle of an epoch.
        screen: where notes on skipped photos and on the folder are printed; standard output if None.
        folders: the meaning of the folders in ``root``: ``"classes"``, ``"sides"`` of a split or ``"parts"``, with the
            classes in them; recognized by their names if None.
        label_from: ``"prefix"`` for classes in the names of the photos such as ``cat.0.jpg``, or a regular expression
            with a group named ``label``; None if folders are classes.

    16-bit gray with fewer bits fills the range, and transparent photos get a ground on which the picture shows, as in
    `train`; both become part of the preprocessing, and of that of a `Backbone` given as ``network``. A classifier and
    ``preprocessing`` keep theirs.

    Attributes:
        manifest: every file with its class, side and status.
        notes: the printed notes.
        train: this data set itself.
        validation: the validation photos, without augmentation, or None if there are none.
        test: the test photos, likewise.

    Raises:
        ConfigError: arguments are invalid; all of them are listed, with the expected values.
        PhotosError: the folder or the CSV is invalid, or a class has no photo to train on.

    Example:
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> import regraft as rg
        >>> for i, name in enumerate(["train/ant", "train/bee", "val/ant", "val/bee"]):
        ...     Path("photos", name).mkdir(parents=True)
        ...     for size in (48, 64, 80):
        ...         Image.new("RGB", (size, 60), (50 * i, 99, 0)).save(Path("photos", name, f"{size}.png"))
        >>> photos = rg.ImageFolder("photos", size=32)
        >>> photos.classes, len(photos), len(photos.validation), photos.test
        (('ant', 'bee'), 6, 6, None)
        >>> x, y = photos[0]
        >>> x.shape
        torch.Size([3, 32, 32])
    """

    def __init__(
        self,
        root: Path | str,
        labels: TableSource | None = None,
        *,
        network: Any = None,
        classes: Sequence[str] | None = None,
        size: int | None = None,
        mean: tuple[float, float, float] | None = None,
        std: tuple[float, float, float] | None = None,
        augmentation: Augmentation | None = None,
        split_seed: int = 0,
        split: tuple[float, float, float] | str = DEFAULT_SHARES,
        seed: int = 0,
        preprocessing: Preprocessing | None = None,
        workers: int | None = None,
        check: bool = True,
        screen: Screen | None = None,
        folders: FolderMeaning | None = None,
        label_from: str | None = None,
    ) -> None:
        wanted = check_arguments(
            ImageFolderArguments(
                root, labels, network, classes, size, mean, std, augmentation, split_seed, split, seed, preprocessing,
                workers, check, folders, label_from,
            )
        )  # fmt: skip
        workers = workers_or_default(workers)
        places, labels = photo_places((root,), labels)
        source = select_photos(PhotoSelection(places[0], labels=labels, folders=folders, label_from=label_from))
        check_classes(source.classes, wanted)
        self.manifest = scan(source, workers=workers)
        prepared, rendering_notes = rendered_preprocessing(wanted, self.manifest.usable, workers=workers)
        if check:
            exclude_undecodable(self.manifest, prepared, workers=workers)
        notes = [*source.notes, *rendering_notes, *_skipped_notes(self.manifest), *check_usable(self.manifest)]
        notes += _assign_sides(self.manifest, bool(source.given_sides), split_seed, wanted.shares)
        check_split(self.manifest)
        self.manifest.classes = ordered_classes(self.manifest.classes, wanted)
        self.notes = tuple(notes)
        for note in notes:
            (screen or screen_for()).warn(note)
        common: dict[str, Any] = {"seed": seed, "workers": workers}
        entries = self._entries_on("train")
        super().__init__(entries, self.manifest.classes, prepared, augmentation=augmentation, **common)
        self.train: PhotoSet = self
        self.validation = self._photo_set("validation", prepared, common)
        self.test = self._photo_set("test", prepared, common)

    def _entries_on(self, side: Side) -> list[Entry]:
        return [entry for entry in self.manifest.usable if entry.side == side]

    def _photo_set(self, side: Side, preprocessing: Preprocessing, common: dict[str, Any]) -> PhotoSet | None:
        entries = self._entries_on(side)
        return PhotoSet(entries, self.manifest.classes, preprocessing, **common) if entries else None


def exclude_undecodable(manifest: Manifest, p: Preprocessing, *, workers: int) -> None:
    """Decode every usable photo once, and mark the undecodable ones as unusable in the manifest."""
    entries = manifest.usable
    for batch in decode_in_order(entries, LoadPhoto(p), batch_size=32, workers=workers):
        for position, why in batch.failed:
            manifest.set_aside(entries[position], why)


def _skipped_notes(manifest: Manifest) -> list[str]:
    """Return a note on the skipped photos with their reasons, if there are any."""
    aside = [entry for entry in manifest.entries if entry.status == "put aside"]
    if not aside:
        return []
    few = "; ".join(f"{entry.name}: {entry.why}" for entry in aside[:_MAX_NAMED])
    more = f"; and {len(aside) - _MAX_NAMED:,} more" if len(aside) > _MAX_NAMED else ""
    return [f"{counted(len(aside), 'photo is', 'photos are')} skipped ({few}{more})"]


def _assign_sides(
    manifest: Manifest, user_split: bool, seed: int, fractions: tuple[float, float, float]
) -> tuple[str, ...]:
    if user_split:
        unused = ("split is not used: the photos have a split of their own",) if fractions != DEFAULT_SHARES else ()
        return (*unused, *use_given_sides(manifest))
    split = split_by_content(manifest.usable, seed=seed, fractions=fractions)
    manifest.assign_sides(split.sides)
    return split.notes
