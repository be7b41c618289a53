"""Rows of photos in Parquet files and in data sets that Hugging Face ``datasets`` has saved, read by PyArrow."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regraft.data.archives.address import shown
from regraft.data.archives.stored_file import open_stored
from regraft.data.file_types import photo_format
from regraft.data.tables.cells import cell_text
from regraft.errors import MissingExtraError, PhotosError

NO_CLASS = -1
"""The class of a photo without a label in data sets of Hugging Face."""

_HEAD = 64


@dataclass(frozen=True)
class PhotoRows:
    """Rows of a table, each with the bytes of a photo.

    Attributes:
        columns: the other columns as text, by their names.
        classes: names of the columns whose values are numbers of named classes; their text is the name.
        written: the path of each photo as the table has it, or "".
        read: returns the bytes of the photo in a row, or None if the row has only a path.
    """

    columns: Mapping[str, list[str]]
    classes: tuple[str, ...]
    written: list[str]
    read: Callable[[int], bytes | None]


def arrow() -> Any:
    """Return the package ``pyarrow``.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("Parquet files and saved data sets", "parquet") from None
    return pa


def photo_column(
    schema: Any, features: Mapping[str, Any], first_bytes: Callable[[str], bytes], title: str
) -> str | None:
    """Return the column with the photos, or None if there is none.

    Args:
        schema: the schema of PyArrow.
        features: the features of Hugging Face by column, or nothing.
        first_bytes: returns the first bytes of the first value in a column of bytes.
        title: the table, for messages.

    Raises:
        PhotosError: several columns have photos, and none is named ``image``.
    """
    named = [name for name, kind in features.items() if isinstance(kind, dict) and kind.get("_type") == "Image"]
    if not named:
        types = arrow().types
        for field in schema:
            plain = types.is_binary(field.type) or types.is_large_binary(field.type)
            nested = types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0
            if nested or (plain and photo_format(first_bytes(field.name))):
                named.append(field.name)
    if len(named) > 1 and "image" in named:
        named = ["image"]
    if len(named) > 1:
        raise PhotosError(
            f"{title}: the columns {', '.join(map(repr, named))} have photos; expected one column\n"
            "  rename the one to use to image, or write a table with that column alone"
        )
    return named[0] if named else None


def features_in(schema: Any) -> dict[str, Any]:
    """Return the features of Hugging Face in the metadata of a schema; nothing if there are none."""
    stored = (schema.metadata or {}).get(b"huggingface")
    try:
        return dict(json.loads(stored)["info"]["features"]) if stored else {}
    except (ValueError, KeyError, TypeError):
        return {}


def text_columns(
    table: Any, features: Mapping[str, Any], without: str | None
) -> tuple[dict[str, list[str]], tuple[str, ...]]:
    """Return the columns of a table as text, and the names of those whose numbers are named classes.

    Args:
        table: the table of PyArrow, without bytes of photos.
        features: the features of Hugging Face by column.
        without: a column to leave out.
    """
    columns, classes = dict[str, list[str]](), list[str]()
    types = arrow().types
    for field in table.schema:
        if field.name == without or types.is_nested(field.type) or types.is_binary(field.type):
            continue
        values = table.column(field.name).to_pylist()
        kind = features.get(field.name)
        names = kind.get("names") if isinstance(kind, dict) and kind.get("_type") == "ClassLabel" else None
        if names:
            classes.append(field.name)
            columns[field.name] = [class_name(value, names) for value in values]
        else:
            columns[field.name] = [cell_text(value) for value in values]
    return columns, tuple(classes)


def class_name(value: Any, names: Sequence[str]) -> str:
    """Return the name of a class by its number; "" for no class."""
    return str(names[value]) if isinstance(value, int) and 0 <= value < len(names) else ""


def parquet_file(path: Path) -> Any:
    """Return an open Parquet file on the disk or at an address.

    Raises:
        PhotosError: it is damaged.
        OSError: it cannot be read.
    """
    pa = arrow()
    try:
        return pa.parquet.ParquetFile(open_stored(path))
    except pa.ArrowException as error:
        raise PhotosError(f"{shown(path)}: the Parquet file is damaged or cut off ({error})") from error


