"""Members of a tar archive; a compressed one is unpacked once into a temporary file without a name."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import os
import posixpath
import shutil
import tarfile
import tempfile
import threading
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

from regraft.data.archives.address import address_of
from regraft.data.archives.archive import (
    LEADS_OUT,
    LINK,
    NO_FILE,
    check_expansion,
    check_member_size,
    damaged_archive,
    inner_name,
)
from regraft.data.archives.members import Members
from regraft.data.archives.stored_file import open_stored, stored_size
from regraft.errors import PhotosError

_OPEN: dict[str, Callable[..., Any]] = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}
_CHUNK = 1 << 20
_BLOCK = tarfile.BLOCKSIZE
_MAX_LINKS = 40


class TarMembers(Members):
    """The members of a tar archive; several threads may read them.

    Args:
        path: the archive.
        compression: its compression, or None.

    Raises:
        PhotosError: it is damaged, no tar archive, or expands too far.
        OSError: it cannot be read, or the temporary file cannot be written.
    """

    def __init__(self, path: Path, compression: str | None) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._on_disk = compression is not None or address_of(path) is None
        self._file: BinaryIO = open_stored(path) if compression is None else _unpacked(path, compression)
        self._places: dict[str, tuple[int, int]] = {}
        try:
            with tarfile.open(fileobj=self._file, mode="r:") as tar:
                self._list(tar)
        except (tarfile.TarError, EOFError, ValueError) as error:
            self._file.close()
            if compression and not self._reasons:
                raise PhotosError(f"{path}: the {compression} file is not a tar archive ({error})") from error
            raise damaged_archive(path, error, cut="unexpected end" in str(error)) from error

    def _list(self, tar: tarfile.TarFile) -> None:
        links: dict[str, str] = {}
        folders = set()
        for member in tar:
            name = inner_name(member.name)
            if name is None:
                if member.name.strip("./"):
                    self._reasons[member.name] = LEADS_OUT
            elif member.isdir():
                folders.add(name)
            elif member.isreg() and not member.issparse():
                self.repeated += [name] if name in self._places else []
                self._places[name] = member.offset_data, member.size
                self._reasons[name] = ""
            elif member.issym() or member.islnk():
                start = posixpath.dirname(name) if member.issym() else ""
                links[name] = posixpath.normpath(posixpath.join(start, member.linkname))
            else:
                self._reasons[name] = NO_FILE
        self.complete = self._read_at(tar.offset, _BLOCK) == bytes(_BLOCK)
        for name, target in links.items():
            self._link(name, target, links)
        self._folders = frozenset(folders)

    def _link(self, name: str, target: str, links: Mapping[str, str]) -> None:
        """Give a link the place of the member that it leads to, if that is in the archive."""
        for _ in range(_MAX_LINKS):
            if target in self._places:
                self._places[name] = self._places[target]
                self._reasons[name] = ""
                return
            if target not in links:
                break
            target = links[target]
        self._reasons[name] = LINK

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def read(self, name: str, first: int | None = None) -> bytes:
        """Return the bytes of a member, or its ``first`` bytes.

        Raises:
            OSError: there is no such member, it is cut off, or it is too large.
        """
        if name not in self._places:
            raise FileNotFoundError(errno.ENOENT, "there is no such file in the archive", name)
        start, size = self._places[name]
        check_member_size(name, size)
        wanted = size if first is None else min(size, first)
        data = self._read_at(start, wanted)
        if len(data) != wanted:
            raise OSError(errno.EIO, "cut off in the archive", name)
        return data

    def _read_at(self, start: int, size: int) -> bytes:
        if hasattr(os, "pread") and self._on_disk:  # forks share the position in the file, but this does not use it
            return os.pread(self._file.fileno(), size, start)
        with self._lock:
            self._file.seek(start)
            return self._file.read(size)


def _unpacked(path: Path, compression: str) -> BinaryIO:
    """Return a temporary file with the tar archive in a compressed one; it goes when it is closed."""
    packed = stored_size(path)
    out = cast("BinaryIO", tempfile.TemporaryFile(prefix="regraft-"))  # noqa: SIM115 (it stays open)
    try:
        with open_stored(path) as raw, _OPEN[compression](raw, "rb") as file:
            size = 0
            while chunk := file.read(_CHUNK):
                size += len(chunk)
                check_expansion(path, size, packed)
                out.write(chunk)
        out.flush()
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        out.close()
        raise damaged_archive(path, error, cut=isinstance(error, EOFError)) from error
    except BaseException as error:
        out.close()
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            place = tempfile.gettempdir()
            free = shutil.disk_usage(place).free / 1e9
            raise PhotosError(
                f"{path}: unpacking it needs more than the {free:,.1f} GB that are free in {place}"
                "\n  unpack it yourself and name the folder, or set TMPDIR to a folder with more space"
            ) from error
        raise
    out.seek(0, io.SEEK_SET)
    return out
