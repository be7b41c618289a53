"""Members of a zip archive."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

from regraft.data.archives.archive import (
    LEADS_OUT,
    LINK,
    check_expansion,
    check_member_size,
    damaged_archive,
    inner_name,
)
from regraft.data.archives.members import Members
from regraft.data.archives.stored_file import open_stored, stored_size
from regraft.errors import PhotosError

_ENCRYPTED, _UTF8 = 0x1, 0x800
_UNIX = 3
_END, _MAX_TAIL = b"PK\x05\x06", (1 << 16) + 22


class ZipMembers(Members):
    """The members of a zip archive; `zipfile` lets several threads read them.

    Args:
        path: the archive.

    Raises:
        PhotosError: it is damaged, encrypted, or expands too far.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        opened = open_stored(path)
        try:
            self._file = zipfile.ZipFile(opened)
        except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, ValueError) as error:
            cut = not _has_end(opened)
            opened.close()
            raise damaged_archive(path, error, cut=cut) from error
        self._path, self._process = path, os.getpid()
        infos = self._file.infolist()
        if any(info.flag_bits & _ENCRYPTED for info in infos):
            self.close()
            raise PhotosError(f"{path}: the archive is encrypted; unpack it with its password and name the folder")
        check_expansion(path, sum(info.file_size for info in infos), stored_size(path))
        for info in infos:
            check_expansion(path, info.file_size, info.compress_size)
        self._infos: dict[str, zipfile.ZipInfo] = {}
        reasons: dict[str, str] = {}
        folders = set()
        for info in infos:
            written = _written_name(info)
            name = inner_name(written)
            if name is None:
                reasons[written.replace("\0", "")] = LEADS_OUT
            elif written.endswith("/"):
                folders.add(name)
            else:
                self._infos[name] = info  # of two members of one name the later one counts, as in unpacking
                reasons[name] = LINK if _is_link(info) else ""
        super().__init__(reasons, frozenset(folders))

    def close(self) -> None:
        """Close the file."""
        opened = self._file.fp
        self._file.close()
        if opened is not None:
            opened.close()

    def read(self, name: str, first: int | None = None) -> bytes:
        """Return the bytes of a member, or its ``first`` bytes.

        Raises:
            OSError: there is no such member, it is damaged, or it is too large.
        """
        info = self._infos.get(name)
        if info is None:
            raise FileNotFoundError(errno.ENOENT, "there is no such file in the archive", name)
        check_member_size(name, info.file_size)
        if self._process != os.getpid():  # a fork must not share the position in an open file
            self._file, self._process = zipfile.ZipFile(open_stored(self._path)), os.getpid()
        try:
            with self._file.open(info) as member:
                return member.read() if first is None else member.read(first)
        except NotImplementedError as error:
            raise OSError(
                errno.ENOTSUP, f"the archive is compressed in a way that Python cannot read ({error})"
            ) from error
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, RuntimeError) as error:
            raise OSError(errno.EIO, f"damaged in the archive ({_text(error)})", name) from error


def _has_end(file: BinaryIO) -> bool:
    """Return whether the list of members is at the end of a zip archive, where a comment may follow it."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(size - _MAX_TAIL, 0))
    return _END in file.read()


def _text(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__


def _is_link(info: zipfile.ZipInfo) -> bool:
    return info.create_system == _UNIX and stat.S_ISLNK(info.external_attr >> 16)


def _written_name(info: zipfile.ZipInfo) -> str:
    r"""Return the name of a member: macOS writes UTF-8 without saying so, and some Windows programs write ``\``."""
    name = info.orig_filename if info.orig_filename.startswith(info.filename) else info.filename
    if not info.flag_bits & _UTF8:
        with contextlib.suppress(UnicodeError):  # other names are in the code page of zip archives
            name = name.encode("cp437").decode("utf-8")
    return name if info.create_system == _UNIX else name.replace("\\", "/")
