"""Work in threads whose results come back in order, never far ahead of the one who takes them."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from regraft.process import cores

T = TypeVar("T")
R = TypeVar("R")


_SAMPLE = 32
MIN_DECODING_THREADS, _SMALL_PHOTO_BYTES = 4, 64 << 10
"""Threads that get along on photos of so many bytes, and for each as many again one more."""


def default_workers() -> int:
    """Return how many threads work unless told otherwise: one for each processor we may use, 16 at most."""
    return min(cores(), 16)


def workers_or_default(wanted: int | None) -> int:
    """Return the number of threads that is wanted, or `default_workers` where none is named."""
    return default_workers() if wanted is None else wanted


def decoding_threads(photos: Sequence[Path]) -> int:
    """Return how many threads decode ``photos`` unless told otherwise: fewer than processors where they are small.

    Part of the work on a photo is done under Python's lock, and of a small one that is so large a part that many
    threads only wait for each other: on 16 cores, 16 threads decoded 1,562 photos of 128 px a second and 4 threads
    2,147; augmented ones, 462 and 842.
    """
    most = default_workers()
    if most <= MIN_DECODING_THREADS:
        return most
    sizes = [size for path in photos[:: max(1, len(photos) // _SAMPLE)][:_SAMPLE] if (size := _file_size(path))]
    typical = statistics.median(sizes) if sizes else 0
    return min(most, MIN_DECODING_THREADS + int(MIN_DECODING_THREADS * max(0.0, typical / _SMALL_PHOTO_BYTES - 1)))


def _file_size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def map_in_order(work: Callable[[T], R], items: Iterable[T], *, workers: int, ahead: int) -> Generator[R, None, None]:
    """Yield ``work(item)`` for each of ``items``, in their order, computed by ``workers`` threads.

    At most ``ahead`` results are kept waiting. When the iterator is closed, an exception passes through it or the
    person presses Ctrl-C, what has begun is finished, what has not is dropped, and no thread is left.

    Args:
        work: called in the threads; what it raises is raised here, at the place of its item.
        items: taken in this thread, never more than ``ahead`` in advance.
        workers: number of threads; 0 does the work in this thread.
        ahead: bound on results that wait.
    """
    if workers <= 0:
        yield from map(work, items)
        return
    waiting: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="regraft-photos")
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= max(ahead, 1):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
