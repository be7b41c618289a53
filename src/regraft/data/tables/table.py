"""Tables of the user, one reader for labels, decisions and predictions: CSV and other text, Excel, and data frames."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from regraft.data.file_types import HEADER_BYTES, describe_non_photo, read_regular, why_unreadable
from regraft.data.tables.cells import column_key
from regraft.data.tables.column_words import LABEL_RANKS, PATH_RANKS
from regraft.data.tables.data_frame import DataFrame, frame_rows, is_data_frame
from regraft.data.tables.excel import is_excel, sheet_rows
from regraft.data.tables.table_text import decoded, is_wide
from regraft.errors import PhotosError

TableSource: TypeAlias = Path | str | DataFrame
"""A file, or a data frame of pandas or polars."""

MAX_PROBLEMS = 20
"""Number of invalid rows that a message lists."""

_TITLE_ROWS = 5
"""Number of rows among which the names of columns are: a title may be above them."""

Row: TypeAlias = tuple[int, list[str]]
"""(number of its first line, fields as text)"""


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes:
        name: the file's name, or ``"the data frame"``.
        title: the file as the user named it.
        folder: the folder of the file; relative paths in the table may start there.
        line: number of the line with the header.
        header: names of the columns.
        rows: the other rows that are not blank.
        notes: remarks to print for the user.
        problem: what is wrong with the table from some row on, or "".
        unit: the word for what a row was in the file, for messages.
        columns_chosen: whether the columns are path, label and split, whatever columns of the file the user names.
    """

    name: str
    title: str
    folder: Path
    line: int
    header: list[str]
    rows: list[Row]
    notes: tuple[str, ...] = ()
    problem: str = ""
    unit: str = "line"
    columns_chosen: bool = False

    def with_rows(self, header: Sequence[str], rows: Sequence[Row], notes: Sequence[str], unit: str) -> Table:
        """Return a table of the same file with other rows, numbered by what ``unit`` names."""
        return replace(self, header=list(header), rows=list(rows), notes=(*self.notes, *notes), unit=unit)

    def with_labels(self, rows: Sequence[Row], notes: Sequence[str], unit: str) -> Table:
        """Return a table of the same file with the path, the label and, if all rows have it, the side of each photo."""
        width = max((len(cells) for _, cells in rows), default=2)
        chosen = self.with_rows(["path", "label", "split"][:width], rows, notes, unit)
        return replace(chosen, columns_chosen=True)


def read_table(source: TableSource, what: str = "labels", expected: str = "path,label") -> Table:
    """Return a table; text may be UTF-8, UTF-16 or Windows-1252, with any common separator.

    Args:
        source: a CSV or another text file, an Excel file, or a data frame.
        what: the content, for messages.
        expected: the columns, for messages.

    Raises:
        PhotosError: the file is missing, unreadable, or no table.
        MissingExtraError: it is an Excel file, and the package for these is not installed.
    """
    if not isinstance(source, (str, Path)):
        return _table("the data frame", "the data frame", Path(), list(frame_rows(source)))
    file = Path(source)
    data = table_bytes(file, what)
    if is_excel(data):
        rows, notes = sheet_rows(file, data)
        return _table(file.name, str(file), file.parent, rows, notes)
    text, notes = decoded(data, file) if _is_text(data) else ("", ())
    if not _is_text(data):
        kind = describe_non_photo(data[:HEADER_BYTES])
        if file.suffix.lower() == ".xlsx" and data.startswith(b"PK"):
            raise PhotosError(f"{file}: the Excel file is damaged or cut off; download or copy it again")
        raise PhotosError(f"{file}: it is {kind}, not a CSV\n  expected   {expected} in its first line")
    text_rows: list[Row] = []
    problem = ""
    try:
        for row in _text_rows(text):
            text_rows.append(row)  # noqa: PERF402 (rows before an error count)
    except csv.Error as error:
        problem = str(error)
    return _table(file.name, str(file), file.parent, text_rows, notes, problem)


