"""Labels from a CSV with the columns path,label[,split,group]."""

from __future__ import annotations

import csv
import io
import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from regraft.data.file_types import HEADER_BYTES, describe_non_photo, read_regular, why_unreadable
from regraft.data.photo import SIDE_NAMES, Photo, Side
from regraft.errors import PhotosError, did_you_mean

REQUIRED_COLUMNS = ("path", "label")
COLUMNS = ("path", "label", "split", "group")
_MAX_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class CsvLabels:
    """The content of a CSV of labels.

    Attributes:
        photos: one per row, with labels as written.
        notes: remarks to print for the user.
    """

    photos: tuple[Photo, ...]
    notes: tuple[str, ...]


def read_csv_labels(file: Path, root: Path) -> CsvLabels:
    """Read a CSV of labels: UTF-8, or UTF-16 with a byte order mark; separated by commas, semicolons or tabs.

    Args:
        file: the CSV.
        root: the folder of photos. Paths in the CSV are relative to it, or else to the folder of the CSV.

    Raises:
        PhotosError: the file is unreadable, or columns or rows are invalid; all of them are listed with their lines.
    """
    rows = _rows(_text(file))
    line, header = next(rows, (1, []))
    columns, notes = _columns(file, line, header)
    reader = _RowParser(root, file.parent, columns, len(header))
    try:
        for number, row in rows:
            reader.add_row(number, row)
    except csv.Error as error:
        reader.problems.append(f"{error}")
    reader.check_splits()
    if reader.problems:
        raise PhotosError(_message(file, reader.problems))
    if not reader.photos:
        raise PhotosError(
            f"{file}: lists no photos\n  expected   path,label in its first line, then one photo per line"
        )
    if reader.repeated:
        notes.append(f"{file.name}: {reader.repeated:,} rows repeat an earlier one and are left out")
    return CsvLabels(tuple(reader.photos), tuple(notes))


def _text(file: Path) -> str:
    try:
        data = read_regular(file)
    except FileNotFoundError:
        raise PhotosError(f"no such file of labels: {file}") from None
    except OSError as error:
        raise PhotosError(f"{file}: {why_unreadable(error, file)}") from error
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:  # "Unicode text" of spreadsheets
        return data.decode("utf-16", "replace")
    what = describe_non_photo(data[:HEADER_BYTES])
    try:
        if what in {"text", "an empty file"}:
            return data.decode("utf-8-sig")
        data[:4096].decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = data[error.start]
        help_line = "\n  save it as 'CSV UTF-8'" if what in {"text", "something else"} else ""
        problem = f"line {line} is not UTF-8 (byte 0x{byte:02x})" if help_line else f"it is {what}, not a CSV"
        raise PhotosError(f"{file}: {problem}{help_line}") from None
    if what != "something else":
        raise PhotosError(f"{file}: it is {what}, not a CSV\n  expected   path,label in its first line")
    return data.decode("utf-8-sig", "surrogateescape")


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (first line, fields) of every row that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    first_line = 1
    for row in reader:
        if any(field.strip() for field in row):
            yield first_line, row
        first_line = reader.line_num + 1


