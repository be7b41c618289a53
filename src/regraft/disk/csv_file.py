"""CSV files that regraft writes and reads: names of photos survive in them byte by byte.

Python's own writer leaves a bare carriage return unquoted before Python 3.13, so that its reader divides the row there.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from regraft.disk.atomic import write_text


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
    write_text(path, csv_text(rows))


def read_csv(path: Path | str) -> list[dict[str, str]]:
    """Return the rows of a file that `write_csv` wrote, by the names of its columns.

    Raises:
        OSError: the file cannot be read.
        csv.Error: it is not CSV.
    """
    return list(csv.DictReader(io.StringIO(read_csv_text(path), newline="")))


def read_csv_text(path: Path | str) -> str:
    """Return the text of a file that `write_csv` wrote; bytes that are not UTF-8 become lone surrogates.

    Raises:
        OSError: the file cannot be read.
    """
    return Path(path).read_bytes().decode("utf-8", "surrogateescape")


def _line(cells: Iterable[object]) -> str:
    texts = ["" if cell is None else str(cell) for cell in cells]
    return (",".join(map(_quoted, texts)) if texts != [""] else '""') + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(c in text for c in ',"\r\n') else text
