"""Photos in Parquet files and in saved data sets of Hugging Face: members with labels, named by their rows."""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from regraft.data.archives.address import shown
from regraft.data.archives.arrow_rows import PhotoRows, parquet_rows, saved_rows
from regraft.data.archives.members import Members
from regraft.data.file_types import PHOTO_SUFFIXES, read_regular
from regraft.data.tables.table import Row, Table
from regraft.errors import PhotosError
from regraft.text import counted


@dataclass(frozen=True)
class _Place:
    """The row of a photo.

    Attributes:
        rows: the rows of its split.
        row: its number there.
    """

    rows: PhotoRows
    row: int


class ArrowMembers(Members):
    """The photos of one table, or of a table for each split.

    Args:
        path: the file or the folder, for messages.
        splits: the rows by the names of their splits; ``""`` for a table without splits.
    """

    def __init__(self, path: Path, splits: Mapping[str, PhotoRows]) -> None:
        self._path, self._splits = path, splits
        self._places = {
            f"{split}/{_name(rows, row)}" if split else _name(rows, row): _Place(rows, row)
            for split, rows in splits.items()
            for row in range(len(rows.written))
        }
        super().__init__(dict.fromkeys(self._places, ""), frozenset(split for split in splits if split))

    def close(self) -> None:
        """Forget the tables; their files close with them."""
        self._places.clear()

    def read(self, name: str, first: int | None = None) -> bytes:
        """Return the bytes of a photo, or its ``first`` bytes.

        Raises:
            OSError: there is no such row, or it has no photo.
        """
        place = self._places.get(name)
        if place is None:
            raise FileNotFoundError(errno.ENOENT, "there is no such row", name)
        data = place.rows.read(place.row)
        if data is None and place.rows.written[place.row]:
            data = read_regular(Path(place.rows.written[place.row]))
        if data is None:
            raise OSError(errno.ENODATA, "the row has no photo", name)
        return bytes(data) if first is None else bytes(data[:first])

    def labels(self, column: str | None) -> Table:
        """Return the columns of the rows; a single column of named classes is the label.

        Args:
            column: the column of the labels, where the user names it.
        """
        columns = list(dict.fromkeys(name for rows in self._splits.values() for name in rows.columns))
        classes = {name for rows in self._splits.values() for name in rows.classes}
        named = {column} if column is not None else classes
        renamed = column is None and len(classes) == 1 and "label" not in columns
        header = ["label" if renamed and name in classes else name for name in columns]
        several = len(self._splits) > 1 and "split" not in columns
        table, left_out = list[Row](), 0
        for number, (member, place) in enumerate(self._places.items(), start=1):
            cells = [_cell(place, name) for name in columns]
            if named and all(not cell for name, cell in zip(columns, cells, strict=True) if name in named):
                left_out += 1
                continue
            table.append((number, [member, *cells, *([member.partition("/")[0]] if several else [])]))
        notes = [f"labels from the column {name!r}" for name in classes if renamed]
        if left_out:
            notes.append(f"{counted(left_out, 'photo has', 'photos have')} no class (-1), and are left out")
        title = shown(self._path)
        return Table(
            self._path.name, title, self._path, 0, ["path", *header, *(["split"] if several else [])], table,
            tuple(f"{self._path.name}: {note}" for note in notes),
        )  # fmt: skip


def _cell(place: _Place, column: str) -> str:
    values = place.rows.columns.get(column)
    return "" if values is None else values[place.row]


def _name(rows: PhotoRows, row: int) -> str:
    suffix = PurePosixPath(rows.written[row].replace("\\", "/")).suffix
    return f"{row:06}{suffix if suffix.lower() in PHOTO_SUFFIXES else ''}"


def parquet_members(path: Path) -> ArrowMembers:
    """Return the photos of a Parquet file.

    Raises:
        PhotosError: it is damaged, or has no column of photos.
        MissingExtraError: PyArrow is not installed.
        OSError: it cannot be read.
    """
    rows = parquet_rows(path)
    if rows is None:
        raise PhotosError(f"{shown(path)}: the Parquet file has no column of photos; expected bytes of pictures")
    return ArrowMembers(path, {"": rows})


def dataset_members(folder: Path) -> ArrowMembers:
    """Return the photos of a data set, or of several splits, that ``datasets`` saved with ``save_to_disk``.

    Raises:
        PhotosError: it is damaged, or has no column of photos.
        MissingExtraError: PyArrow is not installed.
        OSError: it cannot be read.
    """
    listed = folder / "dataset_dict.json"
    if not listed.is_file():
        return ArrowMembers(folder, {"": saved_rows(folder)})
    try:
        splits = [str(name) for name in json.loads(listed.read_text(encoding="utf-8"))["splits"]]
    except (ValueError, KeyError, TypeError) as error:
        raise PhotosError(f"{listed}: the list of splits is damaged ({error})") from error
    return ArrowMembers(folder, {split: saved_rows(folder / split) for split in splits})
