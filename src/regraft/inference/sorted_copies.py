"""Copies of photos, sorted into one folder per class: never outside the given folder, and never over a file.

The list of copies, ``copies.csv``, is part of the folder. A repeated call replaces the copies that this list names and
that are as they were made; other files are never overwritten or removed.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import BinaryIO, Literal, TypeAlias

from regraft.data.file_types import file_status, open_regular
from regraft.errors import StorageError, UserError
from regraft.inference.copy_list import CopyList
from regraft.inference.folder_names import folder_names, numbered_name

Doubt: TypeAlias = Literal["", "unsure", "unlike"]
"""Reason for which a photo is not sorted with the others: ``unsure``: no class is probable enough; ``unlike``: it is
unlike all that the model was trained on."""

DOUBTS: tuple[Doubt, ...] = ("unsure", "unlike")


class SortedCopies:
    """Copies of photos below one folder, each in the folder of its class; photos in doubt in folders of their own.

    Args:
        out: the folder; it is created with the first copy.
        classes: all possible classes.

    Attributes:
        out: the folder.
        folders: name of the folder of each class.
        doubtful: name of the folder of each `Doubt`, such as ``unsure``; it has folders of classes.
        copied: number of photos with a copy.
        counts: number of photos by class and doubt.

    Raises:
        UserError: ``out`` is a file, or its list of copies was not written by regraft.
    """

    def __init__(self, out: Path, classes: Sequence[str]) -> None:
        self.out = out
        self.folders = folder_names(classes)
        names = {name.casefold() for name in self.folders.values()}
        self.doubtful = {doubt: next(n for n in _candidates(doubt) if n not in names) for doubt in DOUBTS}
        self.copied = 0
        self.counts: Counter[tuple[str, Doubt]] = Counter()
        if out.exists() and not out.is_dir():
            raise UserError(f"{out} is a file; copies need a folder")
        self._list = CopyList(out)
        self._made: set[Path] = set()

    def add(self, photo: Path, label: str, *, doubt: Doubt = "", below: PurePath | None = None) -> Path:
        """Copy ``photo`` and return the path of the copy, which is numbered if another file has its name.

        An earlier copy of the photo is replaced; one that would be equal is left as it is.

        Args:
            photo: the photo.
            label: its class.
            doubt: why it is not sorted with the others, or "".
            below: folders to keep below that of the class, such as those of a memory card; None for none.

        Raises:
            UserError: a folder is a link or a file, so that the copy would leave ``out``.
            StorageError: the disk is full, or the copy cannot be written for another reason.
            OSError: the photo cannot be read. No partial copy remains.
        """
        parts = [self.doubtful[doubt]] if doubt else []
        folder = self._folder([*parts, self.folders[label], *(() if below is None else below.parts)])
        earlier = self._list.unchanged_copy(photo)
        earlier = None if earlier in self._made else earlier
        target = self._equal_copy(folder, photo)
        if target is None:
            target = self._copy(folder, photo, earlier)
        elif earlier is not None and earlier != target:
            earlier.unlink(missing_ok=True)
        self._made.add(target)
        self._list.record(photo, target, label, doubt)
        self.copied += 1
        self.counts[label, doubt] += 1
        return target

    def finish(self) -> None:
        """Write the list of copies, so that a repeated call replaces them.

        Raises:
            StorageError: it cannot be written.
        """
        if self.copied:
            self._list.write()

    def _equal_copy(self, folder: Path, photo: Path) -> Path | None:
        """Return a file in ``folder`` with the name and the bytes of ``photo`` that is the copy of no other photo."""
        for number in itertools.count(1):
            target = folder / numbered_name(photo, number)
            if not os.path.lexists(target):
                return None
            usable = target.is_file() and not target.is_symlink() and target not in self._made
            if usable and self._list.may_be_copy_of(target, photo) and _same_bytes(photo, target):
                return target
        raise AssertionError

    def _copy(self, folder: Path, photo: Path, earlier: Path | None) -> Path:
        with open_regular(photo) as source:
            if earlier is not None:
                earlier.unlink(missing_ok=True)
            target, written = self._open_new(folder, photo)
            try:
                with written:
                    shutil.copyfileobj(source, written, 1 << 20)
            except BaseException as error:
                target.unlink(missing_ok=True)
                if isinstance(error, OSError):
                    raise self._not_written(photo, target, error) from error
                raise
        with contextlib.suppress(OSError):
            status = file_status(photo)
            os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))  # keep the date of the photo
        return target

    def _open_new(self, folder: Path, photo: Path) -> tuple[Path, BinaryIO]:
        for number in itertools.count(1):
            target = folder / numbered_name(photo, number)
            with contextlib.suppress(FileExistsError):  # also raised for links
                try:
                    return target, target.open("xb")
                except FileExistsError:
                    raise
                except OSError as error:
                    raise self._not_written(photo, target, error) from error
        raise AssertionError

    def _folder(self, names: Sequence[str]) -> Path:
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            folder = self.out
            for name in names:
                folder = folder / name
                with contextlib.suppress(FileExistsError):
                    folder.mkdir()
                self._check_folder(folder)
        except OSError as error:
            raise StorageError(f"{error.filename} cannot be created: {error.strerror or error}") from error
        return folder

    def _check_folder(self, folder: Path) -> None:
        if folder.is_symlink() or folder.resolve().parent != folder.parent.resolve():
            raise UserError(
                f"{folder} is a link, and copies stay inside {self.out}\n  remove it or name another folder"
            )
        if not folder.is_dir():
            raise UserError(f"{folder} is a file where the folder of a class should be\n  name another folder")

    def _not_written(self, photo: Path, target: Path, error: OSError) -> StorageError:
        return StorageError(
            f"{photo} could not be copied to {target}: {error.strerror or error}\n"
            f"  {self.copied:,} photos are copied; the same command continues, and replaces no other file"
        )


def _candidates(name: str) -> list[str]:
    return [name, *(f"{name}-{number}" for number in range(2, 100))]


def _same_bytes(one: Path, other: Path) -> bool:
    with open_regular(one) as first, open_regular(other) as second:
        while True:
            left, right = first.read(1 << 20), second.read(1 << 20)
            if left != right:
                return False
            if not left:
                return True