def _table(name: str, title: str, folder: Path, rows: list[Row], notes: Sequence[str] = (), problem: str = "") -> Table:
    filled = [(line, fields) for line, fields in rows if any(field.strip() for field in fields)]
    widths = [sum(bool(field.strip()) for field in fields) for _, fields in filled[:_TITLE_ROWS]]
    titles = next((number for number, width in enumerate(widths) if width > 1), 0)  # rows above the names of columns
    if titles:
        notes = (*notes, f"{name}: the text above line {filled[titles][0]} is not read")
    line, header = filled[titles] if filled else (1, [])
    return Table(name, title, folder, line, header, filled[titles + 1 :], tuple(notes), problem)


def table_bytes(file: Path, what: str, name: str | None = None) -> bytes:
    """Return the content of a table.

    Args:
        file: the table.
        what: its content, such as ``"labels"``, for messages.
        name: the file as the user writes it; None for its path.

    Raises:
        PhotosError: it is missing or unreadable.
    """
    try:
        return read_regular(file)
    except FileNotFoundError:
        raise PhotosError(f"no such file of {what}: {name or file}") from None
    except OSError as error:
        raise PhotosError(f"{name or file}: {why_unreadable(error, file)}") from error


def _is_text(data: bytes) -> bool:
    if is_wide(data):
        return True
    what = describe_non_photo(data[:HEADER_BYTES])
    return what in {"text", "an empty file"} or (what == "something else" and b"\0" not in data[:4096])


def _text_rows(text: str) -> Iterator[Row]:
    """Yield (number of its first line, fields) of every row."""
    named = re.match(r"\s*sep=(.)\r?\n", text)  # a line for Excel
    start = 0 if named is None else named.end()
    delimiter = _delimiter(text[start:]) if named is None else named[1]
    first_line = 1 + text.count("\n", 0, start)
    if delimiter == " ":  # a list of paths, each with a label as its last word
        for number, line in enumerate(text[start:].splitlines(), start=first_line):
            yield number, line.rsplit(None, 1)
        return
    spaced = f'{delimiter} "' in text
    reader = csv.reader(io.StringIO(text[start:], newline=""), delimiter=delimiter, skipinitialspace=spaced)
    before = first_line - 1
    for row in reader:
        yield first_line, row
        first_line = before + reader.line_num + 1


def _delimiter(text: str) -> str:
    """Return the delimiter of a table: that of its header, or a blank if each line is a path and a word."""
    lines = [line for line in text.splitlines()[:50] if line.strip()]
    for line in lines[:_TITLE_ROWS]:
        fields = {delimiter: next(csv.reader([line], delimiter=delimiter), []) for delimiter in ",;\t|"}
        best = max(fields, key=lambda delimiter: (_known(fields[delimiter]), len(fields[delimiter])))
        if len(fields[best]) > 1:
            return best
    return " " if lines and all(len(line.split()) > 1 for line in lines) else ","


def _known(names: Sequence[str]) -> int:
    """Return how many names are those of columns of photos or labels."""
    return sum(key in PATH_RANKS or key in LABEL_RANKS for key in map(column_key, names))


def rows_message(title: str, problems: Sequence[str], *more: str) -> str:
    """Return one message that lists invalid rows, with further lines at its end."""
    if len(problems) == 1:
        return "\n".join([f"{title}: {problems[0]}", *more])
    rest = [f"  … and {len(problems) - MAX_PROBLEMS:,} more"] if len(problems) > MAX_PROBLEMS else []
    listed = [f"  {problem}" for problem in problems[:MAX_PROBLEMS]]
    return "\n".join([f"{title}: {len(problems):,} problems", *listed, *rest, *more])


def is_table(value: Any) -> bool:
    """Return whether ``value`` names a file or is a data frame."""
    return isinstance(value, (str, os.PathLike)) or is_data_frame(value)
