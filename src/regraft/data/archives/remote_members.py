"""Photos at an address such as ``s3://bucket``, listed and read in place by fsspec; nothing is copied.

fsspec finds the credentials: those of the environment, of the configuration files of the cloud, or of the machine.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import Any

from regraft.data.archives.members import Members
from regraft.data.archives.stored_file import answered, file_system
from regraft.data.file_types import MAX_BYTES


class RemoteMembers(Members):
    """The files below an address.

    Args:
        address: the address, such as ``s3://bucket``.

    Raises:
        PhotosError: the package for the scheme is not installed, or the storage cannot be opened.
    """

    def __init__(self, address: str) -> None:
        super().__init__()
        self._address, self._process = address, os.getpid()
        self._files, self._base = file_system(address)

    def below(self, folder: str) -> Iterator[tuple[str, str]]:
        """Yield the name of each file below a folder, relative to it; none is left out.

        Raises:
            OSError: they cannot be listed.
        """
        root = self._place(folder)
        for path in sorted(answered(lambda: self._now().find(root), root)):
            name = path.removeprefix(root).lstrip("/")
            if name and not name.endswith("/"):
                yield name, ""

    def has_folder(self, folder: str) -> bool:
        """Return whether a folder exists; storage of objects has none without files.

        Raises:
            OSError: the storage does not answer.
        """
        return bool(answered(lambda: self._now().isdir(self._place(folder)), folder))

    def close(self) -> None:
        """Forget the listings; fsspec closes the connection."""
        self._files.invalidate_cache()

    def read(self, name: str, first: int | None = None) -> bytes:
        """Return the bytes of a file, or its ``first`` bytes.

        Raises:
            OSError: there is no such file, it cannot be read, or it is larger than `MAX_BYTES`.
        """
        place, files = self._place(name), self._now()
        data: bytes
        if first is not None:
            data = answered(lambda: files.cat_file(place, start=0, end=first), name)
            return data
        if answered(lambda: files.size(place), name) > MAX_BYTES:
            raise OSError(errno.EFBIG, f"it is larger than {MAX_BYTES >> 30} GiB", name)
        data = answered(lambda: files.cat_file(place), name)
        return data

    def _place(self, name: str) -> str:
        return "/".join(part for part in (self._base.rstrip("/"), name) if part)

    def _now(self) -> Any:
        """Return the file system; a fork needs its own connections."""
        if self._process != os.getpid():
            self._files, self._base = file_system(self._address)
            self._process = os.getpid()
        return self._files
