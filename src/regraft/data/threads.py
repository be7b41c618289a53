"""Work in threads whose results come back in order, never far ahead of the one who takes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from regraft.process import cores

T = TypeVar("T")
R = TypeVar("R")


def default_workers() -> int:
    """Return how many threads decode photos unless told otherwise: one for each processor we may use, 16 at most."""
    return min(cores(), 16)


def in_order(work: Callable[[T], R], items: Iterable[T], *, workers: int, ahead: int) -> Generator[R, None, None]:
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
