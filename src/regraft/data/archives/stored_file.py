"""Files on the disk or at an address, opened for reading at any position."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from regraft.data.archives.address import SCHEMES, address_of
from regraft.errors import PhotosError, UserError

T = TypeVar("T")

for _library in ("gcsfs", "s3fs", "azure", "fsspec"):  # without a handler, Python prints their tracebacks
    logging.getLogger(_library).addHandler(logging.NullHandler())


def open_stored(path: Path) -> BinaryIO:
    """Open a file on the disk or at an address for reading; it can seek.

    Raises:
        OSError: it cannot be opened.
        PhotosError: the package for the scheme of the address is not installed, or the storage cannot be opened.
    """
    address = address_of(path)
    if address is None:
        return path.open("rb")
    files, place = file_system(address)
    return cast("BinaryIO", answered(lambda: files.open(place, "rb"), address))


def stored_size(path: Path) -> int:
    """Return the size of a file on the disk or at an address in bytes.

    Raises:
        OSError: there is no such file.
        PhotosError: as for `open_stored`.
    """
    address = address_of(path)
    if address is None:
        return path.stat().st_size
    files, place = file_system(address)
    return int(answered(lambda: files.size(place), address) or 0)


def file_system(address: str) -> tuple[Any, str]:
    """Return the file system of fsspec for an address, and the path in it.

    Raises:
        PhotosError: the package for the scheme is not installed, or the storage cannot be opened.
    """
    scheme = address.rpartition("::")[2].partition(":")[0]
    try:
        from fsspec.core import url_to_fs

        files, place = url_to_fs(address)
    except ImportError as error:
        raise PhotosError(_missing_package(scheme)) from error
    except Exception as error:
        if str(error).startswith("Protocol not known"):  # its package would register it
            raise PhotosError(_missing_package(scheme)) from error
        text = " ".join(str(error).split()) or type(error).__name__
        raise PhotosError(f"{address}: cannot be opened: {text[:300]}") from error
    return files, str(place)


def _missing_package(scheme: str) -> str:
    package = SCHEMES[scheme]
    return f"{scheme}:// addresses need an optional package: pip install {package}"


def answered(ask: Callable[[], T], name: str) -> T:
    """Return what a file system answers, with every failure as an `OSError`.

    Raises:
        OSError: it fails; libraries of clouds have error classes of their own.
    """
    try:
        return ask()
    except FileNotFoundError as error:
        raise FileNotFoundError(errno.ENOENT, "no such file", name) from error
    except OSError as error:
        if error.strerror is None:  # s3fs gives only a text
            raise OSError(error.errno or errno.EIO, str(error) or type(error).__name__, name) from error
        raise
    except UserError:
        raise
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise OSError(errno.EIO, text[:300], name) from error
