"""The matrix products of the solver, over features that are kept once and standardised on the fly.

Threads of the solver: several small products at once, each on one thread of the linear algebra library.

For matrices as thin as these (a few classes wide) a library that splits one product over all cores spends more time on
meeting points than on arithmetic. The work is cut into pieces whose shape does not depend on the number of threads,
and their results are added in a fixed order, so that the same bits come out on any number of cores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from regraft.disk.row_table import take

Float = NDArray[np.floating[Any]]
T = TypeVar("T")
R = TypeVar("R")

BLOCK = 1024
"""Rows that one product takes at a time when the features are converted on the way."""

PART = 128
"""Features that one product takes at a time where they lie turned in a file."""

KEEP = 64 << 20
"""Bytes of converted features that are kept; larger ones are put in order, in a file, and converted at each product."""


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


@dataclass
class Rows:
    """Features as several problems see them, each through its own affine map ``z = (x - mean) * scale``.

    The map is applied to the weights, not to the features: all problems share one matrix, and one product serves all.

    Attributes:
        X: features, shape (n, d).
        mean: what each problem subtracts, shape (p, d), float64.
        scale: what each problem multiplies by, shape (p, d), float64; zero leaves a feature out.
        dtype: precision of the products. If it is that of ``X`` and there is no ``order``, nothing is copied.
        order: the rows to use and their order, shape (n',), or None for all as they stand.
        threads: how many blocks of rows may be worked on at once.
        turned: ``X`` turned, shape (d, n), where both are files: a product then reads a part of one of them at a time,
            and with OpenBLAS gives the bits that it would give on the whole. None where ``X`` is in memory.
    """

    X: Float
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    dtype: type[np.floating[Any]]
    order: NDArray[np.int64] | None = None
    threads: int = 1
    turned: Float | None = None

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.X) if self.order is None else len(self.order)

    @property
    def d(self) -> int:
        """Number of features."""
        return int(self.X.shape[1])

    def logits(self, weight: NDArray[np.float64], bias: NDArray[np.float64]) -> Float:
        """Return ``z @ weight.T + bias`` for each problem: (p, k, d), (p, k) -> (p, k, n)."""
        p, k, d = weight.shape
        scaled = weight * self.scale[:, None, :]
        shift = bias - np.matmul(scaled, self.mean[:, :, None])[:, :, 0]
        left = scaled.reshape(p * k, d).astype(self.dtype)
        out = np.empty((p * k, self.n), self.dtype)

        def product(block: slice) -> None:
            np.matmul(left, self._block(block).T, out=out[:, block])

        self._in_threads(product)
        out += shift.reshape(p * k, 1).astype(self.dtype)
        return out.reshape(p, k, self.n)

    def gradient(self, residual: Float) -> NDArray[np.float64]:
        """Return ``residual @ z`` for each problem: (p, k, n) -> (p, k, d)."""
        p, k, n = residual.shape
        flat = residual.reshape(p * k, n)
        total = np.zeros((p * k, self.d))
        if self.turned is None:
            for part in self._in_threads(lambda block: flat[:, block] @ self._block(block)):
                total += part  # in a fixed order: the sum is the same bits on any number of threads
        else:
            for i in range(0, self.d, PART):
                total[:, i : i + PART] = flat @ self.turned[i : i + PART].T
        sums = flat.sum(axis=1, dtype=np.float64).reshape(p, k, 1)
        out: NDArray[np.float64] = (total.reshape(p, k, self.d) - sums * self.mean[:, None, :]) * self.scale[:, None, :]
        return out

    def _in_threads(self, work: Callable[[slice], R]) -> list[R]:
        _ = self._ordered  # made once, before the threads
        return in_threads(work, self._blocks, self.threads)

    @cached_property
    def _as_is(self) -> bool:
        return self.order is None and self.X.dtype == self.dtype

    @cached_property
    def _blocks(self) -> list[slice]:
        step = self.n if self._as_is and self.turned is None else BLOCK
        starts = list(range(0, self.n, max(1, step)))
        if self.turned is not None and len(starts) > 1:
            starts.pop()  # into the last but one: a product with a few rows would round otherwise
        return [slice(i, j) for i, j in zip(starts, [*starts[1:], self.n], strict=True)]

    @cached_property
    def _ordered(self) -> Float:
        """The rows in their order; converted where that is little."""
        if self._as_is:
            return self.X
        if self.n * self.d * np.dtype(self.dtype).itemsize <= KEEP:
            return (self.X if self.order is None else self.X[self.order]).astype(self.dtype)
        return self.X if self.order is None else take(self.X, self.order)

    def _block(self, block: slice) -> Float:
        return self._ordered[block].astype(self.dtype, copy=False)
