"""The photos of folders or archives and their classes, from class folders, from their names, or from a table.

Class names are compared in Unicode's composed form (NFC) and displayed as written.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from regraft.data.archives.archive import archive_notes, archive_of
from regraft.data.folders import problems
from regraft.data.folders.layout import FolderLayout, Folders, read_layout
from regraft.data.folders.listing import Listing, list_names, list_root
from regraft.data.folders.masks import without_masks
from regraft.data.folders.photo_finder import PhotoFinder
from regraft.data.folders.several_folders import check_class_folders_of_all, merged, skipped_in
from regraft.data.folders.training_outputs import without_training_outputs
from regraft.data.folders.walk import NamedPath, Skipped, unreadable_folder_notes
from regraft.data.labels.combined_labels import combined_label_notes
from regraft.data.labels.cvat import without_unlabeled
from regraft.data.labels.label_files import read_labels
from regraft.data.labels.name_labels import NO_LABEL, labels_from_names
from regraft.data.labels.own_labels import OwnLabels, joined, own_labels
from regraft.data.labels.table_labels import labels_from_table
from regraft.data.photo import FolderMeaning, Photo, Side
from regraft.data.selection import MovedPhotos, PhotoSelection
from regraft.data.tables.table import TableSource
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
    labels: TableSource | None = None,
    *,
    one_class: bool = False,
    folders: FolderMeaning | None = None,
    known: Iterable[str] = (),
) -> Source:
    """Return the photos of a folder: one folder per class, or train/ and val/ with such folders, or a table of labels.

    Only files without a photo's extension are opened, to read their first bytes.

    Args:
        root: the folder, or an archive (zip, tar, compressed tar) of one.
        labels: a CSV, an Excel file or a data frame with the columns path, label and, if wanted, split and group.
        one_class: whether photos of a single class are accepted, as for measuring a classifier.
        folders: the meaning of the folders in ``root``; None to recognize it.
        known: names of classes, as of a classifier to measure: folders with such names are classes.

    Raises:
        PhotosError: the folder is missing or unreadable, has no photos, no class folders or only one class, or the
            table is invalid.
    """
    return select_photos(PhotoSelection(Path(root), labels=labels, folders=folders), one_class=one_class, known=known)


def select_photos(
    selection: PhotoSelection,
    *,
    one_class: bool = False,
    known: Iterable[str] = (),
    moved: MovedPhotos | None = None,
) -> Source:
    """Return the photos that the user has selected, as `find_photos`.

    Args:
        selection: the folders, and where the labels are.
        one_class: whether photos of a single class are accepted.
        known: names of classes: folders with such names are classes.
        moved: where photos are now, if they have moved; then the folders are not read.

    Raises:
        PhotosError: as for `find_photos`.
        ConfigError: options do not go together, or a pattern is invalid.
    """
    selection.check()
    roots = selection.roots
    if selection.labels is not None:
        source = _from_table(selection, roots, moved)
    elif (own := _own_labels(selection, roots, moved)) is not None:
        source = _from_own_labels(selection, own)
    else:
        selection.check_no_table_options()
        found = {first: _photos_in(_listing(first, root, selection, moved)) for first, root in roots.items()}
        listings = {first: listing for first, (listing, _) in found.items()}
        left_out = [note for _, notes in found.values() for note in notes]
        check_class_folders_of_all(listings if selection.label_from is None else {})
        layout = merged({f: _layout(f, one, selection, frozenset(map(composed, known))) for f, one in listings.items()})
        skipped = [pair for first, one in listings.items() for pair in skipped_in(first, one.skipped)]
        notes = [*layout.notes, *left_out]
        source = _source(selection.photos, layout.photos, layout.kind, [*skipped, *layout.left_out], notes)
    if not one_class:
        problems.check_two_classes(
            source.root, source.classes, [p.name for p in source.photos], source.layout, source.skipped
        )
    return source


def _listing(first: str, root: Path, selection: PhotoSelection, moved: MovedPhotos | None) -> Listing:
    if moved is None:
        return list_root(root, MAX_OTHER_FILES if selection.folders is None else None)
    inside = f"{first}/" if first else ""
    return list_names(root, [(n.removeprefix(inside), path) for n, path in moved.paths.items() if n.startswith(inside)])


def _photos_in(listing: Listing) -> tuple[Listing, list[str]]:
    """Return a listing without masks and without what trainings have written, and notes on these."""
    photos, of_trainings = without_training_outputs(listing)
    photos, of_masks = without_masks(photos)
    return photos, [*of_trainings, *of_masks]


def _layout(first: str, listing: Listing, selection: PhotoSelection, known: frozenset[str]) -> FolderLayout:
    if selection.label_from is None:
        tree, unlabeled = without_unlabeled(listing.tree, listing.skipped)
        layout = read_layout(Folders(listing.root, tree, listing.loose, listing.skipped), selection.folders, known)
        return replace(layout, left_out=[*layout.left_out, *unlabeled])
    named = labels_from_names(listing, selection.label_from)
    kind: Literal["classes", "split"] = "split" if any(photo.split for photo in named.photos) else "classes"
    return FolderLayout(kind, named.photos, [(name, NO_LABEL) for name in named.unlabeled], named.notes)


def _from_table(selection: PhotoSelection, roots: Mapping[str, Path], moved: MovedPhotos | None) -> Source:
    elsewhere = moved is not None or any(archive_of(root) for root in roots.values())
    for root in roots.values() if moved is None else ():
        if archive_of(root) is None:
            problems.check_root(root)
            problems.check_listable(root)
    file = moved.labels if moved is not None and moved.labels is not None else selection.labels
    table = read_labels(file, selection.columns)
    bases = (selection.table_folder or table.folder, Path.cwd())

    def photos() -> Iterator[NamedPath]:
        for first, root in roots.items():
            for name, path in _listing(first, root, selection, moved).photos():
                yield f"{first}/{name}" if first else name, path

    finder = PhotoFinder(roots, bases, photos, elsewhere=elsewhere)
    labels = labels_from_table(table, finder, selection.columns, skip_missing=selection.skip_missing)
    return _source(selection.photos, labels.photos, "csv", [], list(labels.notes))


def _own_labels(selection: PhotoSelection, roots: Mapping[str, Path], moved: MovedPhotos | None) -> OwnLabels | None:
    """Return the labels that all roots have with their photos, or None if none has.

    Raises:
        PhotosError: only some have.
    """
    if selection.label_from is not None or selection.folders is not None:
        return None
    if moved is not None and moved.place is not None:
        roots = {"": moved.place}
    parts = {first: own_labels(root, selection.columns) for first, root in roots.items()}
    having = {first: part for first, part in parts.items() if part is not None}
    if not having:
        return None
    if len(having) < len(parts):
        one, other = next(iter(having)), next(first for first in parts if first not in having)
        raise PhotosError(
            f"{one} has labels with its photos, and {other} has none\n"
            "  expected   photos of one kind; train on one of them"
        )
    return having[""] if "" in having else joined(having, selection.photos)


def _from_own_labels(selection: PhotoSelection, own: OwnLabels) -> Source:
    finder = PhotoFinder({"": selection.photos}, (), lambda: own.photos, elsewhere=True)
    labels = labels_from_table(own.table, finder, selection.columns, skip_missing=selection.skip_missing)
    return _source(selection.photos, labels.photos, "csv", [], list(labels.notes))


def _source(root: Path, photos: Iterable[Photo], layout: Layout, skipped: Skipped, notes: list[str]) -> Source:
    """Return the source with one spelling per class, and photos and classes in order."""
    photos = list(photos)
    spelling = canonical_spellings(photo.label for photo in photos)
    merged = sorted(label for label, canonical in spelling.items() if label != canonical)
    notes = [*notes, *unreadable_folder_notes(skipped), *archive_notes(skipped)] + [
        f"class {spelling[label]} is spelled in two Unicode forms: treated as one class" for label in merged
    ]
    notes += [*case_difference_notes(set(spelling.values())), *combined_label_notes(spelling.values())]
    photos = [
        photo if spelling[photo.label] == photo.label else replace(photo, label=spelling[photo.label])
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
