"""One logistic regression over rows that are read block by block: loss and gradient take one pass, memory one block.

The blocks of a wave are computed in threads, and their results are added in the order of the rows. So any number of
threads gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from regraft.probe.feature_matrix import FeatureMatrix, Float, map_in_threads
from regraft.probe.logistic_problems import LogisticProblems, Point

ROWS = 2048
"""Rows in a block. A block of 1,280 features takes about 40 megabytes while it is used."""

R = TypeVar("R")


class FeatureRows(Protocol):
    """Interface of rows of features that are not in memory; threads may read them at once."""

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows n and of features d."""

    def read(self, rows: slice) -> Float:
        """Return some rows, shape (len, d), floating; the same rows each time."""


@dataclass(frozen=True)
class ArrayRows:
    """Rows of an array, or of a table in a file.

    Attributes:
        values: shape (n, d), floating.
    """

    values: Float

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows n and of features d."""
        n, d = self.values.shape
        return n, d

    def read(self, rows: slice) -> Float:
        """Return some rows, shape (len, d)."""
        return np.asarray(self.values[rows])


@dataclass(frozen=True)
class Moments:
    """Sums over all rows.

    Attributes:
        mean: mean of each feature, shape (d,), float64.
        covariance: covariance of the features, shape (d, d), float64.
    """

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]

    @property
    def deviation(self) -> NDArray[np.float64]:
        """Standard deviation of each feature, shape (d,)."""
        return np.sqrt(np.maximum(np.diagonal(self.covariance), 0.0))


@dataclass(frozen=True)
class Evaluation:
    """The loss at a point, and its gradient.

    Attributes:
        loss: weighted sum of the losses.
        weight: gradient by the weights of standardized features, shape (k, d).
        bias: gradient by the biases, shape (k,).
    """

    loss: float
    weight: NDArray[np.float64]
    bias: NDArray[np.float64]


@dataclass(frozen=True)
class StreamedProblem:
    """A logistic regression on standardized rows: ``z = (x - mean) * scale``.

    Attributes:
        rows: the features.
        y: class of each row, shape (n,); every class occurs.
        sample_weight: weight of each row, shape (n,).
        classes: number of classes k.
        mean: values that are subtracted, shape (d,).
        scale: factors, shape (d,).
        threads: number of blocks that are computed at once.
    """

    rows: FeatureRows
    y: NDArray[np.int64]
    sample_weight: NDArray[np.float64]
    classes: int
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    threads: int

    @property
    def totals(self) -> NDArray[np.float64]:
        """Total weight of each class, shape (k,)."""
        return np.bincount(self.y, self.sample_weight, self.classes).astype(np.float64)

    def evaluate(self, weight: NDArray[np.float64], bias: NDArray[np.float64]) -> Evaluation:
        """Return loss and gradient at weights (k, d) and biases (k,), by one pass over the rows."""
        point, present = Point(weight[None], bias[None]), np.ones((1, self.classes), dtype=bool)

        def of_block(rows: slice) -> Evaluation:
            X = self.rows.read(rows).astype(np.float64)
            matrix = FeatureMatrix(X, self.mean[None], self.scale[None], np.float64)
            problem = LogisticProblems(matrix, self.y[rows], self.sample_weight[rows][None], present)
            loss, residual = problem.loss_and_residual(problem.logits(point), np.zeros(1, np.int64))
            return Evaluation(float(loss[0]), matrix.gradient(residual)[0], residual[0].sum(axis=1, dtype=np.float64))

        loss, by_weight, by_bias = 0.0, np.zeros(weight.shape), np.zeros(bias.shape)
        for part in _in_waves(of_block, self.rows.shape[0], self.threads):
            loss += part.loss
            by_weight += part.weight
            by_bias += part.bias
        return Evaluation(loss, by_weight, by_bias)


def moments_of(rows: FeatureRows, threads: int) -> Moments:
    """Return mean and covariance of all rows by one pass, exact to the rounding of float64.

    The rows of the first block decide an offset, so that a large mean costs no precision.
    """
    n, d = rows.shape
    offset = rows.read(slice(0, min(n, ROWS))).mean(axis=0, dtype=np.float64)

    def of_block(some: slice) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        X = rows.read(some) - offset
        return X.sum(axis=0), X.T @ X

    total, products = np.zeros(d), np.zeros((d, d))
    for sums, squares in _in_waves(of_block, n, threads):
        total += sums
        products += squares
    mean = total / n
    return Moments(offset + mean, products / n - np.outer(mean, mean))


def _in_waves(function: Callable[[slice], R], n: int, threads: int) -> Iterator[R]:
    """Yield ``function(rows)`` for each block, in order; as many blocks as threads are in memory at once."""
    blocks = [slice(first, min(first + ROWS, n)) for first in range(0, n, ROWS)]
    for first in range(0, len(blocks), max(1, threads)):
        yield from map_in_threads(function, blocks[first : first + max(1, threads)], threads)
