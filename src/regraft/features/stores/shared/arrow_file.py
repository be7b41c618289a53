"""Files of the shared store: Arrow IPC files that are never changed, each named by the checksum of its bytes.

A file has the columns ``key`` (32 bytes), ``kind`` (text for people) and ``entry`` (the bytes of
`regraft.features.stores.store.pack`, with a digest of their own). So a flipped bit costs one entry, and the name tells
whether the whole file is intact. pyarrow checks every length and offset before it is used (`RecordBatch.validate`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from regraft.errors import MissingExtraError
from regraft.features.stores.store import FeatureArray, unpack

KEY_BYTES = 32
"""Bytes of a key."""

BATCH_BYTES = 4 << 20
"""Approximate bytes of the entries in one record batch, which is the smallest part of a file that is read."""

NAME = re.compile(r"([0-9a-f]{64})\.arrow")
"""Pattern of the names of files in the store."""

KEY_COLUMN = 0


class DamagedFileError(ValueError):
    """A file of the store that cannot be read as Arrow."""


class Row(NamedTuple):
    """An entry as it is in a file.

    Attributes:
        key: 32 bytes.
        kind: description for people.
        entry: the result of `regraft.features.stores.store.pack`.
    """

    key: bytes
    kind: str
    entry: bytes


def arrow() -> Any:
    """Return the package pyarrow with its modules for files.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import pyarrow as pa
        import pyarrow.ipc
    except ImportError as error:
        raise MissingExtraError("shared feature stores", "scale") from error
    return pa


def encoded(rows: Sequence[Row]) -> bytes:
    """Return the bytes of a file with ``rows``; the same rows in the same order give the same bytes."""
    pa = arrow()
    schema = pa.schema([("key", pa.binary(KEY_BYTES)), ("kind", pa.string()), ("entry", pa.large_binary())])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema) as writer:
        for part in _parts(rows):
            keys, kinds, entries = zip(*part, strict=True)
            columns = [pa.array(keys, schema.types[0]), pa.array(kinds), pa.array(entries, schema.types[2])]
            writer.write_batch(pa.record_batch(columns, schema=schema))
    data: bytes = sink.getvalue().to_pybytes()
    return data


def name_of(data: bytes) -> str:
    """Return the name of a file with the content ``data``."""
    return f"{hashlib.sha256(data).hexdigest()}.arrow"


def is_intact(name: str, data: bytes) -> bool:
    """Return whether ``data`` is what was written under ``name``."""
    return name_of(data) == name


class EntryFile:
    """An open file of the store.

    Args:
        source: an open binary file that can seek, or the bytes of the whole file.
        keys_only: whether to read the keys alone; other columns are not transferred.

    Raises:
        DamagedFileError: it is not an Arrow file of the store.
        OSError: it cannot be read.
    """

    def __init__(self, source: Any, *, keys_only: bool = False) -> None:
        pa = arrow()
        self._columns = [KEY_COLUMN] if keys_only else None
        options = pa.ipc.IpcReadOptions(included_fields=self._columns)
        opened = pa.BufferReader(source) if isinstance(source, bytes) else pa.PythonFile(source, mode="r")
        self._reader = _guarded(lambda: pa.ipc.open_file(opened, options=options))

    @property
    def batches(self) -> int:
        """Number of record batches."""
        return int(self._reader.num_record_batches)

    def keys(self, batch: int) -> NDArray[np.uint8]:
        """Return the keys of a record batch, shape (n, 32), uint8.

        Raises:
            DamagedFileError: the batch is damaged.
            OSError: it cannot be read.
        """
        column = self._batch(batch).column(KEY_COLUMN)
        keys = np.frombuffer(column.buffers()[1], np.uint8, count=KEY_BYTES * len(column))
        return keys.reshape(-1, KEY_BYTES)

    def rows(self, batch: int, which: Iterable[int] | None = None) -> Iterator[Row]:
        """Yield rows of a record batch, all of them if ``which`` is None.

        Raises:
            DamagedFileError: the batch is damaged.
            OSError: it cannot be read.
        """
        table = self._batch(batch)
        for row in range(table.num_rows) if which is None else which:
            if row < table.num_rows:
                key, kind, entry = (table.column(i)[row] for i in range(3))
                yield Row(key.as_py(), _guarded(kind.as_py), entry.as_py())

    def _batch(self, number: int) -> Any:
        def read() -> Any:
            table = self._reader.get_batch(number)
            table.validate(full=True)
            return table

        return _guarded(read)


def sound_numbers(row: Row) -> FeatureArray | None:
    """Return the read-only numbers of a row, or None if a bit of it has changed."""
    return unpack(row.key, row.entry)


def _parts(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    first = size = 0
    for position, row in enumerate(rows):
        size += len(row.entry)
        if size >= BATCH_BYTES:
            yield rows[first : position + 1]
            first, size = position + 1, 0
    if first < len(rows):
        yield rows[first:]


def _guarded(read: Any) -> Any:
    """Return ``read()``; an error of pyarrow about the content becomes a `DamagedFileError`."""
    pa = arrow()
    try:
        return read()
    except (pa.ArrowException, MemoryError, ValueError, TypeError, IndexError, KeyError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the system, not of the content
            raise
        raise DamagedFileError(str(error)) from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise DamagedFileError(str(error)) from error
