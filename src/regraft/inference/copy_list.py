"""``copies.csv``: the list of sorted copies of photos, by which a repeated call recognizes its own."""

from __future__ import annotations

import contextlib
import csv
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from regraft.disk.csv_file import write_csv
from regraft.errors import StorageError, UserError

NAME = "copies.csv"


@dataclass(frozen=True)
class _Copy:
    """One row of the list; ``size`` and ``modified`` (ns) are those of the copy when it was made."""

    photo: str
    copy: str
    label: str
    doubt: str
    size: int
    modified: int


class CopyList:
    """The copies below a folder, those of an earlier call included.

    Args:
        out: the folder.

    Raises:
        UserError: the folder has a file of this name that regraft did not write.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._of_photo = {copy.photo: copy for copy in _read(out / NAME)}
        self._photo_of = {copy.copy: copy.photo for copy in self._of_photo.values()}

    def unchanged_copy(self, photo: Path) -> Path | None:
        """Return the earlier copy of ``photo`` if it is still as it was made, else None."""
        earlier = self._of_photo.get(_key(photo))
        if earlier is None:
            return None
        path = self._out / earlier.copy
        if path.is_symlink() or not path.resolve().is_relative_to(self._out.resolve()):
            return None
        try:
            status = path.stat()
        except OSError:
            return None
        return path if (status.st_size, status.st_mtime_ns) == (earlier.size, earlier.modified) else None

    def may_be_copy_of(self, copy: Path, photo: Path) -> bool:
        """Return whether ``copy`` is not the copy of another photo."""
        return self._photo_of.get(self._name(copy), _key(photo)) == _key(photo)

    def record(self, photo: Path, copy: Path, label: str, doubt: str) -> None:
        """Add the copy of ``photo``, in place of an earlier one."""
        status, name = copy.stat(), self._name(copy)
        self._of_photo[_key(photo)] = _Copy(_key(photo), name, label, doubt, status.st_size, status.st_mtime_ns)
        self._photo_of[name] = _key(photo)

    def write(self) -> None:
        """Write the list.

        Raises:
            StorageError: it cannot be written.
        """
        heading = [field.name for field in fields(_Copy)]
        try:
            write_csv(self._out / NAME, [heading, *map(astuple, self._of_photo.values())])
        except OSError as error:
            raise StorageError(f"{self._out / NAME} cannot be written: {error.strerror or error}") from error

    def _name(self, copy: Path) -> str:
        return copy.relative_to(self._out).as_posix()


def _key(photo: Path) -> str:
    return photo.absolute().as_posix()


def _read(path: Path) -> list[_Copy]:
    if not path.exists():
        return []
    rows: list[dict[str, str]] = []
    header: list[str] = []
    with (
        contextlib.suppress(OSError, ValueError, csv.Error),
        path.open(newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        reader = csv.DictReader(file)
        header, rows = list(reader.fieldnames or ()), list(reader)
    numbers = all((row.get(name) or "").isdigit() for row in rows for name in ("size", "modified"))
    if header != [field.name for field in fields(_Copy)] or not numbers:
        why = f"{path} is not a list of copies that regraft wrote"
        raise UserError(f"{why}\n  move it, or name another folder")
    return [
        _Copy(row["photo"], row["copy"], row["label"], row["doubt"], int(row["size"]), int(row["modified"]))
        for row in rows
    ]
