"""The photos of a folder and their classes, from one folder per class, from train/ and val/, or from a CSV.

Class names are compared in Unicode's composed form (NFC) and displayed as written.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from regraft.data import problems
from regraft.data.csv_labels import read_csv_labels
from regraft.data.file_types import why_unreadable
from regraft.data.photo import SIDE_NAMES, Photo, Side
from regraft.data.walk import (
    FolderListing,
    NamedPath,
    Skipped,
    folder_identity,
    list_folder,
    photos_below,
    unreadable_folder_notes,
    unreadable_reason,
)
from regraft.errors import ConfigError, PhotosError
from regraft.text import counted

Layout: TypeAlias = Literal["classes", "split", "csv"]


@dataclass(frozen=True)
class Source:
    """The files that look like photos by name, before any of them is read.

    Attributes:
        root: the folder of photos; names are relative to it.
        photos: in name order.
        classes: names of the classes, in the order of a classifier's outputs.
        skipped: (name, reason) of every file and folder that is left out.
        given_sides: the sides that the folder or the CSV assigns; empty if it assigns none.
        layout: ``"classes"``: a folder per class; ``"split"``: train/ and val/ with such folders; ``"csv"``.
        notes: remarks to print for the user.
    """

    root: Path
    photos: tuple[Photo, ...]
    classes: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...] = ()
    given_sides: frozenset[Side] = frozenset()
    layout: Layout = "classes"
    notes: tuple[str, ...] = ()


def find_photos(root: Path | str, labels: Path | str | None = None, *, one_class: bool = False) -> Source:
    """Return the photos of a folder: one folder per class, or train/ and val/ with such folders, or a CSV.

    Only files without a photo's extension are opened, to read their first bytes.

    Args:
        root: the folder.
        labels: a CSV with the columns path, label and, if wanted, split and group.
        one_class: whether photos of a single class are accepted, as for measuring a classifier.

    Raises:
        PhotosError: the folder is missing or unreadable, has no photos, no class folders or only one class, or the CSV
            is invalid.
    """
    source = _find(Path(root), labels)
    if not one_class:
        problems.check_two_classes(source.root, source.classes, len(source.photos), source.layout)
    return source


def _find(root: Path, labels: Path | str | None) -> Source:
    inside, skipped = _list_root(root)
    if labels is not None:
        table = read_csv_labels(Path(labels), root)
        return _source(root, table.photos, "csv", [], list(table.notes))
    tree = _list_tree(root, inside, skipped)
    sides = {name: SIDE_NAMES[name.casefold()] for name in tree if name.casefold() in SIDE_NAMES and tree[name].any}
    if _is_split(sides, tree):
        return _from_split(root, tree, sides, inside.photos, skipped)
    problems.check_unlabelled_split(root, {name: len(tree[name].loose) for name in sides}, _other_folders(tree, sides))
    return _from_classes(root, tree, inside.photos, skipped)


@dataclass(slots=True)
class _Branch:
    """A folder in the root: the photos directly in it, and the photos below each of its folders."""

    loose: list[NamedPath] = field(default_factory=list)
    below: dict[str, list[NamedPath]] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        return bool(self.loose) or self.nested

    @property
    def nested(self) -> bool:
        return any(self.below.values())

    @property
    def all(self) -> list[NamedPath]:
        return sorted(self.loose + [photo for photos in self.below.values() for photo in photos])


_Tree: TypeAlias = dict[str, _Branch]


def _list_root(root: Path) -> tuple[FolderListing, Skipped]:
    skipped: Skipped = []
    problems.check_root(root)
    try:
        return list_folder(root, "", skipped), skipped
    except OSError as error:
        raise PhotosError(f"{root}: {why_unreadable(error, root)}") from error


def _list_tree(root: Path, inside: FolderListing, skipped: Skipped) -> _Tree:
    """Return all folders of the root by name; a folder named like a side is divided by the folders in it."""
    above = frozenset(folder_identity(folder) for folder in (root, *root.resolve().parents))
    tree: _Tree = {}
    for name, path in inside.folders:
        if name.casefold() not in SIDE_NAMES:
            tree[name] = _Branch(photos_below(path, name, above, skipped))
            continue
        try:
            here = list_folder(path, name, skipped)
            enclosing = above | {folder_identity(path)}
        except OSError as error:
            skipped.append((name, unreadable_reason(error, path)))
            continue
        below = {full: photos_below(where, full, enclosing, skipped) for full, where in here.folders}
        tree[name] = _Branch(here.photos, below)
    return tree


def _is_split(sides: Mapping[str, Side], tree: _Tree) -> bool:
    """Return whether there is train/ and another side, each with class folders; ``train`` may also be a class."""
    nested = {side for name, side in sides.items() if tree[name].nested}
    return "train" in nested and len(nested) > 1


def _other_folders(tree: _Tree, sides: Mapping[str, Side]) -> list[str]:
    return [name for name, branch in tree.items() if name not in sides and branch.any]


def _from_split(root: Path, tree: _Tree, sides: Mapping[str, Side], loose: list[NamedPath], skipped: Skipped) -> Source:
    photos: list[Photo] = []
    notes = []
    for name, side in sides.items():
        branch = tree[name]
        for folder, inside in branch.below.items():
            label = folder.rsplit("/", 1)[-1]
            photos += [Photo(path, full, label, side, None) for full, path in inside]
        skipped += [(full, "not in a class folder") for full, _ in branch.loose]
        if not branch.nested:
            notes.append(f"{name}/ has {counted(len(branch.loose), 'photo')} but no class folders: not used")
    for name in _other_folders(tree, sides):
        skipped += [(full, "next to the folders of the split") for full, _ in tree[name].all]
        notes.append(f"{name}/ is next to {' and '.join(f'{side}/' for side in sides)}: it is not used")
    skipped += [(full, "not in a class folder") for full, _ in loose]
    return _source(root, photos, "split", skipped, notes)


def _from_classes(root: Path, tree: _Tree, loose: list[NamedPath], skipped: Skipped) -> Source:
    photos = [Photo(path, full, label, None, None) for label, branch in tree.items() for full, path in branch.all]
    problems.check_class_folders(root, [name for name, branch in tree.items() if branch.any], loose, skipped)
    left_out = dict(skipped)
    empty = [name for name, branch in tree.items() if not branch.any and name not in left_out]
    notes = [f"no photos in {', '.join(empty[:5])}{' …' if len(empty) > 5 else ''}: not a class"] if empty else []
    if loose:
        notes.append(f"{counted(len(loose), 'photo')} outside the class folders: not used")
    skipped += [(full, "not in a class folder") for full, _ in loose]
    return _source(root, photos, "classes", skipped, notes)


def _source(root: Path, photos: Iterable[Photo], layout: Layout, skipped: Skipped, notes: list[str]) -> Source:
    """Return the source with one spelling per class, and photos and classes in order."""
    photos = list(photos)
    spelling = canonical_spellings(photo.label for photo in photos)
    merged = sorted(label for label, canonical in spelling.items() if label != canonical)
    notes = [*notes, *unreadable_folder_notes(skipped)] + [
        f"class {spelling[label]} is spelled in two Unicode forms: treated as one class" for label in merged
    ]
    notes += case_difference_notes(set(spelling.values()))
    photos = [
        photo
        if spelling[photo.label] == photo.label
        else Photo(photo.path, photo.name, spelling[photo.label], photo.split, photo.group)
        for photo in photos
    ]
    classes = class_order(photo.label for photo in photos)
    given_sides = frozenset(photo.split for photo in photos if photo.split is not None)
    ordered = tuple(sorted(photos, key=lambda photo: photo.name))
    return Source(root, ordered, classes, tuple(sorted(skipped)), given_sides, layout, tuple(notes))


def composed(label: str) -> str:
    """Return a label in Unicode's composed form (NFC): macOS and Linux write ``é`` with different code points."""
    return unicodedata.normalize("NFC", label)