def parquet_rows(path: Path) -> PhotoRows | None:
    """Return the rows of a Parquet file, or None if it has no column of photos.

    Raises:
        PhotosError: it is damaged, or several columns have photos.
        MissingExtraError: PyArrow is not installed.
        OSError: it cannot be read.
    """
    file = parquet_file(path)
    schema = file.schema_arrow
    features = features_in(schema)

    def first(name: str) -> bytes:
        batch = next(file.iter_batches(1, columns=[name]), None)
        value = batch.column(0)[0].as_py() if batch is not None and len(batch) else b""
        return bytes(value or b"")[:_HEAD]

    name = photo_column(schema, features, first, shown(path))
    if name is None:
        return None
    nested = arrow().types.is_struct(schema.field(name).type)
    others = [field.name for field in schema if field.name != name]
    has_path = nested and schema.field(name).type.get_field_index("path") >= 0
    table = file.read(columns=[*others, *([f"{name}.path"] if has_path else [])])
    columns, classes = text_columns(table, features, name)
    written = [str((value or {}).get("path") or "") for value in table.column(name).to_pylist()] if has_path else []
    return PhotoRows(columns, classes, written or [""] * file.metadata.num_rows, _RowGroups(file, name, nested).read)


def _picture_bytes(value: Any, nested: bool) -> bytes | None:
    data = value["bytes"] if nested and value else value
    return None if data is None else bytes(data)


class _RowGroups:
    """The photos of a Parquet file, read by groups of rows; the last groups stay in memory."""

    KEPT = 4

    def __init__(self, file: Any, column: str, nested: bool) -> None:
        self._file, self._column, self._nested = file, f"{column}.bytes" if nested else column, nested
        self._name = column
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.metadata.num_row_groups)]
        self._ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
        self._groups: dict[int, Any] = {}
        self._lock = threading.Lock()

    def read(self, row: int) -> bytes | None:
        """Return the bytes of a photo."""
        group = next(i for i, end in enumerate(self._ends) if row < end)
        with self._lock:
            if group not in self._groups:
                while len(self._groups) >= self.KEPT:
                    self._groups.pop(next(iter(self._groups)))
                table = self._file.read_row_group(group, columns=[self._column])
                self._groups[group] = table.column(self._name)
            value = self._groups[group][row - (self._ends[group - 1] if group else 0)].as_py()
        return _picture_bytes(value, self._nested)


def saved_rows(folder: Path) -> PhotoRows:
    """Return the rows of a data set that ``datasets`` saved with ``save_to_disk``.

    Raises:
        PhotosError: it is damaged, or has no column of photos.
        MissingExtraError: PyArrow is not installed.
        OSError: it cannot be read.
    """
    pa = arrow()
    try:
        state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        info = json.loads((folder / "dataset_info.json").read_text(encoding="utf-8"))
        files = [folder / entry["filename"] for entry in state["_data_files"]]
    except (ValueError, KeyError, TypeError) as error:
        raise PhotosError(f"{folder}: the saved data set is damaged ({error})") from error
    if state.get("_indices_files"):
        raise PhotosError(
            f"{folder}: the data set was saved with a selection of rows\n  load it, call flatten_indices(), and save it"
        )
    try:
        table = pa.concat_tables([pa.ipc.open_stream(pa.memory_map(str(file))).read_all() for file in files])
    except pa.ArrowException as error:
        raise PhotosError(f"{folder}: a file of the saved data set is damaged or cut off ({error})") from error
    features = {**features_in(table.schema), **(info.get("features") or {})}
    name = photo_column(
        table.schema,
        features,
        lambda column: bytes(table.column(column)[0].as_py() or b"")[:_HEAD] if len(table) else b"",
        str(folder),
    )
    if name is None:
        raise PhotosError(
            f"{folder}: the saved data set has no column of photos; its columns are {', '.join(table.column_names)}"
        )
    pictures = table.column(name)
    nested = pa.types.is_struct(pictures.type)
    columns, classes = text_columns(table, features, name)
    fields = {field.name for field in pictures.type} if nested else set()
    paths = pa.compute.struct_field(pictures, "path").to_pylist() if "path" in fields else [None] * len(table)

    def read(row: int) -> bytes | None:
        return _picture_bytes(pictures[row].as_py(), nested)

    return PhotoRows(columns, classes, [str(path or "") for path in paths], read)
