"""Listing folders of photos: links are followed, loops end, and everything left out is recorded with its reason."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TypeAlias

from regraft.data.file_types import (
    HEADER_BYTES,
    PHOTO_SUFFIXES,
    RAW_SUFFIXES,
    describe_non_photo,
    open_regular,
    photo_format,
    why_unreadable,
)
from regraft.errors import PhotosError

NamedPath: TypeAlias = tuple[str, Path]
"""(name relative to the root, path to open)"""

Skipped: TypeAlias = list[tuple[str, str]]
"""(name relative to the root, reason why it is skipped)"""

RAW = "a camera raw file: export it as JPEG"
"""Reason of a skipped camera raw file."""

_SYSTEM = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "icon\r"})


@dataclass(slots=True)
class FolderListing:
    """The folders in a folder and its files that look like photos, both in name order."""

    folders: list[NamedPath] = field(default_factory=list)
    photos: list[NamedPath] = field(default_factory=list)


def folder_identity(path: Path) -> tuple[int, int] | str:
    """Return an identity of a folder that is the same for every link to it.

    Raises:
        OSError: the folder is missing or inaccessible.
    """
    status = path.stat()
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(path)


def list_folder(folder: Path, name: str, skipped: Skipped) -> FolderListing:
    """Return the folders and photos directly in ``folder``; everything left out is added to ``skipped``.

    Args:
        folder: the folder to list.
        name: its name relative to the root, ``""`` for the root itself.
        skipped: (name, reason) pairs are appended to it.

    Raises:
        OSError: the folder cannot be listed.
    """
    inside = FolderListing()
    for entry in sorted(os.listdir(folder)):  # noqa: PTH208 - names as they are, without a Path for each
        path, full = folder / entry, f"{name}/{entry}" if name else entry
        why = reason_by_name(entry)
        if why is None:
            why = _classify(path, full, inside)
        if why is not None:
            skipped.append((full, why))
    return inside


def photos_below(
    folder: Path, name: str, above: frozenset[tuple[int, int] | str], skipped: Skipped, *, max_others: int | None = None
) -> list[NamedPath]:
    """Return all files that look like photos in ``folder`` and in the folders below it, in name order.

    Args:
        folder: the folder to start from.
        name: its name relative to the root.
        above: identities of the folders above ``folder``, which are not entered again.
        skipped: (name, reason) pairs are appended to it.
        max_others: number of skipped files at which to stop if there are hardly any photos; None for no limit.

    Raises:
        PhotosError: that many files are not photos: this is probably not a folder of photos.
    """
    photos: list[NamedPath] = []
    entered = set(above)
    waiting = [(name, folder)]
    while waiting:  # no recursion: folders may be nested deeper than Python's stack
        name, folder = waiting.pop()
        try:
            current = folder_identity(folder)
            if current in entered:
                skipped.append((name, "a link to a folder that is read already"))
                continue
            entered.add(current)
            inside = list_folder(folder, name, skipped)
        except OSError as error:
            skipped.append((name, unreadable_reason(error, folder)))
            continue
        photos += inside.photos
        if max_others is not None and len(skipped) > max(max_others, 100 * len(photos)):
            raise PhotosError(
                f"{folder}: {len(skipped):,} files so far are not photos, so this is probably not a folder of photos\n"
                "  name the folder that contains the class folders; if this is it, say so: --folders classes"
            )
        waiting += reversed(inside.folders)
    return sorted(photos)


_UNREADABLE_FOLDER = "a folder that "


def unreadable_reason(error: OSError, folder: Path) -> str:
    """Return the reason to record for a folder that cannot be read."""
    return _UNREADABLE_FOLDER + why_unreadable(error, folder)


def unreadable_folder_notes(skipped: Skipped) -> list[str]:
    """Return a note for each folder that could not be read: its photos are missing from the run."""
    return [f"{name} is {why}" for name, why in skipped if why.startswith(_UNREADABLE_FOLDER)]


def reason_by_name(entry: str) -> str | None:
    """Return why an entry is left out because of its name, or None."""
    if entry.startswith(".") and not entry.startswith(".."):
        return "hidden"
    if entry.casefold() in _SYSTEM:
        return "a file of the system"
    if any("\ud800" <= c < "\udc80" or "\udcff" < c <= "\udfff" for c in entry):
        return "its name is not valid Unicode"  # Windows allows it; on Linux, non-UTF-8 bytes are fine
    return None


def _classify(path: Path, name: str, inside: FolderListing) -> str | None:
    """Add an entry to the folders or photos of ``inside``, or return why it is left out."""
    suffix = PurePath(path.name).suffix.lower()
    looks_like_photo = suffix in PHOTO_SUFFIXES
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if looks_like_photo and error.errno != errno.ENAMETOOLONG:
            inside.photos.append((name, path))  # the scan records the reason
            return None
        return why_unreadable(error, path)
    if stat.S_ISDIR(mode):
        inside.folders.append((name, path))
        return None
    if not stat.S_ISREG(mode):
        return "neither a file nor a folder"
    if suffix in RAW_SUFFIXES:
        return RAW
    why = None if looks_like_photo else _reason_by_content(path)
    if why is None:
        inside.photos.append((name, path))
    return why


def _reason_by_content(path: Path) -> str | None:
    """Return why a file without a photo's extension is left out; None if it is a photo."""
    try:
        with open_regular(path) as file:
            head = file.read(HEADER_BYTES)
    except OSError as error:
        return why_unreadable(error, path)
    return reason_by_first_bytes(head)


def reason_by_first_bytes(head: bytes) -> str | None:
    """Return why a file without a photo's extension is left out, given its first 64 bytes; None if it is a photo."""
    return None if photo_format(head) else f"not a photo: {describe_non_photo(head)}"
