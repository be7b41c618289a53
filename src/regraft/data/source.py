"""Where the photos are and which class each is of: a folder per class, train/ and val/, or a CSV.

Names of classes: compared in Unicode's composed form (NFC), shown as written.
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

Layout: TypeAlias = Literal["classes", "split", "csv"]


@dataclass(frozen=True)
class Source:
    """Files that claim to be photos, and what is known of them before they are read.

    Attributes:
        root: the folder of photos; names are relative to it.
        photos: in name order.
        classes: names of the classes, in the order of a classifier's outputs.
        skipped: (name, why) of what is no photo of any class.
        given_split: the sides that the folder or the CSV gives; empty where it gives none.
        layout: how the photos are laid out.
        notes: what is worth saying to the person.
    """

    root: Path
    photos: tuple[Photo, ...]
    classes: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...] = ()
    given_sides: frozenset[Side] = frozenset()
    layout: Layout = "classes"
    notes: tuple[str, ...] = ()


def find_photos(root: Path | str, labels: Path | str | None = None, *, one_class: bool = False) -> Source:
    """Find the photos in a folder: one folder per class, or train/ and val/ with such folders, or as a CSV says.

    Nothing is read but the first bytes of files whose names claim nothing.

    Args:
        root: the folder.
        labels: a CSV with the columns path, label and, if wanted, split and group.
        one_class: whether photos of a single class will do, as they do for measuring a classifier.

    Raises:
        PhotosError: there is no such folder, it cannot be read, it holds no photos, no class folders, or only one;
            or the CSV is wrong.
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
    """A folder in the root: photos right in it, and photos by the folder in it that they lie below."""

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
        return sorted(self.loose + [found for photos in self.below.values() for found in photos])


_Tree: TypeAlias = dict[str, _Branch]


def _list_root(root: Path) -> tuple[FolderListing, Skipped]:
    skipped: Skipped = []
    problems.check_root(root)
    try:
        return list_folder(root, "", skipped), skipped
    except OSError as error:
        raise PhotosError(f"{root}: {why_unreadable(error, root)}") from error


def _list_tree(root: Path, inside: FolderListing, skipped: Skipped) -> _Tree:
    """Look through all folders; those called as a side is are looked through by the folders in them."""
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
    """Whether there is train/ and another side, each with class folders; a class may well be called ``train``."""
    nested = {side for name, side in sides.items() if tree[name].nested}
    return "train" in nested and len(nested) > 1


def _other_folders(tree: _Tree, sides: Mapping[str, Side]) -> list[str]:
    return [name for name, branch in tree.items() if name not in sides and branch.any]


def _from_split(root: Path, tree: _Tree, sides: Mapping[str, Side], loose: list[NamedPath], skipped: Skipped) -> Source:
    photos: list[Photo] = []
    notes = []
    for name, side in sides.items():
        branch = tree[name]
        for folder, found in branch.below.items():
            label = folder.rsplit("/", 1)[-1]
            photos += [Photo(path, full, label, side, None) for full, path in found]
        skipped += [(full, "not in a class folder") for full, _ in branch.loose]
        if not branch.nested:
            notes.append(f"{name}/ holds {len(branch.loose):,} photos but no class folders: they are not used")
    for name in _other_folders(tree, sides):
        skipped += [(full, "beside the folders of the split") for full, _ in tree[name].all]
        notes.append(f"{name}/ lies beside {' and '.join(f'{side}/' for side in sides)} and is not used")
    skipped += [(full, "not in a class folder") for full, _ in loose]
    return _source(root, photos, "split", skipped, notes)


