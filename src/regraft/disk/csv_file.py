"""CSV files that regraft writes and reads: names of photos survive in them byte by byte.

Python's own writer leaves a bare carriage return unquoted before Python 3.13, so that its reader divides the row there.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from regraft.disk.atomic import atomic


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    r"""Return rows as the text of a CSV file; None becomes an empty cell.

    Example:
        >>> csv_text([("path", "label"), ("a,b.jpg", None)])
        'path,label\n"a,b.jpg",\n'
    """
    return "".join(map(_line, rows))


def write_csv(path: Path | str, rows: Iterable[Iterable[object]]) -> None:
    """Write rows to ``path``, completely or not at all; the first one has the names of the columns.

    Raises:
        OSError: the file cannot be written.
    """
    with atomic(path) as temporary, temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        file.writelines(map(_line, rows))


def read_csv(path: Path | str) -> list[dict[str, str]]:
    """Return the rows of a file that `write_csv` wrote, by the names of its columns.

    Raises:
        OSError: the file cannot be read.
        csv.Error: it is not CSV.
    """
    with open_csv(path) as file:
        return list(csv.DictReader(file))


def open_csv(path: Path | str) -> TextIO:
    """Return a file that `write_csv` wrote, open for reading; bytes that are not UTF-8 become lone surrogates.

    Raises:
        OSError: the file cannot be read.
    """
    return Path(path).open(encoding="utf-8", errors="surrogateescape", newline="")


def _line(cells: Iterable[object]) -> str:
    texts = ["" if cell is None else str(cell) for cell in cells]
    return (",".join(map(_quoted, texts)) if texts != [""] else '""') + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\r\n') else text
