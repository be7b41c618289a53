"""Approximate nearest neighbors of many photos, by an index of faiss: cells of k-means, each search in some of them.

The exact search compares every photo with every other, which takes two minutes for 100,000 photos and hours for a
million. Photos that are nearly the same lie in the same cell or in neighboring ones; `benchmarks/near_copy_index.py`
counts those that the index finds. Johnson, Douze and Jégou 2017, "Billion-scale similarity search with GPUs",
https://arxiv.org/abs/1702.08734.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.process import cores
from regraft.text import counted

EXACT_ROWS = 100_000
"""Maximum number of photos that are compared exactly if the index is available."""

_CELLS_PER_ROOT = 4  # cells for the square root of the number of rows
_VISITED_SHARE = 20  # a search visits one of 20 cells
_ROWS_PER_CELL, _ITERATIONS = 20, 5  # of k-means
_BLOCK = 4096
_EXACT_SECONDS = 88.0  # of 100,000 rows on two processors


def is_installed() -> bool:
    """Return whether faiss is installed."""
    return find_spec("faiss") is not None


def is_approximate(rows: int) -> bool:
    """Return whether the neighbors of this many photos are searched by the index."""
    return rows > EXACT_ROWS and is_installed()


def exact_search_warning(rows: int) -> str | None:
    """Return a sentence on the time of the exact search if it is long and the index is not installed."""
    if rows <= EXACT_ROWS or is_installed():
        return None
    minutes = _EXACT_SECONDS * (rows / 100_000) ** 2 * 2 / cores() / 60
    return (
        f"comparing {counted(rows, 'photo')} with each other takes about {minutes:,.0f} min; "
        "an index takes a small part of that: pip install 'regraft[scale]'"
    )


def approximate_neighbours(unit: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return k neighbors of every row and their cosines, (n, k), int64 and (n, k), float32.

    The same rows give the same result with any number of threads.

    Args:
        unit: unit vectors, shape (n, w), float32, not necessarily in memory.
        k: number of neighbors; less than n.
    """
    import faiss

    n, width = unit.shape
    cells = int(_CELLS_PER_ROOT * np.sqrt(n))
    index: Any = faiss.IndexIVFFlat(faiss.IndexFlatIP(width), width, cells, faiss.METRIC_INNER_PRODUCT)
    index.cp.niter, index.cp.min_points_per_centroid = _ITERATIONS, 1
    index.nprobe = max(1, cells // _VISITED_SHARE)
    faiss.omp_set_num_threads(1)  # another number could give other cells
    some = np.arange(0, n, max(1, n // (_ROWS_PER_CELL * cells)))
    index.train(np.ascontiguousarray(unit[some]))
    faiss.omp_set_num_threads(cores())
    for first in range(0, n, _BLOCK):
        index.add(np.ascontiguousarray(unit[first : first + _BLOCK]))
    nearest, cosine = np.empty((n, k), np.int64), np.empty((n, k), np.float32)
    for first in range(0, n, _BLOCK):
        rows = np.arange(first, min(first + _BLOCK, n))
        products, where = index.search(np.ascontiguousarray(unit[first : first + _BLOCK]), k + 1)
        itself = where == rows[:, None]
        itself[~itself.any(axis=1), k] = True  # identical rows may have displaced the row itself
        nearest[rows], cosine[rows] = where[~itself].reshape(-1, k), products[~itself].reshape(-1, k)
    missing = nearest < 0  # fewer than k rows in the cells that were visited
    following = (np.arange(n)[:, None] + 1) % n
    return np.where(missing, following, nearest), np.where(missing, np.float32(-1), cosine)
