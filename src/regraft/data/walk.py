"""Looking through folders: links are followed and loops end, only files are opened, what is left out is said."""

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

NamedPath: TypeAlias = tuple[str, Path]
"""(name relative to the root, where to open it)"""

Skipped: TypeAlias = list[tuple[str, str]]
"""(name relative to the root, why it is left out)"""

_SYSTEM = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "icon\r"})


@dataclass(slots=True)
class FolderListing:
    """What lies directly in a folder: folders, and files that claim to be photos. Both in name order."""

    folders: list[NamedPath] = field(default_factory=list)
    photos: list[NamedPath] = field(default_factory=list)


def folder_identity(path: Path) -> tuple[int, int] | str:
    """Return what tells one folder from another, whatever links lead to it.

    Raises:
        OSError: there is nothing there, or it cannot be looked at.
    """
    found = path.stat()
    return (found.st_dev, found.st_ino) if found.st_ino else os.path.realpath(path)


def list_folder(folder: Path, name: str, skipped: Skipped) -> FolderListing:
    """Return what lies directly in ``folder``; what is left out is added to ``skipped``.

    Args:
        folder: where to look.
        name: its name relative to the root, ``""`` for the root itself.
        skipped: takes (name, why).

    Raises:
        OSError: the folder cannot be listed.
    """
    inside = FolderListing()
    for entry in sorted(os.listdir(folder)):  # noqa: PTH208 - names as they are, without a Path for each
        path, full = folder / entry, f"{name}/{entry}" if name else entry
        why = _reason_by_name(entry)
        if why is None:
            why = _classify(path, full, inside)
        if why is not None:
            skipped.append((full, why))
    return inside


def photos_below(folder: Path, name: str, above: frozenset[tuple[int, int] | str], skipped: Skipped) -> list[NamedPath]:
    """Return all that claims to be a photo in ``folder`` and in the folders below it, in name order.

    Args:
        folder: where to begin.
        name: its name relative to the root.
        above: identities of folders that must not be entered again: those above ``folder``.
        skipped: takes (name, why).
    """
    found: list[NamedPath] = []
    entered = set(above)
    waiting = [(name, folder)]
    while waiting:  # not by recursion: a folder may be deeper than Python's stack
        name, folder = waiting.pop()
        try:
            which = folder_identity(folder)
            if which in entered:
                skipped.append((name, "a link to a folder that is read already"))
                continue
            entered.add(which)
            inside = list_folder(folder, name, skipped)
        except OSError as error:
            skipped.append((name, unreadable_reason(error, folder)))
            continue
        found += inside.photos
        waiting += reversed(inside.folders)
    return sorted(found)


_UNREADABLE_FOLDER = "a folder that "


def unreadable_reason(error: OSError, folder: Path) -> str:
    """Return why a folder is left out that cannot be read."""
    return _UNREADABLE_FOLDER + why_unreadable(error, folder)


def unreadable_folder_notes(skipped: Skipped) -> list[str]:
    """Return what is worth saying of folders that could not be read: the photos in them are missed."""
    return [f"{name} is {why}" for name, why in skipped if why.startswith(_UNREADABLE_FOLDER)]


def _reason_by_name(entry: str) -> str | None:
    """Return why a name alone makes an entry no matter of ours."""
    if entry.startswith(".") and not entry.startswith(".."):
        return "hidden"
    if entry.casefold() in _SYSTEM:
        return "a file of the system"
    if any("\ud800" <= c < "\udc80" or "\udcff" < c <= "\udfff" for c in entry):
        return "its name is not valid Unicode"  # Windows allows such names; bytes that are not UTF-8 are another matter
    return None


def _classify(path: Path, name: str, inside: FolderListing) -> str | None:
    """Add an entry to where it belongs, or return why it is left out."""
    suffix = PurePath(path.name).suffix.lower()
    claims = suffix in PHOTO_SUFFIXES
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if claims and error.errno != errno.ENAMETOOLONG:
            inside.photos.append((name, path))  # the scan puts it aside, with this reason
            return None
        return why_unreadable(error, path)
    if stat.S_ISDIR(mode):
        inside.folders.append((name, path))
        return None
    if not stat.S_ISREG(mode):
        return "neither a file nor a folder"
    if suffix in RAW_SUFFIXES:
        return "a camera raw file: export it as JPEG"
    why = None if claims else _reason_by_content(path)
    if why is None:
        inside.photos.append((name, path))
    return why


def _reason_by_content(path: Path) -> str | None:
    """Return why a file whose name claims nothing is no photo; None where it is one."""
    try:
        with open_regular(path) as file:
            head = file.read(HEADER_BYTES)
    except OSError as error:
        return why_unreadable(error, path)
    return None if photo_format(head) else f"not a photo: {describe_non_photo(head)}"
