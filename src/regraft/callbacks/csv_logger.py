"""Write a line of figures per epoch."""

from __future__ import annotations

import contextlib
import csv
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np

from regraft.callbacks.callback import Callback, Logs
from regraft.disk.growing import cut, durable_size


class CSVLogger(Callback):
    """Write the figures of each epoch to a CSV file.

    The columns are ``epoch`` and the names of the first epoch in alphabetical order; a figure that is missing later is
    ``NA``. Each line is on disk when its epoch ends.

    Args:
        filename: the file; its folder must exist.
        separator: what stands between two fields.
        append: go on with a file that exists, without a second header; otherwise it is overwritten.

    Training that goes on after an interruption cuts off what was written after the state that it goes on from. A disk
    that is full ends the file, with a warning, and not the training.
    """

    saved: ClassVar[tuple[str, ...]] = ("keys",)

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        super().__init__()
        self.sep = separator
        self.filename = os.fspath(filename)
        self.append = append
        self.keys: list[str] | None = None
        self._header = True
        self._file: IO[str] | None = None
        self._writer: Any = None
        self._ended = False
        self._whole = 0  # bytes of whole lines

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Open the file."""
        self.close()
        going_on = bool(getattr(self._model, "going_on", False))
        self._header = not ((self.append or going_on) and _has_a_line(self.filename))
        mode = "a" if self.append or going_on else "w"
        self._file = open(self.filename, mode, encoding="utf-8", newline="")  # noqa: SIM115 (open from epoch to epoch)
        self._whole = os.fstat(self._file.fileno()).st_size
        self._ended = False
        self.keys = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write the line of the epoch."""
        logs = logs or {}
        if self.keys is None:
            self.keys = sorted(logs)
            if self.keys and not any(key.startswith("val_") for key in self.keys):
                self.keys += [f"val_{key}" for key in self.keys]
        if self._ended:
            return
        if self._file is None:
            raise RuntimeError(f"CSVLogger: {self.filename} is not open; on_train_begin comes first")
        try:
            self._write(self._file, [epoch, *(_text(logs.get(key, "NA")) for key in self.keys)])
            self._whole = os.fstat(self._file.fileno()).st_size
        except OSError as error:
            self._end(error, epoch)

    def _end(self, error: OSError, epoch: int) -> None:
        """Write no more, and leave whole lines."""
        self._ended = True
        with contextlib.suppress(OSError):
            self.close()
        with contextlib.suppress(OSError):
            os.truncate(self.filename, self._whole)
        self.warn(f"{self.filename} ends before epoch {epoch + 1}: {error.strerror or error}; training goes on")

    def _write(self, file: IO[str], row: list[Any]) -> None:
        if self._writer is None:
            self._writer = csv.writer(file, delimiter=self.sep)
            if self._header:
                self._writer.writerow(["epoch", *(self.keys or ())])
        self._writer.writerow(row)
        file.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file, if it is open."""
        file, self._file, self._writer = self._file, None, None
        if file is not None:
            file.close()

    def state_dict(self) -> dict[str, Any]:
        """Return the columns, and how long the file is; all of that is on the disk then."""
        size = self._whole if self._ended else None
        if self._file is not None:
            try:
                size = self._whole = durable_size(self._file)
            except OSError as error:
                size = self._whole
                self._end(error, getattr(self._model, "epoch", 0))
        return {**super().state_dict(), "size": size}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the columns back, and cut off what was written later."""
        super().load_state_dict({name: value for name, value in state.items() if name != "size"})
        size = state["size"]
        if self._file is None or size is None:
            return
        if cut(self._file, size):
            self.warn(f"{self.filename} is shorter than it was: lines of earlier epochs are missing")
        self._header = not _has_a_line(self.filename)


def _has_a_line(filename: str) -> bool:
    return Path(filename).exists() and Path(filename).stat().st_size > 0


def _text(value: Any) -> Any:
    if isinstance(value, str) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value
    if isinstance(value, Iterable):
        return f'"[{", ".join(map(str, value))}]"'
    return value
