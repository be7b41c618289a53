"""File formats, told by the first bytes and never by the name; and reading of regular files alone.

Pipes, sockets and devices are refused, because reading them could block.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path
from typing import BinaryIO, Final

HEADER_BYTES: Final = 64
"""Number of first bytes that determine the format of a file."""

PHOTO_SUFFIXES: Final = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif"}
    | {".heic", ".heif", ".hif", ".avif", ".mpo", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".jpx", ".jpf"}
    | {".j2c", ".jpc", ".tga", ".ico", ".qoi"}
)
"""Extensions of photos. A file with such a name that is not a photo is reported."""

RAW_SUFFIXES: Final = frozenset(
    {".arw", ".cr2", ".cr3", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".srw"}
)
"""Camera raw files look like TIFF, but Pillow decodes at most a thumbnail of them."""

_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"qoif", "QOI"),
)
_PNM = re.compile(rb"P[1-6](\s+\d+\s+\d+\s|\s+#)")
_BMP_HEADERS = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_AVIF_BRANDS = frozenset({b"avif", b"avis"})

_NON_PHOTOS = (
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"8BPS", "a Photoshop document"),
    (b"\xff\x0a", "a JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "a JPEG XL"),
    (b"\x1aE\xdf\xa3", "a video"),
    (b"\x00\x00\x01\xba", "a video"),
    (b"\x00\x00\x01\xb3", "a video"),
    (b"FLV\x01", "a video"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a video"),
    (b"RIFF", "a sound"),
    (b"ID3", "a sound"),
    (b"OggS", "a sound or a video"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"SQLite format 3", "a database"),
)


def photo_format(head: bytes) -> str | None:
    """Return the photo format of a file by ``head``, its first 64 bytes; None if it is not a photo.

    Returns:
        ``"JPEG"``, ``"PNG"``, ``"GIF"``, ``"BMP"``, ``"TIFF"``, ``"WebP"``, ``"HEIC"``, ``"AVIF"``, ``"JPEG 2000"``,
        ``"PNM"`` (PPM, PGM and PBM), ``"TGA"``, ``"ICO"``, ``"QOI"`` or None.
    """
    for start, kind in _SIGNATURES:
        if head.startswith(start):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if head[4:8] == b"ftyp":
        return _iso_format(head)
    if _PNM.match(head):
        return "PNM"
    if head[:4] == b"\0\0\1\0" and 0 < int.from_bytes(head[4:6], "little") <= 64 and head[9:10] == b"\0":
        return "ICO"
    return "TGA" if _is_tga(head) else None


def _is_tga(head: bytes) -> bool:
    """Return whether a file is a Truevision TGA; it has no signature, so that all fields of its header must agree."""
    if len(head) < 18:
        return False
    mapped, coding, depth, descriptor = head[1], head[2], head[16], head[17]
    colors, size = head[3:8], (int.from_bytes(head[12:14], "little"), int.from_bytes(head[14:16], "little"))
    if min(size) < 1 or descriptor & 0xC0:
        return False
    if coding in (1, 9):
        return mapped == 1 and depth == 8 and colors[4] in (15, 16, 24, 32) and 0 < colors[2] + 256 * colors[3] <= 256
    depths = {2: (15, 16, 24, 32), 10: (15, 16, 24, 32), 3: (8, 16), 11: (8, 16)}
    return mapped == 0 and not any(colors) and depth in depths.get(coding, ())


def _iso_format(head: bytes) -> str | None:
    """Return the photo format of an ISO base media file by its brands (ISO/IEC 23008-12, 10.2)."""
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[i : i + 4] for i in range(16, end - 3, 4))]
    if any(brand in _AVIF_BRANDS for brand in brands):
        return "AVIF"
    return "HEIC" if any(brand in _HEIC_BRANDS for brand in brands) else None


def webp_size(head: bytes) -> tuple[int, int] | None:
    """Return the (width, height) in the first bytes of a WebP (RFC 9649); None if they are cut off."""
    chunk, body = head[12:16], head[20:]
    if len(body) < 10:
        return None
    if chunk == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if chunk == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF


VIDEO: Final = "not a photo: a video"
"""Reason of a skipped video."""

_VIDEO_ATOMS = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"pnot"})


def describe_non_photo(head: bytes) -> str:
    """Return the probable type of a file that is not a photo, such as ``"a PDF"`` or ``"text"``."""
    if not head.strip(b"\0"):
        return "only zero bytes" if head else "an empty file"
    if head[4:8] in _VIDEO_ATOMS or (head[:4] == b"RIFF" and head[8:12] == b"AVI "):
        return "a video"
    for start, what in _NON_PHOTOS:
        if head.startswith(start):
            return what
    if not _is_text(head):
        return "something else"
    lower = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in lower:
        return "an SVG drawing"
    return "a web page" if lower.startswith((b"<!doctype html", b"<html")) else "text"


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # otherwise a character may be cut at the end of head
            return False
        text = head[: error.start].decode("utf-8")
    return all(c.isprintable() or c in "\t\n\r\f\ufeff" for c in text)


MAX_BYTES = 1 << 30
"""Files above 1 GiB are refused: they cannot be decoded in bounded memory."""


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file, or a member of an archive, for reading; a link is followed.

    Raises:
        OSError: it cannot be opened, is not a regular file, or is larger than `MAX_BYTES`.
    """
    try:
        _check(path.stat(), path)  # check first: opening a device can have effects
    except (NotADirectoryError, FileNotFoundError):
        from regraft.data.archives.archive import archive_above, open_member  # it imports this module

        archive = archive_above(path)
        if archive is None:
            raise
        return open_member(archive, path)
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    handle = os.open(path, flags)  # never block, even if the file was replaced meanwhile
    try:
        _check(os.fstat(handle), path)
    except BaseException:
        os.close(handle)
        raise
    return os.fdopen(handle, "rb")


def read_regular(path: Path) -> bytes:
    """Return all bytes of a regular file.

    Raises:
        OSError: as for `open_regular`.
    """
    with open_regular(path) as file:
        return file.read()


def file_status(path: Path) -> os.stat_result:
    """Return the status of a file; for a member of an archive, that of the archive.

    Raises:
        OSError: there is no such file.
    """
    try:
        return path.stat()
    except (NotADirectoryError, FileNotFoundError):
        from regraft.data.archives.archive import archive_above

        archive = archive_above(path)
        if archive is None:
            raise
        return archive.stat()


def _check(status: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, f"it is {_special(status.st_mode)}, not a file", str(path))
    if status.st_size > MAX_BYTES:
        raise OSError(errno.EFBIG, f"it is larger than {MAX_BYTES >> 30} GiB", str(path))


def _special(mode: int) -> str:
    if stat.S_ISFIFO(mode):
        return "a pipe"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def why_unreadable(error: OSError, path: Path) -> str:
    """Return why a file cannot be read, in a short phrase without its path."""
    if error.errno == errno.ENOENT:
        return "cannot be read: a link to nothing" if path.is_symlink() else "cannot be read: no longer there"
    if error.errno == errno.ELOOP:
        return "cannot be read: a link to itself"
    reason = error.strerror or type(error).__name__
    return f"cannot be read: {reason[:1].lower()}{reason[1:]}"
