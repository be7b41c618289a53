"""Cross-validation in blocks: each photo is predicted without the photos that come just before and after it.

Photos that were taken one after another often show the same person, plant or afternoon. With random folds, the model
has then seen the subject of the photo that it predicts. Blocks of consecutive photos keep most subjects in one block,
and leaving out the neighboring blocks too keeps out the rest (Roberts et al. 2017, "Cross-validation strategies for
data with temporal, spatial, hierarchical, or phylogenetic structure", https://doi.org/10.1111/ecog.02881).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regraft.probe.feature_matrix import FeatureMatrix, Float, single_threaded_blas
from regraft.probe.lbfgs import LbfgsHistory, minimize
from regraft.probe.logistic_problems import LogisticProblems, prior_point
from regraft.probe.scaling import center_features
from regraft.probe.solver import MAX_PAIRS

BLOCKS = 10
"""Blocks of each class."""

TOLERANCE = 1e-2
"""Bound on the relative distance to the optimum, as in the search for the regularization."""

MAX_ITERATIONS = 200
"""Iteration limit of a fit; the comparison of two orders does not need the last digit."""

MAX_C = 0.1
"""Weakest regularization of these fits; weaker ones take several times as long, and compare in the same way."""


@dataclass(frozen=True)
class BlockTest:
    """Photos for cross-validation in blocks.

    Attributes:
        X: features, shape (n, d).
        y: class of each photo, shape (n,).
        units: number of each photo's unit, shape (n,); photos of one unit are never on both sides.
        C: regularization.
    """

    X: Float
    y: NDArray[np.int64]
    units: NDArray[np.int64]
    C: float

    def correct(self, block: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return for each photo whether the model without its block and the two next to it is right, shape (n,).

        Args:
            block: number of the block of each photo, shape (n,), in ``range(BLOCKS)``.
        """
        return np.asarray(self.held_out_logits(block).argmax(axis=1) == self.y)

    def held_out_logits(self, block: NDArray[np.int64]) -> Float:
        """Return the logits of each photo in the model without its block and the two next to it, shape (n, k).

        Args:
            block: number of the block of each photo, shape (n,), in ``range(BLOCKS)``.
        """
        tested = block[None] == np.arange(BLOCKS)[:, None]
        left_out = np.abs(block[None] - np.arange(BLOCKS)[:, None]) <= 1
        same_unit = [np.isin(self.units, self.units[rows]) for rows in tested]
        left_out |= np.stack(same_unit)
        return self._fitted_logits((~left_out).astype(np.float64))[block, :, np.arange(len(self.y))]

    def _fitted_logits(self, sample_weight: NDArray[np.float64]) -> Float:
        """Return the logits of all photos in the models of ``sample_weight``, shape (p, n), as (p, k, n)."""
        centered = center_features(self.X, np.arange(len(self.y)))
        models, shape = len(sample_weight), (len(sample_weight), centered.values.shape[1])
        scale = centered.scales(np.maximum(np.abs(centered.origin), centered.unit)[None], centered.unit[None])
        scales = np.broadcast_to(scale * centered.unit, shape)
        features = FeatureMatrix(centered.values, np.zeros(shape), scales, np.float32, transposed=centered.transposed)
        classes = int(self.y.max()) + 1
        problems = LogisticProblems.from_sample_weights(features, self.y, sample_weight, classes)
        size = classes * (shape[1] + 1)
        history = LbfgsHistory(models, size, max(3, min(MAX_PAIRS, (256 << 20) // (8 * size * models))), np.float32)
        with single_threaded_blas():
            start = prior_point(problems)
            return minimize(problems, min(self.C, MAX_C), start, history, TOLERANCE, MAX_ITERATIONS).logits


def consecutive_blocks(order: Sequence[int], y: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the block of each photo, shape (n,): the photos of each class in ``order``, cut into equal parts.

    Args:
        order: positions of all photos.
        y: class of each photo, shape (n,).
    """
    block = np.zeros(len(y), dtype=np.int64)
    ordered = np.asarray(order, dtype=np.int64)
    for c in np.unique(y):
        rows = ordered[y[ordered] == c]
        block[rows] = np.arange(len(rows)) * BLOCKS // len(rows)
    return block