def _delimiter(text: str) -> str:
    """Return the delimiter that yields the required columns in the header, or else the most frequent one."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    for delimiter in ",;\t":
        columns = {_column(field) for field in next(csv.reader([first], delimiter=delimiter), [])}
        if columns.issuperset(REQUIRED_COLUMNS):
            return delimiter
    return max(",;\t", key=first.count)


def _column(field: str) -> str:
    return field.strip().casefold()


def _columns(file: Path, line: int, header: Sequence[str]) -> tuple[dict[str, int], list[str]]:
    """Return the position of each column that is used, and notes on the others."""
    names = [_column(field) for field in header]
    problems = [
        f"no column {need!r}; its columns are {', '.join(repr(h.strip()) for h in header) or 'none'}"
        f"{did_you_mean(need, names)}"
        for need in REQUIRED_COLUMNS
        if need not in names
    ]
    problems += [f"column {name!r} appears {names.count(name)} times" for name in COLUMNS if names.count(name) > 1]
    if problems:
        raise PhotosError(_message(file, [f"line {line}: {p}" for p in problems]))
    unused = [name for name in names if name and name not in COLUMNS]
    notes = [f"{file.name}: column {name!r} is not used{did_you_mean(name, COLUMNS[2:])}" for name in unused]
    return {name: names.index(name) for name in COLUMNS if name in names}, notes


class _RowParser:
    """Converts rows to photos and collects all problems."""

    def __init__(self, root: Path, base: Path, columns: Mapping[str, int], width: int) -> None:
        self.root, self.base, self.columns, self.width = root, base, columns, width
        self.photos: list[Photo] = []
        self.problems: list[str] = []
        self.repeated = 0
        self._seen: dict[str, tuple[int, Photo]] = {}
        self._names: set[str] = set()
        self._no_split: list[int] = []

    def add_row(self, line: int, row: Sequence[str]) -> None:
        """Add the photo of one row, or the problems of the row."""
        if len(row) != self.width:
            self.problems.append(f"line {line}: {len(row)} fields instead of {self.width}")
            return
        written, label, split, group = (row[self.columns[c]] if c in self.columns else "" for c in COLUMNS)
        label, side = label.strip(), SIDE_NAMES.get(_column(split))
        wrong = [] if label else ["no label"]
        if split.strip() and side is None:
            names = ", ".join(SIDE_NAMES)
            wrong.append(f"unknown split {split.strip()!r}; expected {names}{did_you_mean(_column(split), SIDE_NAMES)}")
        path = self._locate(written)
        if isinstance(path, str):
            wrong.append(path)
        if wrong or isinstance(path, str):
            self.problems.append(f"line {line}: {'; '.join(wrong)}")
            return
        if side is None:
            self._no_split.append(line)
        self._add(line, path, label, side, group.strip() or None)

    def check_splits(self) -> None:
        """Add a problem for each row without a side if other rows have one."""
        if self._no_split and any(photo.split for photo in self.photos):
            self.problems += [f"line {line}: no split, though other rows have one" for line in self._no_split]

    def _locate(self, written: str) -> Path | str:
        """Return the file that a path in the CSV refers to, or the problem with the path."""
        if not written.strip():
            return "no path"
        for text in dict.fromkeys((written, written.strip(), written.strip().replace("\\", "/"))):
            for form in dict.fromkeys((text, unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text))):
                for folder in (self.root, self.base):
                    path = folder / form
                    if os.path.lexists(path):
                        return f"{written.strip()} is a folder" if path.is_dir() else path
        return f"no such file: {written.strip()}"

    def _add(self, line: int, path: Path, label: str, side: Side | None, group: str | None) -> None:
        where = os.path.abspath(path)  # noqa: PTH100 - links stay as they are
        if where in self._seen:
            earlier, same_file = self._seen[where]
            if (same_file.label, same_file.split, same_file.group) == (label, side, group):
                self.repeated += 1
            else:
                self.problems.append(f"line {line}: {same_file.name} is also in line {earlier}, with different values")
            return
        name = self._unique(_relative_name(where, (self.root, self.base)))
        photo = Photo(path, name, label, side, group)
        self._seen[where] = line, photo
        self.photos.append(photo)

    def _unique(self, name: str) -> str:
        count, candidate = 1, name
        while candidate in self._names:
            count += 1
            candidate = f"{name} ({count})"
        self._names.add(candidate)
        return candidate


def _relative_name(where: str, folders: Sequence[Path]) -> str:
    """Return a name without a drive, a leading ``/`` or ``..``: relative to one of ``folders`` if possible."""
    for folder in folders:
        try:
            return Path(where).relative_to(os.path.abspath(folder)).as_posix()  # noqa: PTH100
        except ValueError:
            continue
    return Path(where).relative_to(Path(where).anchor).as_posix()


def _message(file: Path, problems: Sequence[str]) -> str:
    if len(problems) == 1:
        return f"{file}: {problems[0]}"
    more = [f"  … and {len(problems) - _MAX_PROBLEMS:,} more"] if len(problems) > _MAX_PROBLEMS else []
    listed = [f"  {problem}" for problem in problems[:_MAX_PROBLEMS]]
    return "\n".join([f"{file}: {len(problems):,} problems", *listed, *more])
