"""The depth profile of a network: the share of the labels that a linear model of each depth explains, out of fold.

Where the photos are like those of the pretraining, the top layer explains most. Where they are unlike them, a lower
block does, because its features are more general (Yosinski et al. 2014, https://arxiv.org/abs/1411.1792). So the
profile measures similarity. Ridge regression on the labels as zeros and ones has a closed form in the products of all
pairs of photos, and takes a fraction of a second for some hundred photos.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regraft.probe.depth_probe import SCALES
from regraft.probe.feature_matrix import Float
from regraft.probe.folds import make_folds
from regraft.probe.scaling import feature_scales

PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0)
"""Penalties to choose from, as shares of the largest eigenvalue that equal features would have."""


@dataclass(frozen=True)
class DepthProfile:
    """The depth profile of a network on some photos.

    Attributes:
        explained: share of the variance of the labels that each depth explains out of fold, at its best penalty; one
            for each lower block, bottom to top, and last that of the top layer. It is 1 for a perfect model, and 0 or
            less for one that is no better than the shares of the classes.
        joint: what all depths explain together, at the best scale of the lower blocks.
        photos: number of photos.
    """

    explained: tuple[float, ...]
    joint: float
    photos: int

    @property
    def top(self) -> float:
        """Share of the classes that the top layer explains."""
        return self.explained[-1]

    @property
    def best_lower(self) -> int:
        """Number of the lower block that explains most; 0 is the lowest."""
        return int(np.argmax(self.explained[:-1]))

    @property
    def lead_of_top(self) -> float:
        """Share that the top layer explains, minus that of the best lower block: low for unlike photos."""
        return self.top - self.explained[self.best_lower]

    @property
    def added_by_lower(self) -> float:
        """Share of what the top layer leaves unexplained that all depths together explain."""
        return (self.joint - self.top) / max(1 - self.top, 0.01)


def depth_profile(
    depths: Sequence[Float],
    y: NDArray[np.int64],
    *,
    classes: int,
    groups: Sequence[Hashable] | None = None,
    keys: Sequence[str],
    seed: int = 0,
) -> DepthProfile:
    """Return the depth profile of a network.

    Args:
        depths: features of each lower block, bottom to top, and last of the top layer; shapes (n, d).
        y: class of each row, shape (n,), in ``range(classes)``.
        classes: number of classes.
        groups: group of each row; all rows of a group are in one fold.
        keys: identifier of each row.
        seed: another seed gives other folds.

    Raises:
        ValueError: no row can be held out, because all rows are one group.

    Example:
        >>> y = np.arange(20) % 2
        >>> noise = np.random.default_rng(0).normal(size=(20, 3))
        >>> profile = depth_profile([noise, np.eye(2)[y]], y, classes=2, keys=[str(i) for i in range(20)])
        >>> profile.top > 0.9 > profile.explained[0]
        True
    """
    folds = make_folds(y, list(keys), groups, seed=seed)
    if folds.count < 2:
        raise ValueError("expected rows of two groups or more, found one group: no row can be held out")
    targets = np.eye(classes)[y]
    *lower, top = (_products(np.asarray(X, dtype=np.float64)) for X in depths)
    explained = [_explained(products, targets, folds.fold_of_row) for products in (*lower, top)]
    below = np.sum(lower, axis=0) if lower else np.zeros_like(top)
    joint = max(_explained(top + scale**2 * below, targets, folds.fold_of_row) for scale in SCALES)
    return DepthProfile(tuple(explained), joint, len(y))


def _explained(products: NDArray[np.float64], targets: NDArray[np.float64], fold: NDArray[np.int64]) -> float:
    """Return the share of the variance of ``targets`` that ridge regression explains out of fold.

    Args:
        products: products of all pairs of rows of features, shape (n, n).
        targets: shape (n, k).
        fold: fold of each row, shape (n,).
    """
    wrong, total = np.zeros(len(PENALTIES)), 0.0
    for number in range(int(fold.max()) + 1):
        held_out, fitted = fold == number, fold != number
        mean = targets[fitted].mean(axis=0)
        values, vectors = np.linalg.eigh(products[np.ix_(fitted, fitted)])
        coordinates = vectors.T @ (targets[fitted] - mean)
        across = products[np.ix_(held_out, fitted)] @ vectors
        size = float(np.maximum(values, 0).sum())
        for i, penalty in enumerate(PENALTIES):
            predicted = mean + across @ (coordinates / (np.maximum(values, 0) + penalty * size)[:, None])
            wrong[i] += float(((targets[held_out] - predicted) ** 2).sum())
        total += float(((targets[held_out] - mean) ** 2).sum())
    return 1.0 - float(wrong.min()) / max(total, np.finfo(np.float64).tiny)


def _products(X: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the products of all pairs of standardized rows, shape (n, n)."""
    mean, deviation = X.mean(axis=0), X.std(axis=0)
    standardized = (X - mean) * feature_scales(np.abs(mean)[None], deviation[None])[0]
    products: NDArray[np.float64] = standardized @ standardized.T
    return products
