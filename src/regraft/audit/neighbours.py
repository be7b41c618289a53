"""Nearest neighbors of every photo by features, computed exactly in blocks of matrix products, or by an index."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from regraft.audit.approximate_neighbours import approximate_neighbours, is_approximate
from regraft.disk.row_table import new_table

PROJECTED_DIMENSIONS = 256
"""Number of principal directions onto which features are projected; the other directions add only noise."""

MIN_PHOTOS_TO_PROJECT = 4096
"""Maximum number of photos for which the projection takes longer than it saves."""

_PCA_SAMPLE, _SUM_BATCH = 20_000, 2048
_BLOCK, _COLUMNS = 1024, 4096


@dataclass(frozen=True)
class Neighbours:
    """The k nearest neighbors of each photo.

    Attributes:
        index: positions of the neighbors, the nearest first, shape (n, k), int64.
        cosine: cosine similarity of the centered features, shape (n, k), float32.
    """

    index: NDArray[np.int64]
    cosine: NDArray[np.float32]

    def pairs(self) -> NDArray[np.int64]:
        """Return each pair once, the smaller position first, shape (m, 2), int64, sorted."""
        n, k = self.index.shape
        photo, other = np.repeat(np.arange(n), k), self.index.ravel()
        code = np.unique(np.minimum(photo, other) * n + np.maximum(photo, other))
        return np.stack(np.divmod(code, max(n, 1)), axis=1)


def nearest_neighbours(features: NDArray[np.float32], k: int, rows: NDArray[np.int64] | None = None) -> Neighbours:
    """Return the ``k`` nearest neighbors of every row (fewer if there are fewer rows).

    Up to `EXACT_ROWS` photos, and without faiss, the search is exact. Its time grows with n²: about a second for 10,000
    photos and two minutes for 100,000 on two cores. Apart from the result, memory is bounded. Beyond, an index in the
    memory searches, see `regraft.audit.approximate_neighbours`.

    Args:
        features: shape (n, d), float32.
        k: number of neighbors.
        rows: the rows to search, shape (n',), int64; positions in the result refer to it. All rows if None.
    """
    rows = np.arange(len(features)) if rows is None else rows
    n = len(rows)
    k = max(0, min(k, n - 1))
    index, cosine = np.zeros((n, k), dtype=np.int64), np.zeros((n, k), dtype=np.float32)
    if k:
        unit = _unit_vectors(features, rows)
        if is_approximate(n):
            return Neighbours(*approximate_neighbours(unit, k))
        for i in range(0, n, _BLOCK):
            _block(unit, i, k, index, cosine)
    return Neighbours(index, cosine)


def _block(
    unit: NDArray[np.float32], start: int, k: int, index: NDArray[np.int64], cosine: NDArray[np.float32]
) -> None:
    """Fill a block of rows of the result, comparing one block of columns at a time to bound memory."""
    rows = torch.from_numpy(np.array(unit[start : start + _BLOCK]))
    best, where = torch.full((len(rows), 0), 0.0), torch.zeros((len(rows), 0), dtype=torch.int64)
    for j in range(0, len(unit), _COLUMNS):
        products = rows @ torch.from_numpy(unit[j : j + _COLUMNS]).T
        itself = torch.arange(len(rows)) + start - j
        inside = (itself >= 0) & (itself < products.shape[1])
        products[torch.arange(len(rows))[inside], itself[inside]] = -2.0
        value, column = products.topk(min(k, products.shape[1]), dim=1)
        best, where = torch.cat([best, value], dim=1), torch.cat([where, column + j], dim=1)
        best, order = best.topk(min(k, best.shape[1]), dim=1)
        where = where.gather(1, order)
    index[start : start + len(rows)], cosine[start : start + len(rows)] = where.numpy(), best.numpy()


def _unit_vectors(features: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return unit vectors, shape (n, w), float32: centered and projected onto the leading principal directions."""
    n, d = len(rows), features.shape[1]
    some = rows[:: max(1, n // _PCA_SAMPLE)]
    mean = _mean(features, some)
    basis = None
    if d > PROJECTED_DIMENSIONS and n > MIN_PHOTOS_TO_PROJECT:
        _, vectors = torch.linalg.eigh(_scatter_matrix(features, some, mean))  # may not converge in single precision
        basis = vectors[:, -PROJECTED_DIMENSIONS:].float()
    out = new_table(n, d if basis is None else PROJECTED_DIMENSIONS)
    for i in range(0, n, _BLOCK):
        block = torch.from_numpy(features[rows[i : i + _BLOCK]] - mean)
        out[i : i + _BLOCK] = torch.nn.functional.normalize(block if basis is None else block @ basis, dim=1).numpy()
    return out


def _mean(features: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    total = np.zeros(features.shape[1])
    for i in range(0, len(rows), _SUM_BATCH):
        total += features[rows[i : i + _SUM_BATCH]].sum(axis=0, dtype=np.float64)
    mean: NDArray[np.float32] = (total / len(rows)).astype(np.float32)
    return mean


def _scatter_matrix(features: NDArray[np.float32], rows: NDArray[np.int64], mean: NDArray[np.float32]) -> torch.Tensor:
    """Return the sum of the outer products of the centered rows, shape (d, d), float64."""
    total = torch.zeros((features.shape[1],) * 2, dtype=torch.float64)
    for i in range(0, len(rows), _SUM_BATCH):
        centred = torch.from_numpy(features[rows[i : i + _SUM_BATCH]] - mean)
        total += centred.T @ centred
    return total
