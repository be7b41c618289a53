"""Copies of photos, sorted into one folder per class: never outside the given folder, and never over a file."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import re
import shutil
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from regraft.data.file_types import file_status, open_regular
from regraft.errors import UserError

MAX_BYTES = 200
"""Maximum length of a folder name in bytes of UTF-8. File systems allow 255, but a file name must still fit into the
path.
"""

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*\ud800-\udfff\u2028\u2029]')
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])(\..*)?", re.IGNORECASE)


def folder_names(classes: Sequence[str]) -> dict[str, str]:
    """Return the folder name of each class: one path component, valid on Linux, macOS and Windows.

    A class keeps its name if that is valid. Distinct classes get distinct names even on file systems that ignore case
    or the composition of accents: a changed name gets a suffix computed from the class.

    Args:
        classes: any text, even ``"../../x"``, ``"CON"`` or text with NUL in it.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for label in sorted(set(classes), key=lambda label: (_safe_name(label) != label, label)):
        plain = name = _safe_name(label)
        tries = 0
        while _comparison_key(name) in taken or len(name.encode()) > MAX_BYTES:
            name = f"{_truncated(plain, MAX_BYTES - 13)}~{_hash_suffix(label, tries)}"
            tries += 1
        names[label] = name
        taken.add(_comparison_key(name))
    return names


def _safe_name(label: str) -> str:
    name = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", label)).strip().rstrip(". ")
    if not name:
        return "_"
    if name.startswith("."):  # would be hidden
        name = "_" + name[1:]
    return f"_{name}" if _RESERVED.fullmatch(name) else name


def _comparison_key(name: str) -> str:
    return unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())


def _truncated(name: str, size: int) -> str:
    return name.encode()[:size].decode(errors="ignore").rstrip(". ")


def _hash_suffix(label: str, tries: int) -> str:
    return hashlib.sha256(f"{tries} {label}".encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _numbered_name(photo: Path, number: int) -> str:
    if number == 1:
        return photo.name
    end = f" ({number}){photo.suffix}"
    return os.fsdecode(os.fsencode(photo.stem)[: 255 - len(os.fsencode(end))]) + end


class SortedCopies:
    """Copies of photos below one folder, each in the folder of its class.

    Args:
        out: the folder; it is created with the first copy.
        classes: all possible classes.
    """

    def __init__(self, out: Path, classes: Sequence[str]) -> None:
        self.out = out
        self.folders = folder_names(classes)
        self.copied = 0
        if out.exists() and not out.is_dir():
            raise UserError(f"{out} is a file; copies need a folder")

    def add(self, photo: Path, label: str) -> Path:
        """Copy ``photo`` into the folder of class ``label`` and return the copy's path, numbered if the name exists.

        Raises:
            UserError: the folder of the class is a link or a file, so that the copy would leave ``out``.
            OSError: the photo cannot be read or the copy cannot be written; no partial copy remains.
        """
        folder = self._folder(label)
        target, written = self._open_new(folder, photo)
        try:
            with written, open_regular(photo) as source:
                shutil.copyfileobj(source, written, 1 << 20)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        with contextlib.suppress(OSError):
            found = file_status(photo)
            os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))  # keep the date of the photo
        self.copied += 1
        return target

    def _open_new(self, folder: Path, photo: Path) -> tuple[Path, BinaryIO]:
        for number in itertools.count(1):
            target = folder / _numbered_name(photo, number)
            with contextlib.suppress(FileExistsError):  # also raised for links
                return target, target.open("xb")
        raise AssertionError

    def _folder(self, label: str) -> Path:
        self.out.mkdir(parents=True, exist_ok=True)
        folder = self.out / self.folders[label]
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
        if folder.is_symlink() or folder.resolve().parent != self.out.resolve():
            raise UserError(
                f"{folder} is a link, and copies stay inside {self.out}\n  remove it or name another folder"
            )
        if not folder.is_dir():
            raise UserError(f"{folder} is a file where the folder of a class should be\n  name another folder")
        return folder
