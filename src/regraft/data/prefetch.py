"""Photos that are decoded before anyone asks for them, while this process is busy with an import of seconds.

Threads would do, were it not for Python's lock: an import holds it, and a decoder that must wait for it a dozen times a
photo slows the import as much as it gains. So forks of this process decode, into memory that it shares with them. A
fork is safe only while nothing else runs here, and cheap only while little is loaded: see `can_prefetch`.
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
    """Return whether forks may decode now: on Linux, with a core to spare, before torch and any thread of ours."""
    alone = threading.active_count() == 1 and "torch" not in sys.modules
    if not (sys.platform.startswith("linux") and cores() > 1 and alone):
        return False
    return signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL  # else someone else takes note of children that end


class Prefetcher:
    """Decodes photos in forks of this process from now on, one fork for each core but one.

    Args:
        entries: the photos, those that are needed first at the start.
        decode: gives what is wanted of one as a row of ``width`` bytes, uint8. Where it raises, nothing is kept.
        width: bytes for each photo; all of them are held until `close`.
        workers: forks at most.

    Raises:
        OSError: there is no memory, or no room for another process.
    """

    def __init__(
        self, entries: Sequence[Entry], decode: Callable[[Entry], NDArray[np.uint8]], width: int, *, workers: int
    ) -> None:
        n = len(entries)
        memory = mmap.mmap(-1, max(1, n * (width + 5)))  # shared with the forks, and in no file
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
        """Return the row of a photo, or None where it is not there; no fork will begin it any more."""
        i = self._positions.get(entry.content)
        if i is None:
            return None
        if self._state[i] != _READY:
            self._state[i] = _UNAVAILABLE
            return None
        row = self._rows[i].copy()
        return row if zlib.crc32(row.data).to_bytes(4, "little") == self._sums[i].tobytes() else None

    def close(self) -> None:
        """End the forks, whatever they do, and forget what they did."""
        while self._forks:
            _end(self._forks.pop())
        self._positions = {}
        self._state = self._sums = self._rows = np.empty((0, 0), dtype=np.uint8)

    def _fork(
        self, mine: Sequence[int], entries: Sequence[Entry], decode: Callable[[Entry], NDArray[np.uint8]]
    ) -> None:
        parent = os.getpid()
        usual = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})  # a fork has its own handlers
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # numpy's idle threads count as threads there
                fork = os.fork()
            if fork:
                self._forks.append(fork)
        finally:
            if os.getpid() == parent:
                signal.pthread_sigmask(signal.SIG_SETMASK, usual)
        if fork:
            return
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, usual)
            for i in mine:
                if os.getppid() != parent:
                    break
                if self._state[i] == _WAITING:
                    self._decode(i, entries[i], decode)
        finally:
            os._exit(0)  # nothing of the parent's is ended or flushed twice

    def _decode(self, i: int, entry: Entry, decode: Callable[[Entry], NDArray[np.uint8]]) -> None:
        try:
            row = decode(entry)
        except Exception:  # noqa: BLE001  (the parent decodes it again and says why)
            self._state[i] = _UNAVAILABLE
            return
        self._rows[i] = row
        self._sums[i] = np.frombuffer(zlib.crc32(row.data).to_bytes(4, "little"), np.uint8)
        self._state[i] = _READY


def _end(fork: int) -> None:
    with contextlib.suppress(ChildProcessError, ProcessLookupError):  # someone else took note of its end
        if os.waitpid(fork, os.WNOHANG) == (0, 0):
            os.kill(fork, signal.SIGKILL)
            os.waitpid(fork, 0)
