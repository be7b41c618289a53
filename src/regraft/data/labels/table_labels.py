"""Labels from a table: a CSV or another text file, an Excel file or a data frame, with a photo and its label a row."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from regraft.data.folders.photo_finder import PhotoFinder
from regraft.data.photo import SIDE_NAMES, Photo, Side
from regraft.data.side_words import side_of_value
from regraft.data.tables.columns import RECOGNIZED, ColumnNames, Columns, choose_columns
from regraft.data.tables.one_hot import with_label_column
from regraft.data.tables.table import Table, rows_message
from regraft.errors import PhotosError, did_you_mean
from regraft.text import counted

_SHOWN = 3
_MANY_NUMBERS = 10
_DECIMAL = re.compile(r"[-+]?\d+[.,]\d+")
_NO_VALUE = frozenset({"nan", "<na>", "#n/a", "#ref!", "#value!", "#name?", "#nv", "#null!", "#div/0!"})
"""Cells that programs write where there is no value. Words such as ``none`` may be classes."""


@dataclass(frozen=True, slots=True)
class TableLabels:
    """The photos and labels of a table.

    Attributes:
        photos: one per row, with labels as written.
        notes: remarks to print for the user.
    """

    photos: tuple[Photo, ...]
    notes: tuple[str, ...]


def labels_from_table(
    table: Table, finder: PhotoFinder, named: ColumnNames, *, skip_missing: bool = False
) -> TableLabels:
    """Return the photos and labels of a table.

    Args:
        table: the table.
        finder: finds the photos that the table names.
        named: columns that the user names.
        skip_missing: whether rows without a photo or a label are left out, instead of being an error.

    Raises:
        PhotosError: columns or rows are invalid; all of them are listed with their lines.
    """
    named = RECOGNIZED if table.columns_chosen else named
    table = with_label_column(table) if named.label is None else table
    columns = choose_columns(table, named, finder.is_photo)
    rows = table.rows if columns.header else [(table.line, table.header), *table.rows]
    parser = _RowParser(finder, columns, len(table.header), table.unit)
    for line, fields in rows:
        parser.add_row(line, fields)
    if table.problem:
        parser.conflicts.append((rows[-1][0] + 1 if rows else table.line, table.problem))
    parser.check_splits()
    notes = [*table.notes, *columns.notes]
    if parser.conflicts or (parser.missing and not (skip_missing and parser.photos)):
        raise PhotosError(_message(table, parser))
    if not parser.photos:
        raise PhotosError(
            f"{table.title}: lists no photos\n  expected   path,label in its first line, then one photo per line"
        )
    unread = ", as regraft predict could not read its photo"
    for problems, why in ((parser.missing, " (--skip-missing)"), (parser.unread, unread)):
        if problems:
            few = "; ".join(text for _, text in problems[:_SHOWN])
            more = f"; and {len(problems) - _SHOWN:,} more" if len(problems) > _SHOWN else ""
            left_out = counted(len(problems), "row is", "rows are")
            notes.append(f"{table.name}: {left_out} left out{why}: {few}{more}")
    if parser.repeated:
        notes.append(f"{table.name}: {parser.repeated:,} rows repeat an earlier one and are left out")
    notes += _number_notes(table.name, [photo.label for photo in parser.photos])
    return TableLabels(tuple(parser.photos), tuple(notes))


def _number_notes(name: str, labels: Sequence[str]) -> list[str]:
    """Return a note if the labels are measurements, such as ages or weights, and most photos have their own."""
    numbers = {label for label in labels if _DECIMAL.fullmatch(label)}
    if len(numbers) < _MANY_NUMBERS or len(numbers) < max(len(labels) / 2, len(set(labels))):
        return []
    note = (
        f"{name}: the labels are {len(numbers):,} different numbers, and each counts as a class; to learn a "
        "measurement, put it into ranges, such as 0 to 9 and 10 to 19"
    )
    return [note]


class _RowParser:
    """Converts rows to photos and collects all problems, each with its line.

    Attributes:
        photos: the photos.
        missing: problems of rows without a photo or a label.
        unread: rows of photos that ``regraft predict`` could not read, which have no label.
        conflicts: other problems.
        repeated: number of rows that repeat an earlier one.
    """

    def __init__(self, finder: PhotoFinder, columns: Columns, width: int, unit: str) -> None:
        self.photos: list[Photo] = []
        self.missing: list[tuple[int, str]] = []
        self.unread: list[tuple[int, str]] = []
        self.conflicts: list[tuple[int, str]] = []
        self.repeated = 0
        self._finder, self._columns, self._width, self._unit = finder, columns, width, unit
        self._seen: dict[str, tuple[int, Photo]] = {}
        self._names: set[str] = set()
        self._no_split: list[int] = []

    def add_row(self, line: int, row: Sequence[str]) -> None:
        """Add the photo of one row, or the problems of the row."""
        row = [*row[: self._width], *(field for field in row[self._width :] if field.strip())]
        if len(row) != self._width:
            self.missing.append((line, f"{self._row(line)}: {len(row)} fields instead of {self._width}"))
            return
        columns = self._columns
        written, label = row[columns.path], row[columns.label].strip()
        label = "" if label.casefold() in _NO_VALUE else label
        split, group = ("" if at is None else row[at].strip() for at in (columns.split, columns.group))
        side = SIDE_NAMES.get(split.casefold()) or side_of_value(split)
        place = self._finder.find(written)
        if columns.error is not None and not label and row[columns.error].strip():
            self.unread.append((line, f"{self._row(line)}: {row[columns.error].strip()}"))
            return
        problems = [] if label else ["no label"]
        unknown = bool(split) and side is None
        if unknown:
            names = ", ".join(SIDE_NAMES)
            problems.append(f"unknown split {split!r}; expected {names}{did_you_mean(split.casefold(), SIDE_NAMES)}")
        if isinstance(place, str):
            problems.append(place)
        if problems or isinstance(place, str):
            (self.conflicts if unknown else self.missing).append((line, f"{self._row(line)}: {'; '.join(problems)}"))
            return
        if side is None:
            self._no_split.append(line)
        self._add(line, *place, label, side, group or None)

    def check_splits(self) -> None:
        """Add a problem for each row without a side if other rows have one."""
        if self._no_split and any(photo.split for photo in self.photos):
            self.conflicts += [
                (line, f"{self._row(line)}: no split, though other rows have one") for line in self._no_split
            ]

    def problems(self) -> list[str]:
        """Return all problems, in the order of lines."""
        return [text for _, text in sorted(self.missing + self.conflicts)]

    def _add(self, line: int, name: str, path: Path, label: str, side: Side | None, group: str | None) -> None:
        where = os.path.abspath(path)  # noqa: PTH100 - links stay as they are
        if where in self._seen:
            earlier, same_file = self._seen[where]
            if (same_file.label, same_file.split, same_file.group) == (label, side, group):
                self.repeated += 1
            else:
                place = self._row(earlier)
                text = f"{self._row(line)}: {same_file.name} is also in {place}, with different values"
                self.conflicts.append((line, text))
            return
        photo = Photo(path, self._unique(name), label, side, group)
        self._seen[where] = line, photo
        self.photos.append(photo)

    def _row(self, line: int) -> str:
        """Return the name of a row, for messages."""
        return f"{self._unit} {line}"

    def _unique(self, name: str) -> str:
        count, candidate = 1, name
        while candidate in self._names:
            count += 1
            candidate = f"{name} ({count})"
        self._names.add(candidate)
        return candidate


def _message(table: Table, parser: _RowParser) -> str:
    more = []
    if parser.missing and parser.photos:
        others = counted(len(parser.photos), "other row is", "other rows are")
        more = [f"  {others} right; leave out those without a photo or a label: --skip-missing"]
    elif parser.missing:
        more = ["  expected   paths relative to PHOTOS, or names of files in it"]
    return rows_message(table.title, parser.problems(), *more)


def column_of_photos(table: Table, column: str, finder: PhotoFinder, named: ColumnNames) -> Mapping[str, str]:
    """Return the value of a column for each photo of a table, by the photo's name.

    Raises:
        PhotosError: the table does not have the column, or has no column of photos.
    """
    columns = choose_columns(table, named, finder.is_photo)
    names = [name.strip() for name in table.header]
    if not columns.header or column.strip() not in names:
        raise PhotosError(f"{table.title} has no column {column!r}{did_you_mean(column, names)}")
    at = names.index(column.strip())
    values = {}
    for _, row in table.rows:
        place = finder.find(row[columns.path]) if len(row) > max(at, columns.path) else ""
        if not isinstance(place, str):
            values[place[0]] = row[at]
    return values