def _from_classes(root: Path, tree: _Tree, loose: list[NamedPath], skipped: Skipped) -> Source:
    photos = [Photo(path, full, label, None, None) for label, branch in tree.items() for full, path in branch.all]
    problems.check_class_folders(root, [name for name, branch in tree.items() if branch.any], loose, skipped)
    left_out = dict(skipped)
    empty = [name for name, branch in tree.items() if not branch.any and name not in left_out]
    notes = [f"no photos in {', '.join(empty[:5])}{' …' if len(empty) > 5 else ''}: not a class"] if empty else []
    if loose:
        lie = (
            "1 photo lies in no class folder and is"
            if len(loose) == 1
            else f"{len(loose):,} photos lie in no class folder and are"
        )
        notes.append(f"{lie} not used")
    skipped += [(full, "not in a class folder") for full, _ in loose]
    return _source(root, photos, "classes", skipped, notes)


def _source(root: Path, photos: Iterable[Photo], layout: Layout, skipped: Skipped, notes: list[str]) -> Source:
    """Give each class one spelling, and put everything in order."""
    photos = list(photos)
    spelling = canonical_spellings(photo.label for photo in photos)
    merged = sorted(label for label, shown in spelling.items() if label != shown)
    notes = [*notes, *unreadable_folder_notes(skipped)] + [
        f"class {spelling[label]} is spelt in two ways that look alike; they are one class" for label in merged
    ]
    notes += case_difference_notes(set(spelling.values()))
    photos = [
        photo
        if spelling[photo.label] == photo.label
        else Photo(photo.path, photo.name, spelling[photo.label], photo.split, photo.group)
        for photo in photos
    ]
    classes = class_order(photo.label for photo in photos)
    given = frozenset(photo.split for photo in photos if photo.split is not None)
    ordered = tuple(sorted(photos, key=lambda photo: photo.name))
    return Source(root, ordered, classes, tuple(sorted(skipped)), given, layout, tuple(notes))


def composed(label: str) -> str:
    """Return what two spellings of one label have in common: macOS and Linux write ``é`` with different code points."""
    return unicodedata.normalize("NFC", label)


def class_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the distinct labels in the order of a classifier's outputs: by code point of their composed form."""
    return tuple(sorted(set(labels), key=lambda label: (composed(label), label)))


def canonical_spellings(labels: Iterable[str]) -> dict[str, str]:
    """Return for each spelling the one that stands for its class: the first in order of code points."""
    chosen: dict[str, str] = {}
    spellings = sorted(set(labels))
    for label in spellings:
        chosen.setdefault(composed(label), label)
    return {label: chosen[composed(label)] for label in spellings}


def case_difference_notes(labels: Iterable[str]) -> list[str]:
    """Return what is worth saying of classes whose names differ in nothing but case or the space around them."""
    alike: dict[str, list[str]] = {}
    for label in sorted(labels):
        alike.setdefault(composed(label).casefold().strip(), []).append(label)
    return [
        f"classes {' and '.join(repr(label) for label in group)} differ only in case or spaces; they are kept apart"
        for group in alike.values()
        if len(group) > 1
    ]


def parse_class_names(given: Any) -> tuple[str, ...]:
    """Return the names of two or more classes.

    Args:
        given: a list, a tuple or an array of texts.

    Raises:
        ConfigError: it is something else; a mapping or a set has no order that outputs could follow.
    """
    expected = "expected the names of the classes in the order of the outputs, such as ['ant', 'bee']"
    if isinstance(given, Mapping):
        raise ConfigError(
            f"classes: {expected}, found a {type(given).__name__}; of {{name: index}}, sorted(d, key=d.get)"
        )
    if isinstance(given, (str, bytes, AbstractSet)) or not isinstance(given, Iterable):
        raise ConfigError(f"classes: {expected}, found {given!r}")
    values = list(given)
    others = [value for value in values if not isinstance(value, str)]
    if others:
        raise ConfigError(f"classes: {expected}, found {others[0]!r}, a {type(others[0]).__name__}")
    names = tuple(str(value) for value in values)
    repeated = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if len(names) < 2 or repeated:
        twice = f"; {', '.join(map(repr, repeated[:5]))} is there twice" if repeated else ""
        raise ConfigError(f"a classifier needs two or more different classes, not {list(names)}{twice}")
    return names
