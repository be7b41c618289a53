"""Cached pixels: photos that were decoded once, as bytes on the disk or in memory, for all epochs and later runs.

Two forms of a photo are cached: reduced, for training views, and its evaluation pixels. A photo whose file is small
compared with its pixels is decoded about as fast as it is read from the disk, so it is cached in memory only. Cached
pixels are used only for a file that is unchanged: its hash is compared once in each process, and again if its size or
its times change.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from regraft.data.file_types import file_status, why_unreadable
from regraft.data.loading.photo_task import LoadPhoto, PhotoTask, read_verified
from regraft.data.loading.reduced_photo import LoadReduced, reduced_side
from regraft.data.loading.worker_processes import run_task
from regraft.errors import DecodeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from regraft.data.manifest import Entry
    from regraft.data.preprocessing import Preprocessing

MEMORY_BYTES = 10**9
"""Default bound on the pixels in memory."""

MIN_FILE_SHARE = 0.25
"""Minimum size of a photo's file, as a share of its pixels, for these to be cached on the disk."""

_WRITE_BATCH = 32  # photos per write: about 8 MB

Pixels: TypeAlias = "NDArray[np.uint8]"

_Mark: TypeAlias = tuple[int, int, int, int]


class PixelStore(Protocol):
    """A store of arrays by key, which several threads use at once: `regraft.features.stores.disk_store.DiskStore`."""

    def get_many(self, keys: Sequence[str]) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield (position in ``keys``, array) for stored keys."""

    def missing(self, keys: Sequence[str]) -> list[int]:
        """Return the positions in ``keys`` that are not stored."""

    def put_many(self, items: Iterable[tuple[str, NDArray[Any]]], kind: str = "") -> None:
        """Store several arrays; ``kind`` describes them for people."""


class PixelCache:
    """The pixels of photos, decoded when they are first needed, and cached.

    Args:
        p: preprocessing of the network.
        store: cache for later runs; None for none.
        store_share: share of the photos that the store is used for. They are chosen by their content, so that the same
            photos are found there in every epoch.
        memory: bound on the pixels in memory, in bytes. Only photos that are not in the store count.
    """

    def __init__(
        self,
        p: Preprocessing,
        store: PixelStore | None = None,
        *,
        store_share: float = 1.0,
        memory: int = MEMORY_BYTES,
    ) -> None:
        self.preprocessing, self.reduction = p, LoadReduced(reduced_side(p), p.rendering)
        self._store, self._store_share = store, store_share
        self._memory: dict[str, Pixels] = {}
        self._memory_left = memory
        self._marks: dict[Path, _Mark | None] = {}
        self._waiting: list[tuple[str, Pixels]] = []
        self._lock = threading.Lock()

    def reduced(self, entries: Sequence[Entry]) -> list[Pixels | str]:
        """Return the reduced form of each photo, shape (height, width, 3), uint8; or why it could not be decoded."""
        return self._load(entries, self.reduction, self.reduction.id)

    def evaluation(self, entries: Sequence[Entry]) -> list[Pixels | str]:
        """Return the evaluation pixels of each photo, shape (H, W, 3), uint8; or why it could not be decoded."""
        return self._load(entries, LoadPhoto(self.preprocessing), f"evaluation/{self.preprocessing.id}")

    def check_unchanged(self, entry: Entry) -> None:
        """Compare a photo's file with its content hash, unless that was done and the file has not been touched since.

        Raises:
            DecodeError: it cannot be read, or the file has changed since the scan.
        """
        mark = _mark(entry.path)
        if mark is None or self._marks.get(entry.path) != mark:
            read_verified(entry)
            self._marks[entry.path] = mark

    def flush(self) -> None:
        """Write all pixels that wait to be written; those that the store refuses stay in memory."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        if self._store is not None and waiting:
            self._store.put_many(waiting, f"decoded photos · {self.preprocessing.height} px")
            for position in self._store.missing([key for key, _ in waiting]):
                self._hold(*waiting[position])

    def _load(self, entries: Sequence[Entry], task: PhotoTask, name: str) -> list[Pixels | str]:
        keys = [hashlib.sha256(f"{name}/{entry.content}".encode()).hexdigest() for entry in entries]
        cached = self._cached(entries, keys)
        return [
            self._one(entry, key, cached.get(key), task) if entry.content else _decoded(task, entry)
            for entry, key in zip(entries, keys, strict=True)
        ]

    def _one(self, entry: Entry, key: str, cached: Pixels | None, task: PhotoTask) -> Pixels | str:
        if cached is not None:
            try:
                self.check_unchanged(entry)
            except DecodeError as error:
                return str(error)
            return cached
        mark = _mark(entry.path)
        pixels = _decoded(task, entry)
        if not isinstance(pixels, str):
            self._marks[entry.path] = mark
            self._add(entry, key, pixels, 0 if mark is None else mark[0])
        return pixels

    def _cached(self, entries: Sequence[Entry], keys: Sequence[str]) -> dict[str, Pixels]:
        """Return the cached pixels of the photos, by key."""
        with self._lock:
            out = {key: self._memory[key] for key in keys if key in self._memory}
        if self._store is not None:
            elsewhere = [
                key for entry, key in zip(entries, keys, strict=True) if key not in out and self._has_place(entry)
            ]
            for position, pixels in self._store.get_many(elsewhere):
                if pixels.dtype == np.uint8 and pixels.ndim == 3:
                    out[elsewhere[position]] = pixels
        return out

    def _add(self, entry: Entry, key: str, pixels: Pixels, file_bytes: int) -> None:
        on_disk = self._store is not None and file_bytes >= MIN_FILE_SHARE * pixels.nbytes and self._has_place(entry)
        if not on_disk:
            self._hold(key, pixels)
            return
        with self._lock:
            self._waiting.append((key, pixels))
            full = len(self._waiting) >= _WRITE_BATCH
        if full:
            self.flush()

    def _hold(self, key: str, pixels: Pixels) -> None:
        """Cache pixels in memory if there is room."""
        with self._lock:
            if key not in self._memory and pixels.nbytes <= self._memory_left:
                self._memory[key] = pixels
                self._memory_left -= pixels.nbytes

    def _has_place(self, entry: Entry) -> bool:
        """Return whether the photo is among those that the store has room for."""
        return bool(entry.content) and int(entry.content[:8], 16) < self._store_share * 2**32


def _decoded(task: PhotoTask, entry: Entry) -> Pixels | str:
    """Return the result of a task, or why the photo could not be decoded."""
    try:
        return run_task(task, entry)
    except DecodeError as error:
        return str(error)
    except OSError as error:
        return why_unreadable(error, entry.path)


def _mark(path: Path) -> _Mark | None:
    """Return size, times and number of a file, which change when it is written; None if there is no such file."""
    try:
        stat = file_status(path)
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino
