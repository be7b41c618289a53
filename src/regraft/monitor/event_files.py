"""TensorBoard's event files, read as they grow: the scalars of a folder that any program has logged to.

A file is a sequence of records: length (8 bytes), its checksum (4), a protocol buffer ``Event``, its checksum (4). See
https://www.tensorflow.org/tutorials/load_data/tfrecord. Only TensorBoard's definition of ``Event`` is loaded.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from regraft.monitor.regular_file import read_file, signature

PATTERN = "events.out.tfevents."
"""Beginning of the names of event files."""

SIDES = {"train": "", "validation": "val_", "val": "val_", "test": "test_", "eval": "val_"}
"""Folders below that Keras and others write event files to, and the prefix of their figures."""

MAX_RECORD = 16 << 20
"""Maximum bytes of a record; pictures are that large at most. Behind a larger one, the file is not read."""

_BLOCK = 4 << 20
_HEAD, _TAIL = 12, 4

Scalar = tuple[float, str, float]
"""Step, name of the figure, and value."""


class EventFile:
    """An event file; records are read when they are whole.

    Attributes:
        path: the file.
        prefix: prefix of the names of its figures.
        last: time of the last record, seconds since 1970.
    """

    def __init__(self, path: Path, prefix: str) -> None:
        self.path, self.prefix = path, prefix
        self.last = 0.0
        self._size, self._broken = 0, False

    def read_new(self) -> Iterator[Scalar]:
        """Yield the scalars of the records that were added.

        Raises:
            OSError: the file cannot be read.
        """
        while not self._broken and (records := self._whole_records()):
            for data in records:
                yield from self._scalars(data)

    def _whole_records(self) -> list[bytes]:
        block = read_file(self.path, most=_BLOCK, start=self._size)
        records, at = [], 0
        while at + _HEAD <= len(block):
            (length,) = struct.unpack_from("<Q", block, at)
            if length > MAX_RECORD:
                self._broken = True
                break
            end = at + _HEAD + length + _TAIL
            if end > len(block):
                break
            records.append(block[at + _HEAD : end - _TAIL])
            at = end
        is_large = not at and not self._broken and len(block) == _BLOCK  # such as a picture, larger than a block
        if is_large:
            at = _HEAD + struct.unpack_from("<Q", block)[0] + _TAIL
            facts = signature(self.path)
            if facts is None or facts[1] < self._size + at:
                return []
            records.append(b"")
        self._size += at
        return records

    def _scalars(self, data: bytes) -> Iterator[Scalar]:
        from google.protobuf.message import DecodeError
        from tensorboard.compat.proto.event_pb2 import Event  # type: ignore[import-untyped]

        event = Event()
        try:
            event.ParseFromString(data)
        except DecodeError:
            self._broken = True
            return
        self.last = max(self.last, float(event.wall_time))
        for value in event.summary.value:
            number = scalar_of(value)
            if number is not None:
                yield float(event.step), self.prefix + value.tag.removeprefix("epoch_"), number


def scalar_of(value: Any) -> float | None:
    """Return the number of a ``Summary.Value``, in the form of TensorFlow 1 or 2; None if it has none."""
    kind = value.WhichOneof("value")
    if kind == "simple_value":
        return float(value.simple_value)
    if kind != "tensor" or value.tensor.tensor_shape.dim:
        return None
    tensor, formats = value.tensor, {1: "<f", 2: "<d", 3: "<i", 9: "<q"}  # DataType: float, double, int32, int64
    for numbers in (tensor.float_val, tensor.double_val, tensor.int_val, tensor.int64_val):
        if len(numbers) == 1:
            return float(numbers[0])
    form = formats.get(tensor.dtype)
    if form is None or len(tensor.tensor_content) != struct.calcsize(form):
        return None
    return float(struct.unpack(form, tensor.tensor_content)[0])


def event_files(folder: Path) -> list[tuple[Path, str]]:
    """Return the event files in a folder and in its folders of sides, each with the prefix of its figures."""
    places = [(folder, ""), *((folder / name, prefix) for name, prefix in SIDES.items())]
    return [(file, prefix) for place, prefix in places for file in _files_in(place)]


def _files_in(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name.startswith(PATTERN)]
    except OSError:
        return []
    return [folder / name for name in sorted(names) if signature(folder / name) is not None]
