"""Places of a shared store: a folder, or an address that fsspec opens; files appear whole or not at all, without locks.

Network file systems may not honor locks, so none is used. A file is written under a temporary name and renamed, or put
into a bucket by one request. Because the name of a file is the checksum of its bytes, two writers of one name write the
same bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from regraft.cache_dir import SHARED, cache_folder
from regraft.data.archives.address import SCHEMES
from regraft.disk.atomic import PART, make_folder, write_bytes
from regraft.errors import ConfigError, MissingExtraError
from regraft.features.stores.shared.arrow_file import NAME, is_intact

LOCAL_BYTES = 10 * 10**9
"""Maximum size of the local copies of files from an address, in bytes."""

ABANDONED_SECONDS = 24 * 3600
"""Age at which a temporary file is removed: its writer was killed."""


class Place(Protocol):
    """Interface of places: whole files by name."""

    address: str

    def sizes(self) -> dict[str, int]:
        """Return the size in bytes of each file.

        Raises:
            OSError: the place cannot be listed.
        """

    def open(self, name: str, *, keys_only: bool = False) -> AbstractContextManager[BinaryIO]:
        """Return a file that is open for reading.

        Args:
            name: name of the file.
            keys_only: whether only a small part of it will be read.

        Raises:
            OSError: it is missing or cannot be read.
        """

    def write(self, name: str, data: bytes) -> None:
        """Write a file, completely or not at all.

        Raises:
            OSError: it cannot be written.
        """

    def remove(self, name: str) -> None:
        """Remove a file; a missing one is not an error.

        Raises:
            OSError: it cannot be removed.
        """

    def sweep(self) -> None:
        """Remove temporary files of writers that were killed long ago."""


class FolderPlace:
    """A folder, local or on a network file system.

    Args:
        folder: the folder; it is created by the first write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.address = folder, str(folder)

    def sizes(self) -> dict[str, int]:
        """Return the size in bytes of each file."""
        sizes = {}
        for path in self.folder.iterdir() if self.folder.exists() else ():
            if NAME.fullmatch(path.name):
                with contextlib.suppress(FileNotFoundError):  # another process has compacted it
                    sizes[path.name] = path.stat().st_size
        return sizes

    @contextlib.contextmanager
    def open(self, name: str, *, keys_only: bool = False) -> Iterator[BinaryIO]:
        """Yield a file that is open for reading."""
        with (self.folder / name).open("rb") as file:
            yield file

    def write(self, name: str, data: bytes) -> None:
        """Write a file, completely or not at all."""
        make_folder(self.folder)
        write_bytes(self.folder / name, data)

    def remove(self, name: str) -> None:
        """Remove a file."""
        (self.folder / name).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove temporary files of writers that were killed long ago."""
        for path in self.folder.glob(f"{PART}*"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                    path.unlink()


class RemotePlace:
    """An address of fsspec, such as ``s3://bucket/features``; files that are read whole are copied to the local cache.

    Args:
        address: the address.
        local_bytes: maximum size of the local copies; the least recently used are removed first.

    Raises:
        ConfigError: no package for the protocol is installed, or the storage cannot be opened.
        MissingExtraError: fsspec is not installed.
    """

    def __init__(self, address: str, *, local_bytes: int = LOCAL_BYTES) -> None:
        self.address, self._local_bytes = address.rstrip("/"), local_bytes
        self._files, self._root = _file_system(self.address)
        self._copies = cache_folder() / SHARED / hashlib.sha256(self.address.encode()).hexdigest()[:16]

    def sizes(self) -> dict[str, int]:
        """Return the size in bytes of each file."""
        self._files.invalidate_cache()
        try:
            with _system_errors():
                listing = self._files.ls(self._root, detail=True)
        except FileNotFoundError:
            return {}
        sizes = {str(one["name"]).rpartition("/")[2]: int(one["size"] or 0) for one in listing}
        return {name: size for name, size in sizes.items() if NAME.fullmatch(name)}

    @contextlib.contextmanager
    def open(self, name: str, *, keys_only: bool = False) -> Iterator[BinaryIO]:
        """Yield a file that is open for reading: its local copy, or for its keys alone the file at the address."""
        copy = self._copies / name
        if keys_only and not copy.exists():
            with _system_errors():
                file = self._files.open(f"{self._root}/{name}", "rb", cache_type="none")
            with file:
                yield cast("BinaryIO", file)
            return
        data = _intact_copy(copy, name)
        if data is None:
            with _system_errors():
                data = self._files.cat_file(f"{self._root}/{name}")
            if is_intact(name, data):
                self._copy(copy, data)
        yield io.BytesIO(data)

    def write(self, name: str, data: bytes) -> None:
        """Write a file by one request."""
        with _system_errors():
            self._files.makedirs(self._root, exist_ok=True)
            self._files.pipe_file(f"{self._root}/{name}", data)

    def remove(self, name: str) -> None:
        """Remove a file and its local copy."""
        (self._copies / name).unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError), _system_errors():
            self._files.rm_file(f"{self._root}/{name}")

    def sweep(self) -> None:
        """Do nothing: a request that was cut off leaves no file."""

    def _copy(self, copy: Path, data: bytes) -> None:
        """Keep a local copy, if the disk has room; remove the least recently used ones beyond the limit."""
        with contextlib.suppress(OSError):
            make_folder(self._copies)
            write_bytes(copy, data)
            by_use = sorted(self._copies.glob("*.arrow"), key=lambda path: path.stat().st_mtime)
            total = sum(path.stat().st_size for path in by_use)
            for path in by_use[:-1]:
                if total > self._local_bytes:
                    total -= path.stat().st_size
                    path.unlink(missing_ok=True)


@contextlib.contextmanager
def _system_errors() -> Iterator[None]:
    """Raise errors of the packages of fsspec, which are of all kinds, as `OSError`."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {' '.join(str(error).split())}") from error


def _intact_copy(copy: Path, name: str) -> bytes | None:
    """Return the content of a local copy and note its use; None if it is missing or damaged."""
    with contextlib.suppress(OSError):
        data = copy.read_bytes()
        if is_intact(name, data):
            copy.touch()
            return data
    return None


def place_at(address: str) -> Place:
    """Return the place at ``address``: a path of a folder, or an address of fsspec with ``://``.

    Raises:
        ConfigError: no package for the protocol is installed, or the storage cannot be opened.
        MissingExtraError: fsspec is not installed.
    """
    protocol, separator, path = address.partition("://")
    if not separator:
        return FolderPlace(Path(address).expanduser())
    return FolderPlace(Path(path)) if protocol in ("file", "local") else RemotePlace(address)


def _file_system(address: str) -> tuple[Any, str]:
    try:
        import fsspec
    except ImportError as error:
        raise MissingExtraError("feature stores at an address", "scale") from error
    try:
        files, root = fsspec.core.url_to_fs(address)
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        package = SCHEMES.get(address.rpartition("::")[2].partition(":")[0])
        if package and (isinstance(error, ImportError) or reason.startswith("Protocol not known")):
            reason += f"\n  pip install {package}"
        raise ConfigError(f"--store {address}: {reason}") from error
    return files, str(root)
