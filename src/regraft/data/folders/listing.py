"""Listing of a folder of photos, on the disk or in an archive, before the meaning of its folders is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from regraft.data.archives.address import address_of, shown
from regraft.data.archives.archive import ARCHIVE_SUFFIXES, archive_of, open_archive
from regraft.data.archives.members import Members
from regraft.data.file_types import HEADER_BYTES, PHOTO_SUFFIXES, RAW_SUFFIXES, why_unreadable
from regraft.data.folders import problems
from regraft.data.folders.folder_tree import Branch, Tree
from regraft.data.folders.walk import (
    RAW,
    FolderListing,
    NamedPath,
    Skipped,
    folder_identity,
    list_folder,
    photos_below,
    reason_by_first_bytes,
    reason_by_name,
    unreadable_reason,
)
from regraft.data.photo import SIDE_NAMES
from regraft.errors import PhotosError


@dataclass(frozen=True)
class Listing:
    """The photos of a folder.

    Attributes:
        root: the folder, or the archive.
        tree: the folders in it.
        loose: photos directly in it.
        skipped: (name, reason) of every file and folder that is left out.
    """

    root: Path
    tree: Tree
    loose: tuple[NamedPath, ...]
    skipped: Skipped

    def photos(self) -> Iterator[NamedPath]:
        """Yield all photos."""
        yield from self.loose
        for branch in self.tree.values():
            yield from branch.all


def list_root(root: Path, limit: int | None) -> Listing:
    """Return the photos of a folder or of an archive.

    Args:
        root: the folder or the archive.
        limit: number of files that are not photos at which a folder without photos is refused; None for no limit.

    Raises:
        PhotosError: it is missing or unreadable, or neither a folder nor an archive.
    """
    archive = archive_of(root)
    if archive is not None:
        return _list_archive(archive, root)
    skipped: Skipped = []
    problems.check_root(root)
    problems.check_not_of_the_system(root)
    try:
        inside = list_folder(root, "", skipped)
    except OSError as error:
        raise PhotosError(f"{root}: {why_unreadable(error, root)}") from error
    tree = _disk_tree(root, inside, skipped, limit)
    return Listing(root, tree, tuple(inside.photos), skipped)


def is_in_archive(path: Path) -> bool:
    """Return whether a path is an archive of photos or a folder in one, or a folder at an address.

    Only names of archives are looked at.
    """
    named = any(part.suffix.lower() in ARCHIVE_SUFFIXES for part in (path, *path.parents))
    if not named and address_of(path) is None:
        return False
    archive = archive_of(path)
    if archive is None:
        return False
    inside = "" if path == archive else path.relative_to(archive).as_posix()
    try:
        return any(True for _ in open_archive(archive).below(inside))
    except FileNotFoundError:
        return False
    except OSError as error:
        raise PhotosError(f"{shown(path)}: cannot be read: {error.strerror or error}") from error


def list_names(root: Path, photos: Iterable[NamedPath]) -> Listing:
    """Return photos by their names, wherever their files are.

    Args:
        root: the folder that the names are relative to.
        photos: the photos, in any order.
    """
    named = sorted(photos)
    return Listing(root, _tree_of(named), tuple(photo for photo in named if "/" not in photo[0]), [])


def _disk_tree(root: Path, inside: FolderListing, skipped: Skipped, limit: int | None) -> Tree:
    """Return all folders of the root by name; in a folder named like a side, links in each class are read once."""
    above = frozenset(folder_identity(folder) for folder in (root, *root.resolve().parents))
    tree: Tree = {}
    for name, path in inside.folders:
        if name.casefold() not in SIDE_NAMES:
            tree[name] = Branch.of(name, photos_below(path, name, above, skipped, max_others=limit))
            continue
        try:
            here = list_folder(path, name, skipped)
            enclosing = above | {folder_identity(path)}
        except OSError as error:
            skipped.append((name, unreadable_reason(error, path)))
            continue
        below = {full: photos_below(where, full, enclosing, skipped, max_others=limit) for full, where in here.folders}
        tree[name] = Branch(here.photos, below)
    return tree


def _tree_of(photos: list[NamedPath]) -> Tree:
    inside: dict[str, list[NamedPath]] = {}
    for name, path in photos:
        folder, separator, _ = name.partition("/")
        if separator:
            inside.setdefault(folder, []).append((name, path))
    return {folder: Branch.of(folder, below) for folder, below in sorted(inside.items())}


def _list_archive(archive: Path, root: Path) -> Listing:
    """Return the photos below ``root``, which is the archive or a folder in it."""
    members = open_archive(archive)
    if not members.complete:
        raise PhotosError(
            f"{shown(archive)}: the archive is incomplete: it has no mark of its end, so photos may be missing; "
            "download or copy it again, or unpack it and name the folder"
        )
    inside = "" if root == archive else root.relative_to(archive).as_posix()
    skipped: Skipped = []
    photos = []
    try:
        listed = list(members.below(inside))
    except OSError as error:
        raise PhotosError(f"{shown(root)}: cannot be read: {error.strerror or error}") from error
    for name, reason in listed:
        why = reason or _reason_of_member(members, f"{inside}/{name}" if inside else name, name)
        if why:
            skipped.append((name, why))
        else:
            photos.append((name, root / name))
    folders = members.folders_below(inside)
    if inside and not photos and not skipped and not members.has_folder(inside):
        raise PhotosError(f"no such folder: {shown(root)}\n  {shown(archive)} does not have it")
    listing = list_names(root, photos)
    empty = {name: Branch() for name in sorted(folders) if "/" not in name and not reason_by_name(name)}
    return Listing(root, dict(sorted((empty | listing.tree).items())), listing.loose, skipped)


def _reason_of_member(members: Members, member: str, name: str) -> str | None:
    """Return why a member is left out, or None if it looks like a photo; ``name`` is relative to the folder."""
    by_name = next((why for part in name.split("/") if (why := reason_by_name(part))), None)
    suffix = PurePath(name).suffix.lower()
    if by_name or suffix in RAW_SUFFIXES:
        return by_name or RAW
    if suffix in PHOTO_SUFFIXES:
        return None
    try:
        return reason_by_first_bytes(members.read(member, HEADER_BYTES))
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
