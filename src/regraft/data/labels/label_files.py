"""Files of labels: tables, and the JSON, XML and Parquet files of other programs, each as a `Table`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from regraft.data.archives.address import shown
from regraft.data.archives.arrow_rows import arrow, features_in, parquet_file, parquet_rows, text_columns
from regraft.data.labels.cvat import cvat_table, datumaro_table, is_cvat, is_datumaro, parsed_json
from regraft.data.labels.label_studio import is_label_studio, label_studio_table
from regraft.data.tables.cells import cell_text
from regraft.data.tables.columns import ColumnNames
from regraft.data.tables.table import Row, Table, TableSource, read_table, table_bytes
from regraft.errors import PhotosError

LABEL_SUFFIXES = frozenset({".csv", ".tsv", ".xlsx", ".json", ".jsonl", ".ndjson", ".xml", ".parquet"})
"""Suffixes of files of labels."""

_OTHERS = frozenset({".json", ".jsonl", ".ndjson", ".xml", ".parquet"})
_PARQUET = b"PAR1"


def read_labels(source: TableSource, named: ColumnNames) -> Table:
    """Return a file of labels, or a data frame, as a table.

    Args:
        source: a CSV or another text file, an Excel file, a Parquet file, JSON or JSON lines with an object for each
            photo, an export of Label Studio or CVAT, or a data frame.
        named: columns that the user names.

    Raises:
        PhotosError: the file is missing, unreadable, of an unknown kind, or ambiguous.
        MissingExtraError: the package that reads it is not installed.
    """
    if not isinstance(source, (str, Path)) or PurePosixPath(str(source)).suffix.lower() not in _OTHERS:
        return read_table(source)
    file = Path(source)
    table = Table(file.name, shown(file), file.parent, 0, [], [])
    data = table_bytes(file, "labels", shown(file))
    if data.startswith(_PARQUET):
        return _parquet_table(file, table)
    if is_cvat(data):
        return cvat_table(data, table)
    value = parsed_json(data)
    if is_label_studio(value):
        return label_studio_table(value, table, named)
    if is_datumaro(value):
        return datumaro_table(value, table)
    records = _records(value, data)
    if records is None:
        raise PhotosError(
            f"{table.title}: the file has no labels of photos that regraft knows\n  expected   a list of objects with "
            "path and label, an export of Label Studio (JSON, JSON-MIN), or of CVAT (CVAT for images, Datumaro)"
        )
    header = list(dict.fromkeys(name for record in records for name in record))
    rows: list[Row] = [
        (number, [cell_text(record.get(name)) for name in header]) for number, record in enumerate(records, start=1)
    ]
    return table.with_rows(header, rows, [], "object")


def _records(value: Any, data: bytes) -> Sequence[Mapping[str, Any]] | None:
    """Return the objects of JSON or JSON lines without their nested values, or None."""
    if value is None or isinstance(value, dict):
        try:
            value = [json.loads(line) for line in data.decode("utf-8-sig").split("\n") if line.strip()]
        except ValueError:
            return None
    if not isinstance(value, list) or not value or not all(isinstance(one, dict) for one in value):
        return None
    flat = [{name: cell for name, cell in one.items() if not isinstance(cell, (dict, list))} for one in value]
    return flat if len(flat[0]) > 1 else None


def _parquet_table(file: Path, table: Table) -> Table:
    rows = parquet_rows(file)
    if rows is not None:
        raise PhotosError(
            f"{table.title}: the Parquet file also contains photos\n  name it as PHOTOS, without --labels"
        )
    pa = arrow()
    try:
        content = parquet_file(file).read()
    except pa.ArrowException as error:
        raise PhotosError(f"{table.title}: the Parquet file is damaged or cut off ({error})") from error
    columns, _ = text_columns(content, features_in(content.schema), None)
    cells = list(zip(*columns.values(), strict=True))
    return table.with_rows(list(columns), [(i, list(row)) for i, row in enumerate(cells, start=1)], [], "row")
