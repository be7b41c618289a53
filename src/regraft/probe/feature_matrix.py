"""Matrix products of the solver: features are stored once and standardized inside each product.

The linear algebra library runs each product on one thread, and several blocks of rows are computed at once instead. For
matrices as thin as these (a few classes wide), a library that splits one product over all cores spends more time on
synchronization than on arithmetic. The shape of a block does not depend on the number of threads, and partial results
are added in a fixed order, so any number of cores gives the same bits.
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

BLOCK_ROWS = 1024
"""Number of rows in one product if features are converted to another precision in the product."""

BLOCK_FEATURES = 128
"""Number of features in one product if a transposed copy is in a file."""

MAX_CONVERTED_BYTES = 64 << 20
"""Maximum size of a converted copy that is cached. Larger features are converted again in each product."""


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Limit the linear algebra library to one thread per product."""
    with _threadpool_controller().limit(limits=1, user_api="blas"):
        yield


@cache
def _threadpool_controller() -> Any:
    return ThreadpoolController()  # it searches the process for libraries, which takes milliseconds


def map_in_threads(function: Callable[[T], R], items: Sequence[T], threads: int) -> list[R]:
    """Return ``[function(item) for item in items]``, computed on up to ``threads`` threads."""
    if threads <= 1 or len(items) <= 1:
        return [function(item) for item in items]
    with ThreadPoolExecutor(min(threads, len(items))) as pool:
        return list(pool.map(function, items))


@dataclass
class FeatureMatrix:
    """Features that p problems share; each problem standardizes them in its own way: ``z = (x - mean) * scale``.

    The standardization is applied to the weights, not to the features, so one product serves all problems.

    Attributes:
        X: features, shape (n, d).
        mean: values that each problem subtracts, shape (p, d), float64.
        scale: factors that each problem multiplies by, shape (p, d), float64; zero removes a feature.
        dtype: precision of the products. Nothing is copied if ``X`` has this precision and ``order`` is None.
        order: rows to use, in this order, shape (n',); all rows as they are if None.
        threads: number of blocks that may be computed at once.
        transposed: a copy of ``X`` of shape (d, n) if both are files, else None. A product then reads one file a part
            at a time. With OpenBLAS the result has the same bits as a product with the whole.
    """

    X: Float
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    dtype: type[np.floating[Any]]
    order: NDArray[np.int64] | None = None
    threads: int = 1
    transposed: Float | None = None

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.X) if self.order is None else len(self.order)

    @property
    def d(self) -> int:
        """Number of features."""
        return int(self.X.shape[1])

    def logits(self, weight: NDArray[np.float64], bias: NDArray[np.float64]) -> Float:
        """Return ``weight @ z.T + bias`` for each problem: (p, k, d), (p, k) -> (p, k, n)."""
        p, k, d = weight.shape
        scaled = weight * self.scale[:, None, :]
        shift = bias - np.matmul(scaled, self.mean[:, :, None])[:, :, 0]
        left = scaled.reshape(p * k, d).astype(self.dtype)
        out = np.empty((p * k, self.n), self.dtype)

        def multiply(rows: slice) -> None:
            np.matmul(left, self._rows(rows).T, out=out[:, rows])

        self._map_blocks(multiply)
        out += shift.reshape(p * k, 1).astype(self.dtype)
        return out.reshape(p, k, self.n)

    def gradient(self, residual: Float) -> NDArray[np.float64]:
        """Return ``residual @ z`` for each problem: (p, k, n) -> (p, k, d)."""
        p, k, n = residual.shape
        flat = residual.reshape(p * k, n)
        total = np.zeros((p * k, self.d))
        if self.transposed is None:
            for part in self._map_blocks(lambda rows: flat[:, rows] @ self._rows(rows)):
                total += part  # in a fixed order, so that any number of threads gives the same bits
        else:
            for i in range(0, self.d, BLOCK_FEATURES):
                total[:, i : i + BLOCK_FEATURES] = flat @ self.transposed[i : i + BLOCK_FEATURES].T
        sums = flat.sum(axis=1, dtype=np.float64).reshape(p, k, 1)
        out: NDArray[np.float64] = (total.reshape(p, k, self.d) - sums * self.mean[:, None, :]) * self.scale[:, None, :]
        return out

    def _map_blocks(self, function: Callable[[slice], R]) -> list[R]:
        _ = self._ordered  # computed once, before the threads start
        return map_in_threads(function, self._blocks, self.threads)

    @cached_property
    def _used_as_given(self) -> bool:
        return self.order is None and self.X.dtype == self.dtype

    @cached_property
    def _blocks(self) -> list[slice]:
        step = self.n if self._used_as_given and self.transposed is None else BLOCK_ROWS
        starts = list(range(0, self.n, max(1, step)))
        if self.transposed is not None and len(starts) > 1:
            starts.pop()  # the last two blocks become one, because a product with few rows rounds differently
        return [slice(i, j) for i, j in zip(starts, [*starts[1:], self.n], strict=True)]

    @cached_property
    def _ordered(self) -> Float:
        """The rows in their order, converted if they are small."""
        if self._used_as_given:
            return self.X
        if self.n * self.d * np.dtype(self.dtype).itemsize <= MAX_CONVERTED_BYTES:
            return (self.X if self.order is None else self.X[self.order]).astype(self.dtype)
        return self.X if self.order is None else take(self.X, self.order)

    def _rows(self, rows: slice) -> Float:
        return self._ordered[rows].astype(self.dtype, copy=False)
