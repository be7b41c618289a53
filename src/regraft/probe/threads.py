"""Threads of the solver: several small products at once, each on one thread of the linear algebra library.

For matrices as thin as these (a few classes wide) a library that splits one product over all cores spends more time on
meeting points than on arithmetic. The work is cut into pieces whose shape does not depend on the number of threads,
and their results are added in a fixed order, so that the same bits come out on any number of cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def one_thread_per_product() -> Iterator[None]:
    """Hold the linear algebra library to one thread a product; ours run beside each other instead."""
    with _controller().limit(limits=1, user_api="blas"):
        yield


@cache
def _controller() -> Any:
    return ThreadpoolController()  # it searches the process for libraries: milliseconds, once


def in_threads(work: Callable[[T], R], items: Sequence[T], threads: int) -> list[R]:
    """Return ``[work(item) for item in items]``, computed on up to ``threads`` threads."""
    if threads <= 1 or len(items) <= 1:
        return [work(item) for item in items]
    with ThreadPoolExecutor(min(threads, len(items))) as pool:
        return list(pool.map(work, items))
