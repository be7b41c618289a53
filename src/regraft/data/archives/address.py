"""Addresses of photos in storage, as fsspec has them: ``s3://bucket/photos``.

A `Path` has one slash where the address has two. It may be relative or, after ``absolute()``, have the current folder
before the scheme; `address_of` restores the address from all of these, so that code that joins paths needs no change.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from regraft.errors import PhotosError

SCHEMES: Final = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "oss": "ossfs",
    "hf": "huggingface_hub",
    "sftp": "paramiko",
    "smb": "smbprotocol",
    "hdfs": "pyarrow",
    "memory": "fsspec",
}
"""Schemes of addresses that are read, each with the package that reads them."""

_CACHES = "simplecache|filecache|blockcache"
_SCHEME = re.compile(rf"(?:(?:{_CACHES})::)?({'|'.join(SCHEMES)}):")
_ANY_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_ARCHIVED = re.compile(r"(?:zip|tar)://(?P<inner>[^:]*)::(?P<outer>.+)")
_CONTAINERS = re.compile(r".+\.(zip|tar|tgz|tbz2?|txz|tar\.(gz|bz2|xz)|parquet)", re.IGNORECASE)


def address_of(path: Path | str) -> str | None:
    """Return the address that a path is, such as ``s3://bucket/photos``, or None."""
    text = Path(path).as_posix()
    if ":" not in text:
        return None
    parts = Path(path).parts
    for at, part in enumerate(parts):
        if _SCHEME.fullmatch(part):
            return f"{part}//{'/'.join(parts[at + 1 :])}"
    return None


def shown(path: Path | str) -> str:
    """Return a path as the user writes it: an address with its two slashes."""
    return address_of(path) or str(path)


def stored(path: Path) -> str:
    """Return a path as text for a file: an address as it is, or an absolute path."""
    return address_of(path) or path.absolute().as_posix()


def names_archive(name: str) -> bool:
    """Return whether the name of a file at an address is that of an archive or of a Parquet file."""
    return _CONTAINERS.fullmatch(name) is not None


def container_of_address(path: Path) -> Path:
    """Return what is opened to read an address: the archive in it, or else the bucket."""
    parts = path.parts
    at = next(i for i, part in enumerate(parts) if _SCHEME.fullmatch(part))
    inside = [i for i, part in enumerate(parts) if i > at and names_archive(part)]
    return Path(*parts[: (inside[0] if inside else at + 1) + 1])


def plain_place(path: Path | str) -> Path:
    """Return a place of photos without addresses of fsspec for which regraft needs no fsspec.

    ``file:///photos`` is ``/photos``, and ``zip://train::s3://bucket/photos.zip`` is ``s3://bucket/photos.zip/train``.

    Raises:
        PhotosError: it is an address that is not read.
    """
    text = str(path)
    if not _ANY_SCHEME.match(text) or Path(path).exists():
        return Path(path)
    restored = re.sub(r"(^|::)([A-Za-z][A-Za-z0-9+.-]+):/+", r"\1\2://", text)
    archived = _ARCHIVED.fullmatch(restored)
    if archived is not None:
        outer = plain_place(archived["outer"])
        return outer / archived["inner"].strip("/") if archived["inner"] else outer
    if restored.startswith("file://"):
        return Path("/" + restored.removeprefix("file://").lstrip("/"))
    if address_of(path) is not None or not re.match(r"[A-Za-z0-9+.:-]+://", restored):
        return Path(path)
    scheme = restored.partition("://")[0]
    if scheme in ("zip", "tar"):
        raise PhotosError(
            f"{restored}: the address names no archive; expected the path of the archive, such as photos.zip"
        )
    web = scheme in ("http", "https", "ftp", "github")
    why = "regraft loads nothing from the web" if web else f"the scheme {scheme} is unknown"
    step = "download it, and name the folder or the archive" if web else f"expected one of {', '.join(SCHEMES)}"
    raise PhotosError(f"{restored[:200]}: {why}\n  {step}")
