"""Prefetching of photos: forks decode the first photos while this process imports torch, which takes seconds.

Threads do not help here: an import holds Python's global interpreter lock, and a decoder that waits for it a dozen
times per photo slows the import by as much as it gains. So forks of this process decode into shared memory. A fork is
safe only while no other thread runs, and cheap only while little is loaded: see `can_prefetch`.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import signal
import sys
import threading
import warnings
import zlib
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from regraft.data.manifest import Entry
from regraft.process import cores

_WAITING, _READY, _UNAVAILABLE = 0, 1, 2


def can_prefetch() -> bool:
    """Return whether forks may decode now: on Linux, with a spare core, before torch is imported or a thread runs."""
    alone = threading.active_count() == 1 and "torch" not in sys.modules
    if not (sys.platform.startswith("linux") and cores() > 1 and alone):
        return False
    return signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL  # a handler of the caller's would be called for the forks


class Prefetcher:
    """Decodes photos in forks of this process, which start at once; one fork per core except one.

    Args:
        entries: the photos, in the order of their use.
        decode: returns a row of ``width`` bytes, uint8, for a photo. If it raises, the photo has no row.
        width: bytes per photo; all rows are held in memory until `close`.
        workers: maximum number of forks.

    Raises:
        OSError: there is not enough memory, or the system allows no more processes.
    """

    def __init__(
        self, entries: Sequence[Entry], decode: Callable[[Entry], NDArray[np.uint8]], width: int, *, workers: int
    ) -> None:
        n = len(entries)
        memory = mmap.mmap(-1, max(1, n * (width + 5)))  # shared with the forks, without a file
        self._state: NDArray[np.uint8] = np.frombuffer(memory, np.uint8, n)
        self._sums: NDArray[np.uint8] = np.frombuffer(memory, np.uint8, 4 * n, n).reshape(n, 4)
        self._rows: NDArray[np.uint8] = np.frombuffer(memory, np.uint8, n * width, 5 * n).reshape(n, width)
        self._positions = {entry.content: i for i, entry in enumerate(entries)}
        forks = min(workers, cores() - 1, n)
        self._forks: list[int] = []
        try:
            for k in range(forks):
                self._fork(range(k, n, forks), entries, decode)
        except BaseException:
            self.close()
            raise

    def take(self, entry: Entry) -> NDArray[np.uint8] | None:
        """Return the row of a photo, or None if it is not ready; then no fork will start to decode it."""
        i = self._positions.get(entry.content)
        if i is None:
            return None
        if self._state[i] != _READY:
            self._state[i] = _UNAVAILABLE
            return None
        row = self._rows[i].copy()
        return row if zlib.crc32(row.data).to_bytes(4, "little") == self._sums[i].tobytes() else None

    def close(self) -> None:
        """Kill the forks and free their results."""
        while self._forks:
            _end(self._forks.pop())
        self._positions = {}
        self._state = self._sums = self._rows = np.empty((0, 0), dtype=np.uint8)

    def _fork(
        self, positions: Sequence[int], entries: Sequence[Entry], decode: Callable[[Entry], NDArray[np.uint8]]
    ) -> None:
        parent = os.getpid()
        usual = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})  # until the fork has handlers
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # numpy's idle threads trigger it
                fork = os.fork()
            if fork:
                self._forks.append(fork)
        finally:
            if os.getpid() == parent:
                signal.pthread_sigmask(signal.SIG_SETMASK, usual)
        if fork:
            return
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the parent, which kills the forks
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, usual)
            for i in positions:
                if os.getppid() != parent:
                    break
                if self._state[i] == _WAITING:
                    self._decode(i, entries[i], decode)
        finally:
            os._exit(0)  # skip the parent's exit handlers and buffers

    def _decode(self, i: int, entry: Entry, decode: Callable[[Entry], NDArray[np.uint8]]) -> None:
        try:
            row = decode(entry)
        except Exception:  # noqa: BLE001  (the parent decodes the photo again and reports the error)
            self._state[i] = _UNAVAILABLE
            return
        self._rows[i] = row
        self._sums[i] = np.frombuffer(zlib.crc32(row.data).to_bytes(4, "little"), np.uint8)
        self._state[i] = _READY


def _end(fork: int) -> None:
    with contextlib.suppress(ChildProcessError, ProcessLookupError):  # another handler has waited for it
        if os.waitpid(fork, os.WNOHANG) == (0, 0):
            os.kill(fork, signal.SIGKILL)
            os.waitpid(fork, 0)
