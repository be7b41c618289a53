"""The manifest: every file of a folder of photos, with its content hash, class, side and status."""

from __future__ import annotations

import csv
import hashlib
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from regraft.data.compact_path import with_compact_path
from regraft.data.decoding.header_traits import TRAIT_BYTES, Trait, traits_of
from regraft.data.file_types import HEADER_BYTES, VIDEO, describe_non_photo, open_regular, photo_format, why_unreadable
from regraft.data.folders.walk import RAW
from regraft.data.photo import Photo, Side
from regraft.data.threads import map_in_order
from regraft.disk.csv_file import open_csv, write_csv
from regraft.errors import PhotosError, RunFolderError, several
from regraft.screen import Bar
from regraft.text import counted

if TYPE_CHECKING:
    from regraft.data.source import Source

Status: TypeAlias = Literal["ok", "put aside", "skipped"]

COLUMNS = ("path", "content", "class", "split", "group", "status", "why")

_CHUNK = 1 << 20


@with_compact_path
@dataclass(slots=True)
class Entry:
    """One file and its use.

    Attributes:
        name: its path relative to the root, with ``/`` between the parts.
        path: path to open it by.
        content: SHA-256 of its bytes, 64 hexadecimal digits; empty if it was not or could not be read.
        label: its class, as written; empty for a skipped file.
        side: its side of the split; None before the split, and for files that are not used.
        group: the user's group, or None.
        status: ``"ok"``; ``"put aside"``: it looks like a photo but is unusable; ``"skipped"``: it is not a photo.
        why: the reason for its status; empty for most files that are ok.
        given_side: its side according to the folder or the CSV, or None.
        traits: what its first bytes reveal, see `regraft.data.decoding.header_traits.traits_of`; empty before the scan.
    """

    name: str
    path: Path
    content: str
    label: str
    side: Side | None = None
    group: str | None = None
    status: Status = "ok"
    why: str = ""
    given_side: Side | None = None
    traits: frozenset[Trait] = field(default=frozenset(), compare=False)


@dataclass
class Manifest:
    """All files of a folder of photos.

    Attributes:
        root: the folder that names are relative to.
        classes: names of the classes, in the order of the classifier's outputs.
        entries: every file, in name order.
    """

    root: Path
    classes: tuple[str, ...]
    entries: list[Entry] = field(default_factory=list)

    @property
    def usable(self) -> list[Entry]:
        """Photos whose status is ok, in name order."""
        return [entry for entry in self.entries if entry.status == "ok"]

    def set_aside(self, entry: Entry, why: str) -> None:
        """Mark a photo as unusable; the reason is recorded in the manifest."""
        entry.status, entry.why, entry.side = "put aside", why, None

    def relabel(self, entry: Entry, label: str, why: str) -> None:
        """Set another label of a photo; the reason is recorded in the manifest."""
        entry.label, entry.why = label, why

    def assign_sides(self, sides: Mapping[str, Side]) -> None:
        """Set the side of every usable photo, given content hash to side."""
        for entry in self.usable:
            entry.side = sides[entry.content]

    def assign_given_sides(self) -> None:
        """Set the side of every usable photo to its side in the folder or the CSV."""
        for entry in self.usable:
            entry.side = entry.given_side

    def write(self, path: Path | str) -> None:
        """Write the manifest as CSV: path, content, class, split, group, status, why.

        Raises:
            OSError: the file cannot be written.
        """
        rows = ((e.name, e.content, e.label, e.side or "", e.group or "", e.status, e.why) for e in self.entries)
        write_csv(path, chain([COLUMNS], rows))

    @classmethod
    def read(cls, path: Path | str, root: Path | str | None = None) -> Manifest:
        """Return the manifest that `write` wrote.

        Args:
            path: the CSV file.
            root: the folder that its names are relative to; without it, ``entry.path`` is the name alone.

        Raises:
            RunFolderError: the file is missing or damaged; all problems are listed with their lines.
        """
        base = Path(root) if root is not None else Path()
        try:
            with open_csv(path) as file:
                entries, problems = _parse(csv.reader(file), base)
        except OSError as error:
            raise RunFolderError(f"{path}: cannot be read: {error.strerror or error}") from error
        except csv.Error as error:
            raise RunFolderError(f"{path}: cannot be read: {error}") from error
        if problems:
            raise RunFolderError(several(str(path), problems))
        from regraft.data.source import class_order  # it loads much that predictions do not need

        return cls(base, class_order(entry.label for entry in entries if entry.status == "ok"), entries)


def _parse(rows: Iterable[list[str]], base: Path) -> tuple[list[Entry], list[str]]:
    entries: list[Entry] = []
    problems: list[str] = []
    lines = iter(rows)
    if tuple(next(lines, ())) != COLUMNS:
        return [], [f"not a manifest: its first line must be {','.join(COLUMNS)}"]
    try:
        for number, row in enumerate(lines, start=2):
            entry = _entry(row, base)
            if isinstance(entry, str):
                problems.append(f"row {number}: {entry}")
            else:
                entries.append(entry)
    except csv.Error as error:
        problems.append(str(error))
    return entries, problems


def _entry(row: list[str], base: Path) -> Entry | str:
    """Return the entry of a row, or its problem."""
    if len(row) != len(COLUMNS):
        return f"{len(row)} fields instead of {len(COLUMNS)}"
    name, content, label, split, group, status, why = row
    side = next((s for s in get_args(Side) if s == split), None)
    valid_status = next((s for s in get_args(Status) if s == status), None)
    if valid_status is None:
        return f"unknown status {status!r}; expected {', '.join(get_args(Status))}"
    if split and side is None:
        return f"unknown split {split!r}; expected {', '.join(get_args(Side))}"
    return Entry(name, base / name, content, sys.intern(label), side, group or None, valid_status, why)


def scan(source: Source, *, workers: int, bar: Bar | None = None) -> Manifest:
    """Read every photo of ``source`` once, without decoding it, and return the manifest.

    Args:
        source: the result of `find_photos`.
        workers: number of reading threads.
        bar: advanced by one for each photo.

    Returns:
        A manifest with an entry for each photo and each skipped file.
    """
    entries = []
    for entry in map_in_order(read_entry, source.photos, workers=workers, ahead=4 * max(workers, 1)):
        entries.append(entry)
        if bar is not None:
            bar.advance()
    entries += [Entry(name, source.root / name, "", "", status="skipped", why=why) for name, why in source.skipped]
    return Manifest(source.root, source.classes, sorted(entries, key=lambda entry: entry.name))


def read_entry(photo: Photo) -> Entry:
    """Return the entry of one photo; it is marked as unusable if it cannot be read or is not a photo."""
    content, problem = "", ""
    traits: frozenset[Trait] = frozenset()
    try:
        first, content = _hashed(photo)
        head = first[:HEADER_BYTES]
        kind = photo_format(head)
        traits = traits_of(first, kind)
        if kind is None:
            problem = f"not a photo: {describe_non_photo(head)}"
    except OSError as error:
        problem = why_unreadable(error, photo.path)
    status: Status = "put aside" if problem else "ok"
    return Entry(photo.name, photo.path, content, photo.label, None, photo.group, status, problem, photo.split, traits)


def _hashed(photo: Photo) -> tuple[bytes, str]:
    """Return the first bytes of a file and the SHA-256 of all of them, without holding the file in memory."""
    digest = hashlib.sha256()
    with open_regular(photo.path) as file:
        chunk = file.read(_CHUNK)
        head = chunk[:TRAIT_BYTES]
        while chunk:
            digest.update(chunk)
            chunk = file.read(_CHUNK)
    return head, digest.hexdigest()


def check_usable(manifest: Manifest) -> tuple[str, ...]:
    """Check that at least two classes have usable photos, and drop the other classes from ``manifest.classes``.

    Call it after the scan, and again after decoding has marked photos as unusable.

    Returns:
        Notes on classes without a usable photo, and on classes with a single one.

    Raises:
        PhotosError: no photo is usable, or all usable photos belong to one class.
    """
    counts = Counter(entry.label for entry in manifest.usable)
    lost = [name for name in manifest.classes if not counts[name]]
    left = tuple(name for name in manifest.classes if counts[name])
    aside = [entry for entry in manifest.entries if entry.status == "put aside"]
    if len(left) < 2:
        raise PhotosError(_too_few_classes(manifest, left, aside))
    manifest.classes = left
    notes = [f"class {name} is left out: none of its photos can be read" for name in lost]
    single = [name for name in left if counts[name] == 1]
    if single:
        subject = f"class {single[0]} has" if len(single) == 1 else f"{len(single):,} classes have"
        notes.append(f"{subject} a single photo: it can be used for training but not for testing")
    return tuple(notes)


def describe_skipped(entries: Iterable[Entry]) -> list[str]:
    """Return the numbers of skipped files by kind, such as ``["2 videos skipped", "1 other file skipped"]``."""
    reasons = [entry.why for entry in entries if entry.status == "skipped"]
    videos, raw = reasons.count(VIDEO), reasons.count(RAW)
    others = len(reasons) - videos - raw
    parts = [f"{counted(videos, 'video')} skipped"] if videos else []
    if raw:
        parts.append(f"{counted(raw, 'camera raw file')} skipped: export them as JPEG to use them")
    return [*parts, f"{counted(others, 'other file')} skipped"] if others else parts


def _too_few_classes(manifest: Manifest, left: tuple[str, ...], aside: list[Entry]) -> str:
    whole = len(aside) + len(manifest.usable)
    reasons = "".join(f"\n  {e.name}: {e.why}" for e in aside[:5])
    more = f"\n  … and {len(aside) - 5:,} more" if len(aside) > 5 else ""
    if not left:
        return f"{manifest.root}: none of its {whole:,} photos can be read{':' if reasons else ''}{reasons}{more}"
    only = f"only class {left[0]!r} has photos that can be read"
    return f"{manifest.root}: {only}; at least two classes are needed{reasons}{more}"
