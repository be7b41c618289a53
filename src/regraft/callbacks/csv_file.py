"""The columns and lines of a CSV file that a training continues."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path

from regraft.disk.atomic import atomic
from regraft.errors import TrainingError

ABSENT = "NA"


def read_header(path: str, separator: str) -> list[str]:
    """Return the fields of the first line."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        return next(csv.reader(file, delimiter=separator), [])


def widen(path: str, separator: str, added: Sequence[str]) -> None:
    """Write the file again with more columns at the end, and ``NA`` in its earlier lines; whole or not at all.

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
    """Return whether the last line is whole; a file that is empty or missing has none that is not."""
    if not Path(path).exists():
        return True
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - 1, 0))
        return file.read(1) in (b"", b"\n", b"\r")
