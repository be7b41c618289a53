"""Tables with a row for each photo: small ones in memory, large ones in a temporary file.

The memory of a run should not grow with the number of its photos. The system counts the mapped pages of a file that a
process has read or written as its memory until they are released. So a large table releases its pages regularly, and
reads scattered rows without mapping them.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from regraft.cache_dir import cache_folder

LARGE = 32 << 20
"""Minimum size in bytes of a table that is stored in a file: the features of 6,500 photos."""

_RELEASE_AFTER = 4 << 20  # bytes that are read or written between two releases of pages
_BLOCK = 1024

T = TypeVar("T", bound=np.generic)


class FileRows(np.memmap[Any, np.dtype[Any]]):
    """An array in an unnamed file, with few pages in memory. It is read and written like any array.

    As in any array, slices are views, and rows that are chosen by an array of indices are copies.
    """

    _touched = 0
    _handle: int | None = None  # file descriptor of the table; its views have none

    def __getitem__(self, index: Any) -> Any:
        scattered = isinstance(index, np.ndarray) and index.dtype.kind == "i" and index.ndim == 1
        if scattered and self._handle is not None and hasattr(os, "preadv"):
            return self._read(index)
        values = super().__getitem__(index)
        self._count(getattr(values, "nbytes", 0))
        return values

    def __setitem__(self, index: Any, value: Any) -> None:
        super().__setitem__(index, value)
        self._count(getattr(value, "nbytes", 0))

    def _read(self, index: NDArray[np.int64]) -> NDArray[Any]:
        assert self._handle is not None
        out = np.empty((len(index), self.shape[1]), dtype=self.dtype)
        size = out.itemsize * out.shape[1]
        view = memoryview(out.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
        for i, row in enumerate(index.tolist()):
            if not -len(self) <= row < len(self):
                raise IndexError(f"row {row} of a table of {len(self)}")
            os.preadv(self._handle, [view[i * size : (i + 1) * size]], (row % len(self)) * size)
        return out

    def _count(self, touched: int) -> None:
        self._touched += touched
        if self._touched >= _RELEASE_AFTER:
            self._touched = 0
            mapped = getattr(self, "_mmap", None)
            if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):  # written values stay in the file
                mapped.madvise(mmap.MADV_DONTNEED)

    def __del__(self) -> None:
        if self._handle is not None:
            with contextlib.suppress(OSError):
                os.close(self._handle)


def new_table(rows: int, width: int, dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """Return an uninitialized array of shape (rows, width); a large one is a `FileRows`."""
    if rows * width * np.dtype(dtype).itemsize >= LARGE:
        for folder in (cache_folder(), None):
            with contextlib.suppress(OSError):
                return _in_file(folder, rows, width, np.dtype(dtype))
    return np.empty((rows, width), dtype=dtype)


def take(table: NDArray[T], rows: NDArray[np.int64]) -> NDArray[T]:
    """Return the chosen rows as a table, in their order; the same object if they are all rows in order."""
    if len(rows) == len(table) and np.array_equal(rows, np.arange(len(rows))):
        return table
    out = new_table(len(rows), table.shape[1], table.dtype.type)
    for i in range(0, len(rows), _BLOCK):
        out[i : i + _BLOCK] = table[rows[i : i + _BLOCK]]
    return out


def leading_columns(table: NDArray[T], width: int) -> NDArray[T]:
    """Return the first ``width`` columns as a table of its own; the same object if they are all columns."""
    if width == table.shape[1]:
        return table
    out = new_table(len(table), width, table.dtype.type)
    for i in range(0, len(table), _BLOCK):
        out[i : i + _BLOCK] = table[i : i + _BLOCK, :width]
    return out


def stacked(tables: Sequence[NDArray[T]]) -> NDArray[T]:
    """Return the rows of several tables of one width, one table after the other, as a table."""
    if len(tables) == 1:
        return tables[0]
    out = new_table(sum(map(len, tables)), tables[0].shape[1], tables[0].dtype.type)
    start = 0
    for table in tables:
        for i in range(0, len(table), _BLOCK):
            block = table[i : i + _BLOCK]
            out[start + i : start + i + len(block)] = block
        start += len(table)
    return out


def side_by_side(tables: Sequence[NDArray[T]]) -> NDArray[T]:
    """Return the columns of several tables with the same rows, one table after the other, as a table."""
    if len(tables) == 1:
        return tables[0]
    out = new_table(len(tables[0]), sum(table.shape[1] for table in tables), tables[0].dtype.type)
    for i in range(0, len(out), _BLOCK):
        out[i : i + _BLOCK] = np.concatenate([table[i : i + _BLOCK] for table in tables], axis=1)
    return out


def _in_file(folder: Path | None, rows: int, width: int, dtype: np.dtype[Any]) -> FileRows:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    size = rows * width * dtype.itemsize
    with tempfile.TemporaryFile(prefix="table-", dir=folder) as file:
        if hasattr(os, "posix_fallocate"):  # a full disk fails here, and not when the rows are written
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
        table: FileRows = FileRows(file, dtype=dtype, mode="r+", shape=(rows, width))
        table._handle = os.dup(file.fileno())
        return table