def class_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct labels in the order of a classifier's outputs: by code points of their composed form."""
    return tuple(sorted(set(labels), key=lambda label: (composed(label), label)))


def canonical_spellings(labels: Iterable[str]) -> dict[str, str]:
    """Return for each spelling the canonical one of its class: the first by code points."""
    first: dict[str, str] = {}
    spellings = sorted(set(labels))
    for label in spellings:
        first.setdefault(composed(label), label)
    return {label: first[composed(label)] for label in spellings}


def case_difference_notes(labels: Iterable[str]) -> list[str]:
    """Return a note for each set of class names that differ only in case or surrounding spaces."""
    similar: dict[str, list[str]] = {}
    for label in sorted(labels):
        similar.setdefault(composed(label).casefold().strip(), []).append(label)
    groups = [" and ".join(map(repr, group)) for group in similar.values() if len(group) > 1]
    return [f"classes {names} differ only in case or spaces: treated as different classes" for names in groups]


def parse_class_names(names: Any) -> tuple[str, ...]:
    """Return a sequence of two or more class names as a tuple.

    Args:
        names: a list, a tuple or an array of strings.

    Raises:
        ConfigError: it is something else, has fewer than two names, or repeats one. A mapping and a set have no order
            for the outputs to follow.
    """
    expected = "expected the names of the classes in the order of the outputs, such as ['ant', 'bee']"
    if isinstance(names, Mapping):
        raise ConfigError(
            f"classes: {expected}, found a {type(names).__name__}; of {{name: index}}, sorted(d, key=d.get)"
        )
    if isinstance(names, (str, bytes, AbstractSet)) or not isinstance(names, Iterable):
        raise ConfigError(f"classes: {expected}, found {names!r}")
    values = list(names)
    others = [value for value in values if not isinstance(value, str)]
    if others:
        raise ConfigError(f"classes: {expected}, found {others[0]!r}, a {type(others[0]).__name__}")
    texts = tuple(str(value) for value in values)
    repeated = sorted({text for text in texts if texts.count(text) > 1}) if len(set(texts)) < len(texts) else []
    if len(texts) < 2 or repeated:
        twice = f"; {', '.join(map(repr, repeated[:5]))} appears twice" if repeated else ""
        raise ConfigError(f"a classifier needs two or more different classes, not {list(texts)}{twice}")
    return texts
