"""Data frames of pandas and polars as tables, without importing either."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeGuard, runtime_checkable

from regraft.cache_dir import cache_folder
from regraft.data.tables.cells import cell_text
from regraft.disk.atomic import make_folder, write_text
from regraft.disk.csv_file import csv_text


@runtime_checkable
class DataFrame(Protocol):
    """A table in memory: columns with names, and a shape."""

    @property
    def columns(self) -> Iterable[Any]:
        """Names of the columns."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, columns)."""


def is_data_frame(value: Any) -> TypeGuard[DataFrame]:
    """Return whether ``value`` is a data frame of pandas or polars."""
    return all(hasattr(value, name) for name in ("columns", "shape", "to_dict")) and len(value.shape) == 2


def frame_rows(frame: Any) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a data frame as text, each with its number; the names of the columns are row 1.

    An index of pandas that is not just numbers is the first column: paths are often the index.
    """
    names = [str(name) for name in frame.columns]
    if hasattr(frame, "itertuples"):
        index = frame.index
        named = index.name is not None or not _counts(index)
        rows: Iterable[tuple[Any, ...]] = frame.itertuples(index=named, name=None)
        header = [str(index.name or "path"), *names] if named else names
    else:
        rows, header = frame.iter_rows(), names
    yield 1, header
    for number, row in enumerate(rows, start=2):
        yield number, [cell_text(value) for value in row]


def _counts(index: Any) -> bool:
    return all(isinstance(value, int) or hasattr(value, "__index__") for value in index)


def stored_frame(frame: Any) -> Path:
    """Return a CSV in the cache folder with the content of a data frame, so that a run can be repeated and resumed.

    Raises:
        OSError: it cannot be written.
    """
    return stored_rows(row for _, row in frame_rows(frame))


def stored_rows(rows: Iterable[Iterable[str]]) -> Path:
    """Return a CSV in the cache folder with some rows.

    Raises:
        OSError: it cannot be written.
    """
    text = csv_text(rows)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    file = cache_folder() / "labels" / f"{digest}.csv"
    if not file.exists():
        make_folder(file.parent)
        write_text(file, text)
    return file
