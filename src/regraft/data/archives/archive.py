"""Archives of photos and other containers, read in place: zip, tar, Parquet, Hugging Face data sets, addresses.

A member has a path as if the archive were a folder, ``photos.zip/ants/1.jpg``, so that everything that reads a photo by
its path reads members too. Names in an archive are data: nothing is written, and a name that leads out is left out.
"""

from __future__ import annotations

import errno
import io
import os
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from regraft.data.archives.address import address_of, container_of_address, names_archive, shown
from regraft.data.archives.members import Members
from regraft.data.archives.stored_file import open_stored
from regraft.data.file_types import MAX_BYTES
from regraft.errors import PhotosError
from regraft.text import shorten

MAX_UNPACKED_BYTES, MAX_RATIO = 100 << 20, 100
"""An archive that expands to more bytes than the first, and to more than the second times its own, is refused."""

ARCHIVE_SUFFIXES = frozenset({".zip", ".tar", ".tgz", ".tbz", ".tbz2", ".txz", ".gz", ".bz2", ".xz", ".rar", ".7z"})
"""Suffixes of archives, also of those that are not read."""

LEADS_OUT = "its name leads out of the archive"
LINK = "a link in an archive"
NO_FILE = "neither a file nor a folder"

_TAR_MAGIC, _TAR_MAGIC_AT = b"ustar", 257
_COMPRESSED = ((b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz"))
_PARQUET = b"PAR1"
_DATASET_FILES = (("dataset_dict.json",), ("dataset_info.json", "state.json"))
_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")


@dataclass(frozen=True)
class _Key:
    """A file as it is now."""

    path: str
    size: int
    changed: int


_OPEN: dict[_Key, Members] = {}
_LOCK = threading.Lock()


def compression(head: bytes) -> str | None:
    """Return the compression of a file by its first bytes: ``"gzip"``, ``"bzip2"``, ``"xz"`` or None."""
    return next((name for start, name in _COMPRESSED if head.startswith(start)), None)


def is_archive(path: Path) -> bool:
    """Return whether a file is an archive that can be read in place, by its content."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            head = file.read(_TAR_MAGIC_AT + len(_TAR_MAGIC))
    except (OSError, ValueError):
        return False
    known = head.startswith((*_ZIP, _PARQUET)) or compression(head) is not None
    return known or head[_TAR_MAGIC_AT:] == _TAR_MAGIC


def is_dataset_folder(path: Path) -> bool:
    """Return whether a folder was written by ``save_to_disk`` of Hugging Face ``datasets``."""
    try:
        return any(all((path / name).is_file() for name in names) for names in _DATASET_FILES)
    except (OSError, ValueError):  # a folder that cannot be read, or a NUL in its name
        return False


def is_compressed_tar(path: Path) -> bool:
    """Return whether a file is an archive that each process would have to unpack first."""
    if not is_archive(path):
        return False
    with path.open("rb") as file:
        return compression(file.read(_TAR_MAGIC_AT)) is not None


def open_archive(path: Path) -> Members:
    """Return the members of an archive; an archive that has not changed is opened once.

    Raises:
        PhotosError: it is damaged, encrypted, or expands to more than a photo archive does.
    """
    key = _key(path)
    with _LOCK:
        if key not in _OPEN:
            for old in [other for other in _OPEN if other.path == key.path]:
                _OPEN.pop(old).close()
            _OPEN[key] = _opened(path)
        return _OPEN[key]


def _key(path: Path) -> _Key:
    address = address_of(path)
    if address is not None:  # it is listed once per process
        return _Key(address, 0, 0)
    try:
        status = path.stat()
    except OSError as error:
        raise PhotosError(f"{path}: cannot be read: {error.strerror or error}") from error
    return _Key(os.path.abspath(path), status.st_size, status.st_mtime_ns)  # noqa: PTH100


def _opened(path: Path) -> Members:
    """Open a container; the modules are imported here because they are needed for containers only."""
    try:
        if is_dataset_folder(path):
            from regraft.data.archives.arrow_members import dataset_members

            return dataset_members(path)
        address = address_of(path)
        if address is not None and not names_archive(path.name):
            from regraft.data.archives.remote_members import RemoteMembers

            return RemoteMembers(address)
        return _opened_file(path)
    except OSError as error:
        raise PhotosError(f"{shown(path)}: cannot be read: {error.strerror or error}") from error


def _opened_file(path: Path) -> Members:
    with open_stored(path) as file:
        head = file.read(_TAR_MAGIC_AT)
    if head.startswith(_PARQUET):
        from regraft.data.archives.arrow_members import parquet_members

        return parquet_members(path)
    if head.startswith(_ZIP):
        from regraft.data.archives.archive_zip import ZipMembers

        return ZipMembers(path)
    from regraft.data.archives.archive_tar import TarMembers

    return TarMembers(path, compression(head))


def open_member(archive: Path, path: Path) -> BinaryIO:
    """Open a member of an archive.

    Args:
        archive: the archive.
        path: path of the member, such as ``photos.zip/ants/1.jpg``.

    Raises:
        OSError: the member is missing or cannot be read.
    """
    try:
        members = open_archive(archive)
    except PhotosError as error:
        raise OSError(errno.EIO, str(error), str(path)) from error
    return io.BytesIO(members.read(path.relative_to(archive).as_posix()))


def archive_above(path: Path) -> Path | None:
    """Return the archive that a path leads into, or None."""
    if address_of(path) is not None:
        return container_of_address(path)
    for parent in path.parents:
        if parent.is_file():
            return parent if is_archive(parent) else None
        if parent.is_dir():
            return parent if is_dataset_folder(parent) else None
    return None


def archive_of(root: Path) -> Path | None:
    """Return the archive that a folder of photos is, or is in, as ``photos.zip/train`` is; None for other folders."""
    if is_archive(root) or is_dataset_folder(root):
        return root
    try:
        return None if root.exists() else archive_above(root)
    except (OSError, ValueError):  # a NUL in the name, or a name that is too long
        return None


def inner_name(written: str) -> str | None:
    """Return the name of a member with ``/`` between the parts, or None if it leads out of the archive."""
    parts = [part for part in written.split("/") if part not in ("", ".")]
    outside = written.startswith("/") or ".." in parts or "\0" in written
    if outside or not parts or re.match(r"[A-Za-z]:", parts[0]):
        return None
    return "/".join(parts)


def damaged_archive(path: Path, error: Exception, *, cut: bool) -> PhotosError:
    """Return the error about an archive that cannot be opened.

    Args:
        path: the archive.
        error: the exception of the module that reads it.
        cut: whether its end is missing, as after a download that was interrupted.
    """
    what = "the archive is incomplete: its end is missing" if cut else "the archive is damaged"
    reason = (str(error).splitlines() or [""])[0] or type(error).__name__
    return PhotosError(f"{path}: {what} ({reason}); download or copy it again")


def check_expansion(path: Path, unpacked: int, packed: int) -> None:
    """Check that an archive does not expand to more than a photo archive does.

    Raises:
        PhotosError: it does, as archives that are made to fill disks do.
    """
    if unpacked > MAX_UNPACKED_BYTES and unpacked > MAX_RATIO * packed:
        raise PhotosError(
            f"{path}: {packed:,} bytes would become {unpacked / 1e6:,.0f} MB or more, unlike photos; "
            "if you trust the archive, unpack it and name the folder"
        )


def check_member_size(name: str, size: int) -> None:
    """Check that a member is not too large to be read.

    Raises:
        OSError: it is larger than `MAX_BYTES`.
    """
    if size > MAX_BYTES:
        raise OSError(errno.EFBIG, f"it is larger than {MAX_BYTES >> 30} GiB", name)


def archive_notes(skipped: Iterable[tuple[str, str]]) -> list[str]:
    """Return notes on archives whose photos are not used, and on members of an archive that are left out.

    Args:
        skipped: (name, reason) of files that are left out.
    """
    inside, out = [], []
    for name, why in skipped:
        if why in (LEADS_OUT, LINK):
            out.append(name)
        elif why.startswith("not a photo") and Path(name).suffix.lower() in ARCHIVE_SUFFIXES:
            inside.append(name)
    notes = []
    if inside:
        names = f"{shorten(inside)} {'is an archive' if len(inside) == 1 else 'are archives'}"
        notes.append(f"{names} among the photos: not read; unpack {'it' if len(inside) == 1 else 'them'} to use them")
    if out:
        names = f"{shorten(out)} {'leads' if len(out) == 1 else 'lead'}"
        notes.append(f"{names} out of the archive, or {'is a link' if len(out) == 1 else 'are links'}: not read")
    return notes
