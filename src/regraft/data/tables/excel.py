"""Rows of Excel files; the package that reads them is an extra."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

from regraft.data.tables.cells import cell_text
from regraft.errors import MissingExtraError, PhotosError

_OLD_EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def is_excel(data: bytes) -> bool:
    """Return whether a file is a workbook of a spreadsheet, by its content."""
    if data.startswith(_OLD_EXCEL):
        return True
    if not data.startswith(b"PK\x03\x04"):
        return False
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            names = set(file.namelist())
    except zipfile.BadZipFile:
        return False
    return "xl/workbook.xml" in names or {"content.xml", "mimetype"} <= names


def sheet_rows(file: Path, data: bytes) -> tuple[list[tuple[int, list[str]]], tuple[str, ...]]:
    """Return the rows of the first sheet with content, with their numbers, and a note if there are several sheets.

    Raises:
        PhotosError: it is damaged, has no content, or is in an old format.
        MissingExtraError: openpyxl is not installed.
    """
    if not data.startswith(b"PK"):
        raise PhotosError(f"{file}: an Excel file of the old format .xls; save it as .xlsx or as 'CSV UTF-8'")
    try:
        import openpyxl
    except ImportError:
        raise MissingExtraError("Excel files", "excel") from None
    try:
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
    except Exception as error:
        kind = "an OpenDocument file" if b"opendocument" in data[:200] else "a damaged Excel file"
        raise PhotosError(f"{file}: it is {kind}; save it as .xlsx or as 'CSV UTF-8'") from error
    filled = [(sheet.title, rows) for sheet in book.worksheets if (rows := _rows(sheet))]
    book.close()
    if not filled:
        raise PhotosError(f"{file}: the Excel file has no content")
    title, rows = filled[0]
    others = ", ".join(repr(name) for name, _ in filled[1:])
    return rows, ((f"{file.name}: the sheet {title!r} is read, not {others}",) if others else ())


def _rows(sheet: Any) -> list[tuple[int, list[str]]]:
    rows = [
        (number, [cell_text(value) for value in values])
        for number, values in enumerate(sheet.iter_rows(values_only=True), start=1)
    ]
    width = max((len(fields) for _, fields in rows), default=0)
    while width and all(len(fields) < width or not fields[width - 1].strip() for _, fields in rows):
        width -= 1  # formatted cells without content
    return [(number, fields[:width]) for number, fields in rows if any(field.strip() for field in fields)]
