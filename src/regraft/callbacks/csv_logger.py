"""Write a line of figures per epoch."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np

from regraft.callbacks.callback import Callback, Logs


class CSVLogger(Callback):
    """Write the figures of each epoch to a CSV file.

    The columns are ``epoch`` and the names of the first epoch in alphabetical order; a figure that is missing later is
    ``NA``. Each line is on disk when its epoch ends.

    Args:
        filename: the file; its folder must exist.
        separator: what stands between two fields.
        append: go on with a file that exists, without a second header; otherwise it is overwritten.
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

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Open the file."""
        self.close()
        self._header = not (self.append and _has_a_line(self.filename))
        mode = "a" if self.append else "w"
        self._file = open(self.filename, mode, encoding="utf-8", newline="")  # noqa: SIM115 (open from epoch to epoch)
        self.keys = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write the line of the epoch."""
        logs = logs or {}
        if self.keys is None:
            self.keys = sorted(logs)
            if self.keys and not any(key.startswith("val_") for key in self.keys):
                self.keys += [f"val_{key}" for key in self.keys]
        if self._file is None:
            raise RuntimeError(f"CSVLogger: {self.filename} is not open; on_train_begin comes first")
        if self._writer is None:
            self._writer = csv.writer(self._file, delimiter=self.sep)
            if self._header:
                self._writer.writerow(["epoch", *self.keys])
        self._writer.writerow([epoch, *(_text(logs.get(key, "NA")) for key in self.keys)])
        self._file.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file, if it is open."""
        if self._file is not None:
            self._file.close()
        self._file = self._writer = None

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the columns back: what follows goes below those that are there."""
        super().load_state_dict(state)
        self._header = self._header and self.keys is None


def _has_a_line(filename: str) -> bool:
    return Path(filename).exists() and Path(filename).stat().st_size > 0


def _text(value: Any) -> Any:
    if isinstance(value, str) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value
    if isinstance(value, Iterable):
        return f'"[{", ".join(map(str, value))}]"'
    return value
