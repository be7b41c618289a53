"""The photos of a folder and their classes, from one folder per class, from train/ and val/, or from a CSV.

Class names are compared in Unicode's composed form (NFC) and displayed as written.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from regraft.data import problems
from regraft.data.csv_labels import read_csv_labels
from regraft.data.file_types import why_unreadable
from regraft.data.folder_tree import Branch, Tree
from regraft.data.layout import Folders, read_layout
from regraft.data.photo import SIDE_NAMES, FolderMeaning, Photo, Side
from regraft.data.walk import (
    FolderListing,
    Skipped,
    folder_identity,
    list_folder,
    photos_below,
    unreadable_folder_notes,
    unreadable_reason,
)
from regraft.errors import ConfigError, PhotosError

MAX_OTHER_FILES = 100_000
"""Number of files that are not photos at which a folder without photos is refused."""

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


def find_photos(
    root: Path | str,
    labels: Path | str | None = None,
    *,
    one_class: bool = False,
    folders: FolderMeaning | None = None,
    known: Iterable[str] = (),
) -> Source:
    """Return the photos of a folder: one folder per class, or train/ and val/ with such folders, or a CSV.

    Only files without a photo's extension are opened, to read their first bytes.

    Args:
        root: the folder.
        labels: a CSV with the columns path, label and, if wanted, split and group.
        one_class: whether photos of a single class are accepted, as for measuring a classifier.
        folders: the meaning of the folders in ``root``; None to recognize it.
        known: names of classes, as of a classifier to measure: folders with such names are classes.

    Raises:
        PhotosError: the folder is missing or unreadable, has no photos, no class folders or only one class, or the CSV
            is invalid.
    """
    source = _find(Path(root), labels, folders, frozenset(map(composed, known)))
    if not one_class:
        problems.check_two_classes(source.root, source.classes, len(source.photos), source.layout)
    return source


def _find(root: Path, labels: Path | str | None, meaning: FolderMeaning | None, known: frozenset[str]) -> Source:
    inside, skipped = _list_root(root)
    if labels is not None:
        table = read_csv_labels(Path(labels), root)
        return _source(root, table.photos, "csv", [], list(table.notes))
    problems.check_not_of_the_system(root)
    tree = _list_tree(root, inside, skipped, MAX_OTHER_FILES if meaning is None else None)
    layout = read_layout(Folders(root, tree, tuple(inside.photos), skipped), meaning, known)
    return _source(root, layout.photos, layout.kind, [*skipped, *layout.left_out], layout.notes)


def _list_root(root: Path) -> tuple[FolderListing, Skipped]:
    skipped: Skipped = []
    problems.check_root(root)
    try:
        return list_folder(root, "", skipped), skipped
    except OSError as error:
        raise PhotosError(f"{root}: {why_unreadable(error, root)}") from error


def _list_tree(root: Path, inside: FolderListing, skipped: Skipped, limit: int | None) -> Tree:
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
