"""The meaning of the folders in a folder of photos: classes, sides of a split, or parts that contain the classes.

What the names of the folders cannot decide is printed, or refused where a guess could be wrong in silence; a
`FolderMeaning` decides otherwise.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from regraft.data.archives.archive import ARCHIVE_SUFFIXES, archive_of
from regraft.data.folders import problems
from regraft.data.folders.folder_tree import Branch, Tree, are_parts, filled, last_part, shared_inner_names
from regraft.data.folders.side_folders import class_folders, find_sides, find_sides_in_classes, find_sides_in_names
from regraft.data.folders.walk import NamedPath, Skipped
from regraft.data.photo import SIDE_NAMES, FolderMeaning, Photo, Side
from regraft.data.side_words import SideName, is_generic, side_names, sounds_unlabeled
from regraft.text import counted


@dataclass(frozen=True)
class Folders:
    """The folders in a folder of photos.

    Attributes:
        root: the folder of photos.
        tree: the folders in it.
        loose: photos directly in it.
        skipped: (name, reason) of every file and folder that is left out.
    """

    root: Path
    tree: Tree
    loose: tuple[NamedPath, ...]
    skipped: Skipped

    @property
    def filled(self) -> Tree:
        """The folders that have photos."""
        return filled(self.tree)


@dataclass(frozen=True)
class FolderLayout:
    """The photos of a folder with their classes and sides.

    Attributes:
        kind: ``"split"`` if the folders give each photo a side, ``"classes"`` otherwise.
        photos: the photos.
        left_out: (name, reason) of photos that are not used.
        notes: remarks to print for the user.
    """

    kind: Literal["classes", "split"]
    photos: list[Photo]
    left_out: Skipped
    notes: list[str]


def read_layout(folders: Folders, meaning: FolderMeaning | None, known: frozenset[str]) -> FolderLayout:
    """Return the photos with their classes and sides.

    Args:
        folders: the folders.
        meaning: the meaning of the folders, or None to recognize it.
        known: names of classes, in Unicode's composed form; folders with such names are classes.

    Raises:
        PhotosError: there are no class folders, or photos without labels next to those with labels.
    """
    if meaning == "classes" or _any_known(folders.filled, known):
        return _as_classes(folders)
    if any(_any_known(class_folders(name, branch), known) for name, branch in folders.filled.items()):
        return replace(_as_parts(folders), notes=[])
    inner, notes = _without_wrappers(folders)
    layout = _inner_layout(inner, meaning)
    return replace(layout, notes=[*notes, *layout.notes])


def _inner_layout(folders: Folders, meaning: FolderMeaning | None) -> FolderLayout:
    tree = folders.filled
    if meaning == "parts":
        return _as_parts(folders)
    sides = find_sides(tree, certain=meaning == "sides")
    if meaning == "sides":
        problems.check_sides(folders.root, tree, sides)
    if sides:
        return _as_split(folders, sides)
    named = find_sides_in_names(tree)
    if named:
        return _as_split_names(folders, named)
    problems.check_one_split(folders.root, tree)
    problems.check_labeled(folders.root, tree)
    below = find_sides_in_classes(tree)
    if below:
        return _as_split_classes(folders, below)
    nested = {name: branch for name, branch in tree.items() if branch.class_folders}
    same = shared_inner_names(nested)
    of_classes = bool(same) and not are_parts(same, of_anything=True)
    if (
        of_classes
        and len(nested) == len(tree)
        and (are_parts(tree) or len(side_names(map(last_part, tree))) == len(tree))
    ):
        return _as_parts(folders)
    layout = _as_classes(folders)
    general = [fork for name, branch in tree.items() if (fork := _classes_below(name, branch, len(tree)))]
    the_classes = f"the classes are {_few(map(last_part, tree))}"
    if of_classes:
        layout.notes.append(
            f"{the_classes}, and folders in them have the same names ({_few(same)}); "
            "if those are the classes: --folders parts"
        )
    elif general and len(tree) > 1:
        layout.notes.append(f"{the_classes}; if the folders in {general[0]}/ are, name that folder as PHOTOS")
    layout.notes.extend(_notes_on_names(tree))
    return layout


def _notes_on_names(tree: Tree) -> list[str]:
    """Return notes on classes whose names say that they are none."""
    names = {last_part(name).casefold() for name in tree}
    notes = [
        f"class {last_part(name)} sounds like photos without a label; if it is not a class, move it out of the folder"
        for name in tree
        if sounds_unlabeled(last_part(name))
    ]
    for name, branch in tree.items():
        inner = branch.inner_names
        if len(inner) > 1 and not branch.loose and set(inner) < names:
            notes.append(
                f"class {last_part(name)} has folders with the names of other classes ({_few(inner.values())}); "
                "if it is not a class, move it out of the folder"
            )
    return notes


def _classes_below(name: str, branch: Branch, among: int) -> str:
    """Return the folder in ``name`` whose folders may be the classes in place of ``among`` folders like it, or ""."""
    if is_generic(last_part(name)) and branch.class_folders:
        return name
    steps = 0
    while not branch.loose and len(inner := filled(branch.tree())) == 1:
        ((name, branch),) = inner.items()
        steps += 1
    return name if steps and not branch.loose and len(filled(branch.tree())) >= among else ""


def _any_known(names: Iterable[str], known: frozenset[str]) -> bool:
    return bool(known) and any(unicodedata.normalize("NFC", last_part(name)) in known for name in names)


def _few(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:4]) + (" …" if len(listed) > 4 else "")


def _without_wrappers(folders: Folders) -> tuple[Folders, list[str]]:
    """Return the folders in folders that only wrap them, as unpacked archives have them, and a note on each."""
    notes: list[str] = []
    while not folders.loose and len(folders.filled) == 1:
        ((name, branch),) = folders.filled.items()
        if branch.loose or not _wraps(folders.root, name, branch):
            break
        notes.append(f"{name}/ is the only folder with photos: its folders are read")
        folders = replace(folders, tree=branch.tree())
    return folders, notes


def _wraps(root: Path, name: str, branch: Branch) -> bool:
    """Return whether a single folder is a wrapper, and not the only class."""
    inner = filled(branch.tree())
    if len(inner) == 1:
        ((only, below),) = inner.items()
        if last_part(only).casefold() == last_part(name).casefold() or _wraps(root, only, below):
            return not below.loose
    above = (root.resolve().name, last_part(name.rpartition("/")[0]))  # an archive is often unpacked into its own name
    own, *outer = (_without_version(text.casefold()) for text in (last_part(name), *above))
    same_name = own in outer and not are_parts(inner)
    if len(inner) > 1 and _is_archive(root):  # an archive has seldom one class, and often the folder that was packed
        return True
    return same_name or is_generic(own) or own in side_names([own]) or bool(find_sides(inner))


def _is_archive(root: Path) -> bool:
    return archive_of(root) is not None or (not root.exists() and root.suffix.lower() in ARCHIVE_SUFFIXES)


def _as_classes(folders: Folders) -> FolderLayout:
    """Return the photos with the folders as classes."""
    tree = folders.tree
    photos = [
        Photo(path, full, last_part(name), None, None) for name, branch in tree.items() for full, path in branch.all
    ]
    problems.check_class_folders(folders.root, list(folders.filled), folders.loose, folders.skipped)
    skipped = dict(folders.skipped)
    empty = [last_part(name) for name, branch in tree.items() if not branch.any and name not in skipped]
    notes = [f"no photos in {', '.join(empty[:5])}{' …' if len(empty) > 5 else ''}: not a class"] if empty else []
    if folders.loose:
        notes.append(f"{counted(len(folders.loose), 'photo')} outside the class folders: not used")
    return FolderLayout("classes", photos, _outside(folders, photos), notes)


def _without_version(name: str) -> str:
    """Return the name of an unpacked archive without what downloads add to it: ``-master``, ``(1)``, ``v2``."""
    return re.sub(r"([-_ .]+(master|main|v?\d+([.-]\d+)*|zip|tar|tgz|gz|bz2|xz)|[-_ .]*\(\d+\))+$", "", name) or name


def _as_parts(folders: Folders) -> FolderLayout:
    """Return the photos of all folders together, with the folders in them as classes."""
    tree = folders.filled
    photos = _photos_in(tree, dict.fromkeys(tree))
    problems.check_class_folders(folders.root, [photo.label for photo in photos], folders.loose, folders.skipped)
    parts = f"{_few(f'{name}/' for name in tree)} are read as parts of one set of photos"
    together = f"'^({'[^/]+/' * (1 + next(iter(tree), '').count('/'))})'"
    notes = [
        f"{parts}, with the classes in them (otherwise: --folders classes)",
        f"to keep the photos of a part on one side of the split: --group-by {together}",
    ]
    return FolderLayout("classes", photos, _outside(folders, photos), notes)


def _as_split_names(folders: Folders, named: Mapping[str, tuple[SideName, str]]) -> FolderLayout:
    """Return the photos with a side and a class from the name of each folder."""
    photos = [
        Photo(path, full, label, side.side, None)
        for name, (side, label) in named.items()
        for full, path in folders.filled[name].all
    ]
    name, (side, label) = next(iter(named.items()))
    note = f"the folders are read as sides and classes, such as {name}/ as {side.side} photos of {label}"
    return FolderLayout("split", photos, _outside(folders, photos), [f"{note} (otherwise: --folders classes)"])


def _as_split_classes(folders: Folders, sides: Mapping[str, SideName]) -> FolderLayout:
    """Return the photos with the folders as classes, and the folders in them as sides."""
    photos = [
        Photo(path, full, last_part(name), sides[inner].side, None)
        for name, branch in folders.filled.items()
        for inner, found in branch.below.items()
        for full, path in found
    ]
    names = sorted({last_part(inner) for inner in sides})
    notes = [f"{_few(f'{name}/' for name in names)} in the classes are read as a split (otherwise: --folders classes)"]
    return FolderLayout("split", photos, _outside(folders, photos), notes)


def _as_split(folders: Folders, sides: Mapping[str, SideName]) -> FolderLayout:
    """Return the photos with the folders as sides, and the folders in them as classes."""
    tree = folders.filled
    photos = _photos_in(tree, {name: side.side for name, side in sides.items()})
    unlabeled = problems.unlabeled_sides(folders.root, tree, sides)
    photos = [photo for photo in photos if not any(photo.name.startswith(f"{name}/") for name in unlabeled)]
    notes = []
    if any(last_part(name).casefold() not in SIDE_NAMES for name in sides):
        read = [f"{name}/ as {side.side}" for name, side in sides.items() if name not in unlabeled]
        notes.append(f"read as a split: {', '.join(read)}, with the classes in them (otherwise: --folders classes)")
    notes += [f"{name}/ has {counted(n, 'photo')} but no class folders: not used" for name, n in unlabeled.items()]
    others = {name: branch for name, branch in tree.items() if name not in sides}
    beside = f"is next to {' and '.join(f'{side}/' for side in sides)}: it is not used"
    notes += [f"{name}/ {beside}" for name in others]
    next_to = [(full, "next to the folders of the split") for branch in others.values() for full, _ in branch.all]
    left_out = _outside(folders, photos, others)
    return FolderLayout("split", photos, [*next_to, *left_out], notes)


def _photos_in(tree: Tree, sides: Mapping[str, Side | None]) -> list[Photo]:
    """Return the photos in the class folders of each folder in ``sides``."""
    return [
        Photo(path, full, last_part(inner), side, None)
        for name, side in sides.items()
        for inner, photos in class_folders(name, tree[name]).items()
        for full, path in photos
    ]


def _outside(folders: Folders, photos: Iterable[Photo], others: Iterable[str] = ()) -> Skipped:
    """Return (name, reason) of the photos that are in no class folder; those in the folders ``others`` are omitted."""
    used, apart = {photo.name for photo in photos}, set(others)
    names = [full for full, _ in folders.loose]
    names += [full for name, branch in folders.filled.items() if name not in apart for full, _ in branch.all]
    return [(full, "not in a class folder") for full in names if full not in used]
