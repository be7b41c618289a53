"""The callback that writes a line per epoch to a CSV file, and the functions that continue such a file."""

from __future__ import annotations

import contextlib
import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np

from regraft.callbacks.callback import Callback, Logs
from regraft.disk.atomic import atomic, durable_size, truncate_to
from regraft.errors import TrainingError


class CSVLogger(Callback):
    """Write the logs of each epoch to a CSV file.

    The columns are ``epoch`` and the names in the first epoch's logs, in alphabetical order; a value that is missing in
    a later epoch is ``NA``. Each line is on disk when its epoch ends. A resumed training first removes the lines that
    were written after the state from which it resumes. A full disk ends the file with a warning; training continues.

    Example:
        >>> history = model.fit(x, y, epochs=2, callbacks=[CSVLogger('log.csv')], verbose=0)
        >>> print(open('log.csv').readline().strip())
        epoch,accuracy,loss,val_accuracy,val_loss

    Args:
        filename: the file; its folder must exist.
        separator: text between two fields.
        append: continue an existing file, without a second header; otherwise overwrite it. Values go below the file's
            own columns. If a column is missing, the file is written again as a whole, with the column added and ``NA``
            in its earlier lines.

    Raises:
        TrainingError: from ``fit``, if ``append`` is set and the file's first line is not a header of this class.
    """

    saved: ClassVar[tuple[str, ...]] = ("keys",)

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        super().__init__()
        if len(separator) != 1:
            raise TrainingError(f"CSVLogger: separator is {separator!r}; expected one character, such as ',' or ';'")
        self.sep = separator
        self.filename = os.fspath(filename)
        self.append = append
        self.keys: list[str] | None = None
        self._header = True
        self._file: IO[str] | None = None
        self._writer: Any = None
        self._ended = False
        self._whole = 0  # bytes up to the end of the last whole line
        self._lines = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Open the file."""
        self.close()
        resuming = bool(getattr(self._model, "resuming", False))
        self._header = not ((self.append or resuming) and _has_a_line(self.filename))
        if not self._header:
            self._columns()  # raises before the first step, if the file is not a CSV file of this class
        self._open("a" if self.append or resuming else "w")
        self._ended = False
        self.keys = None

    def _open(self, mode: str) -> None:
        cut = mode == "a" and not ends_with_newline(self.filename)
        self._file = open(self.filename, mode, encoding="utf-8", newline="")  # noqa: SIM115 (open from epoch to epoch)
        if cut:
            self._file.write("\r\n")
            self._file.flush()
        self._whole = os.fstat(self._file.fileno()).st_size
        self._lines = count_lines(self.filename)

    def _columns(self) -> list[str]:
        """Return the columns of the file, without ``epoch``."""
        columns = read_header(self.filename, self.sep)
        if columns[:1] != ["epoch"]:
            raise TrainingError(
                f"CSVLogger: {self.filename} begins with {self.sep.join(columns)[:60]!r}; expected a header beginning "
                f"with 'epoch{self.sep}'. Pass the separator of the file, or another filename, or append=False"
            )
        return columns[1:]

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write the line of this epoch."""
        logs = logs or {}
        if self.keys is None:
            self.keys = sorted(logs)
            if self.keys and not any(key.startswith("val_") for key in self.keys):
                self.keys += [f"val_{key}" for key in self.keys]
            if not self._header and not self._ended:
                self._fit_columns(logs)
        if self._ended:
            return
        if self._file is None:
            raise RuntimeError(f"CSVLogger: {self.filename} is not open; call on_train_begin first")
        try:
            self._write(self._file, [epoch, *(_text(logs.get(key, "NA")) for key in self.keys)])
            self._whole, self._lines = os.fstat(self._file.fileno()).st_size, count_lines(self.filename)
        except OSError as error:
            self._end(error, epoch)

    def _fit_columns(self, logs: Logs) -> None:
        """Use the columns of the file that is continued, and add the missing ones."""
        columns, keys = self._columns(), self.keys or []
        expected = keys if getattr(self._model, "has_validation", None) else logs
        added = [key for key in keys if key not in columns and key in expected]
        self.keys = [*columns, *added]
        if not added:
            return
        if self._file is not None:
            self._file.close()
        try:
            widen(self.filename, self.sep, added)
        except OSError as error:
            self._end(error, getattr(self._model, "epoch", 0))
            return
        self._open("a")
        self.warn(f"{self.filename} had no column for {', '.join(added)}; it was added, with NA in earlier lines")

    def _end(self, error: OSError, epoch: int) -> None:
        """Stop writing, and leave only whole lines in the file."""
        self._ended = True
        with contextlib.suppress(OSError):
            self.close()
        with contextlib.suppress(OSError):
            os.truncate(self.filename, self._whole)
        self.warn(f"{self.filename} ends before epoch {epoch + 1}: {error.strerror or error}; training continues")

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
        """Flush the file to the disk, and return its columns and its size."""
        size = self._whole if self._ended else None
        if self._file is not None:
            try:
                size = self._whole = durable_size(self._file)
            except OSError as error:
                size = self._whole
                self._end(error, getattr(self._model, "epoch", 0))
        return {**super().state_dict(), "size": size, "lines": None if self._file is None else self._lines}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the columns, and remove the lines that were written later."""
        super().load_state_dict({name: value for name, value in state.items() if name not in ("size", "lines")})
        size = state["size"]
        if self._file is None or size is None:
            return
        if self.keys is None and state.get("lines"):
            size = size_of_lines(self.filename, state["lines"])  # columns may have been added since then
        if truncate_to(self._file, size):
            self.warn(f"{self.filename} is shorter than before: lines of earlier epochs are missing")
        self._header = not _has_a_line(self.filename)


def _has_a_line(filename: str) -> bool:
    return Path(filename).exists() and Path(filename).stat().st_size > 0


def _text(value: Any) -> Any:
    if isinstance(value, str) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value
    if isinstance(value, Iterable):
        return f'"[{", ".join(map(str, value))}]"'
    return value


ABSENT = "NA"


def read_header(path: str, separator: str) -> list[str]:
    """Return the fields of the first line."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        return next(csv.reader(file, delimiter=separator), [])


def widen(path: str, separator: str, added: Sequence[str]) -> None:
    """Write the file again with more columns at the end, and ``NA`` in its earlier lines; completely or not at all.

    Raises:
        TrainingError: a line has more fields than the header.
        OSError: the disk is full.
    """
    with open(path, encoding="utf-8-sig", newline="") as file:
        header, *rows = [row for row in csv.reader(file, delimiter=separator) if row]
    for number, row in enumerate(rows, 2):
        if len(row) > len(header):
            raise TrainingError(
                f"CSVLogger: line {number} of {path} has {len(row)} fields, and its header {len(header)}: repair the "
                "file, or pass another filename, or append=False"
            )
    with atomic(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerow([*header, *added])
        width = len(header) + len(added)
        writer.writerows([*row, *[ABSENT] * (width - len(row))] for row in rows)


def count_lines(path: str) -> int:
    """Return the number of line ends in the file."""
    with open(path, "rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


def size_of_lines(path: str, lines: int) -> int:
    """Return the size in bytes of the first ``lines`` lines; the whole file if it has fewer."""
    with open(path, "rb") as file:
        return sum(len(line) for _, line in zip(range(lines), file, strict=False))


def ends_with_newline(path: str) -> bool:
    """Return whether the file ends with a whole line; True for an empty or missing file."""
    if not Path(path).exists():
        return True
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 1, 0))
        return file.read(1) in (b"", b"\n", b"\r")
