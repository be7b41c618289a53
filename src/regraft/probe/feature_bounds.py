"""Range of each feature on training photos, widened: the bounds to which features are clipped at prediction.

A photo unlike the training photos can have a feature far outside their range. A linear classifier counts it in
proportion, however little its weight is known there. With few photos a class such features cost accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regraft.probe.feature_matrix import BLOCK_ROWS, Float
from regraft.probe.folds import Folds

RANGE_FACTOR = 1.5
"""Width of the bounds in units of the range on the training photos; both have the same center."""


@dataclass(frozen=True)
class FeatureBounds:
    """Lowest and highest value of each feature at prediction.

    Attributes:
        lower: shape (d,), float32.
        upper: shape (d,), float32.
    """

    lower: NDArray[np.float32]
    upper: NDArray[np.float32]

    def clip(self, X: Float) -> Float:
        """Return features, shape (n, d), with values outside the bounds replaced by the nearest bound."""
        clipped: Float = np.clip(X, self.lower, self.upper)
        return clipped


@dataclass(frozen=True)
class FoldRanges:
    """Lowest and highest value of each feature in each fold.

    Attributes:
        lowest: shape (folds, d), in the precision of the features.
        highest: shape (folds, d).
    """

    lowest: Float
    highest: Float

    @classmethod
    def of(cls, X: Float, order: NDArray[np.int64], folds: Folds) -> FoldRanges:
        """Return the ranges of the rows ``order`` of ``X``, whose folds are ``folds``."""
        shape = (max(1, folds.count), X.shape[1])
        lowest, highest = np.full(shape, np.inf, X.dtype), np.full(shape, -np.inf, X.dtype)
        for fold in range(shape[0]):
            rows = order[folds.fold_of_row == fold]
            for i in range(0, len(rows), BLOCK_ROWS):
                block = X[rows[i : i + BLOCK_ROWS]]
                np.minimum(lowest[fold], block.min(axis=0), out=lowest[fold])
                np.maximum(highest[fold], block.max(axis=0), out=highest[fold])
        return cls(lowest, highest)

    def bounds(self, without: int | None = None) -> FeatureBounds:
        """Return the bounds for a model fitted on all folds, or on all but the fold ``without``."""
        included = [fold for fold in range(len(self.lowest)) if fold != without]
        lowest = self.lowest[included].min(axis=0).astype(np.float64)
        highest = self.highest[included].max(axis=0).astype(np.float64)
        center, reach = (lowest + highest) / 2, RANGE_FACTOR * (highest - lowest) / 2
        return FeatureBounds((center - reach).astype(np.float32), (center + reach).astype(np.float32))
