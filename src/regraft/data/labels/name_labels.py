"""Labels from the names of photos, such as ``cat.0.jpg`` and ``Abyssinian_12.jpg``, by a pattern."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from regraft.data.folders.listing import Listing
from regraft.data.folders.name_patterns import compiled_pattern, label_in_name, largest_classes
from regraft.data.folders.side_folders import find_sides_of_names
from regraft.data.folders.walk import NamedPath
from regraft.data.photo import Photo, Side
from regraft.errors import PhotosError
from regraft.text import counted

NO_LABEL: Final = "its name has no label"
"""Reason of photos that are left out because their names have no label."""


@dataclass(frozen=True)
class NameLabels:
    """The photos whose names have labels.

    Attributes:
        photos: the photos, with the sides of the folders that they are in.
        unlabeled: names of the other photos.
        notes: remarks to print for the user.
    """

    photos: list[Photo]
    unlabeled: list[str]
    notes: list[str]


def labels_from_names(listing: Listing, pattern: str) -> NameLabels:
    """Return the photos of a folder, at any depth, with labels from their names.

    A pattern with ``/`` is compared with the path relative to the folder, another one with the file name.

    Raises:
        ConfigError: the pattern is invalid.
        PhotosError: no name has a label, or most photos would have a class of their own.
    """
    compiled = compiled_pattern(pattern)
    labeled: list[tuple[NamedPath, str]] = []
    unlabeled = []
    for photo in sorted(listing.photos()):
        label = label_in_name(photo[0], compiled)
        if label:
            labeled.append((photo, label))
        else:
            unlabeled.append(photo[0])
    root = listing.root
    if not labeled:
        found = f"such as {unlabeled[0]}" if unlabeled else "the folder has no photos"
        raise PhotosError(f"{root}: no name of a photo has a label by --label-from {pattern!r}; {found}")
    counts = Counter(label for _, label in labeled)
    if len(counts) > max(10, len(labeled) / 2):
        few = ", ".join(list(counts)[:4])
        raise PhotosError(
            f"{root}: --label-from {pattern!r} finds {len(counts):,} classes in {len(labeled):,} names, such as {few}\n"
            "  expected   several photos of each class; give a pattern for the part of the name that is the class,\n"
            "             such as --label-from '^(?P<label>[^_]+)_'"
        )
    sides = find_sides_of_names(name for (name, _), _ in labeled)
    photos = [Photo(path, name, label, _side(name, sides), None) for (name, path), label in labeled]
    return NameLabels(photos, unlabeled, _notes(counts, unlabeled, sides))


def _side(name: str, sides: Mapping[str, Side]) -> Side | None:
    return next((side for folder, side in sides.items() if name.startswith(folder)), None)


def _notes(counts: Mapping[str, int], unlabeled: list[str], sides: Mapping[str, Side]) -> list[str]:
    notes = [f"labels from the names of the photos: {largest_classes(counts)}"]
    if sides:
        notes.append(f"{', '.join(sides)} are read as a split")
    if unlabeled:
        names = counted(len(unlabeled), "photo has", "photos have")
        notes.append(f"{names} no label in the name, such as {unlabeled[0]}: not used")
    return notes
