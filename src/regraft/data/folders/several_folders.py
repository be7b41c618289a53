"""Photos of several folders as one set: classes of the same name are one class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from regraft.data.folders.layout import FolderLayout
from regraft.data.folders.listing import Listing
from regraft.data.folders.walk import Skipped
from regraft.data.photo import Photo
from regraft.errors import PhotosError
from regraft.text import command, counted, shorten


def with_first_part(first: str, photos: Iterable[Photo]) -> list[Photo]:
    """Return photos whose names begin with that of their folder; ``""`` leaves the names as they are."""
    return [replace(photo, name=f"{first}/{photo.name}") if first else photo for photo in photos]


def skipped_in(first: str, skipped: Skipped) -> Skipped:
    """Return skipped files whose names begin with that of their folder."""
    return [(f"{first}/{name}" if first else name, why) for name, why in skipped]


def check_class_folders_of_all(listings: Mapping[str, Listing]) -> None:
    """Check that several folders are not the classes themselves, as ``photos/*`` of a shell is.

    Raises:
        PhotosError: photos are directly in all of them; the message has the command that helps.
    """
    if len(listings) < 2:
        return
    flat = [listing.root for listing in listings.values() if listing.loose and not listing.tree]
    if len(flat) == len(listings):
        above = {root.resolve().parent for root in flat}
        names = shorten([str(root) for root in flat])
        parent = Path(flat[0]).parent
        step = f"\n  if each is a class:   {command('regraft', 'train', parent)}" if len(above) == 1 else ""
        raise PhotosError(f"{names} have photos but no class folders{step}\n  expected   class folders in each of them")


def merged(layouts: Mapping[str, FolderLayout]) -> FolderLayout:
    """Return the photos of several folders as one set.

    Photos of a folder without sides are for training if another folder has sides.

    Args:
        layouts: each folder by the first part of the names of its photos.
    """
    if len(layouts) == 1:
        return next(iter(layouts.values()))
    split = [first for first, layout in layouts.items() if layout.kind == "split"]
    photos: list[Photo] = []
    left_out: Skipped = []
    notes = [f"{first}: {note}" for first, layout in layouts.items() for note in layout.notes]
    for first, layout in layouts.items():
        named = with_first_part(first, layout.photos)
        left_out += skipped_in(first, layout.left_out)
        if split and layout.kind == "classes":
            named = [replace(photo, split="train") for photo in named]
            notes.append(f"{first} has no sides, unlike {split[0]}: its photos are for training")
        photos += named
    notes += _class_notes({first: layout.photos for first, layout in layouts.items()})
    return FolderLayout("split" if split else "classes", photos, left_out, notes)


def _class_notes(photos: Mapping[str, Sequence[Photo]]) -> list[str]:
    """Return notes on the classes of several folders: those that are joined, and those of some folders only."""
    classes = {first: {photo.label for photo in own} for first, own in photos.items()}
    everywhere = set.intersection(*classes.values())
    counts = ", ".join(f"{first} {counted(len(own), 'photo')}" for first, own in photos.items())
    notes = [f"merged: {counts}; classes of all: {shorten(sorted(everywhere), 6) if everywhere else 'none'}"]
    for first, own in classes.items():
        alone = sorted(own - everywhere)
        if alone and everywhere:
            notes.append(f"not in every folder: {shorten(alone, 6)} of {first}")
    return notes
