"""A small classification tree, for rules such as "photos wider than 700 pixels are all of one class".

The algorithm is CART with Gini impurity (Breiman et al. 1984, "Classification and Regression Trees"). It gives the same
predictions as scikit-learn's `DecisionTreeClassifier`, except for the choice between equally good splits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MIN_DIFFERENCE = 1e-7
"""Values that differ by less are not separated, as in scikit-learn."""


def tree_probabilities(
    X: NDArray[np.floating[Any]],
    y: NDArray[np.int64],
    X_new: NDArray[np.floating[Any]],
    classes: int,
    *,
    max_depth: int = 4,
    min_leaf: int = 10,
) -> NDArray[np.float64]:
    """Return class probabilities of new rows, shape (m, k): the shares of the classes in the leaf of each row.

    Args:
        X: features of the training rows, shape (n, d); they are compared in float32.
        y: class of each training row, shape (n,), in ``range(classes)``.
        X_new: features of the rows to predict, shape (m, d).
        classes: number of classes k.
        max_depth: largest number of splits above a leaf.
        min_leaf: smallest number of training rows in a leaf.
    """
    X, X_new = X.astype(np.float32), X_new.astype(np.float32)
    probabilities = np.tile(np.bincount(y, minlength=classes) / len(y), (len(X_new), 1))
    split = best_split(X, y, min_leaf) if max_depth > 0 else None
    if split is not None:
        feature, threshold = split
        low, low_new = X[:, feature] <= threshold, X_new[:, feature] <= threshold
        for rows, new_rows in ((low, low_new), (~low, ~low_new)):
            probabilities[new_rows] = tree_probabilities(
                X[rows], y[rows], X_new[new_rows], classes, max_depth=max_depth - 1, min_leaf=min_leaf
            )
    return probabilities


def best_split(X: NDArray[np.float32], y: NDArray[np.int64], min_leaf: int) -> tuple[int, float] | None:
    """Return the feature and the threshold with the lowest Gini impurity, or None if no split is allowed.

    A split divides the n rows into at least ``min_leaf`` with ``X[:, feature] <= threshold`` and at least ``min_leaf``
    above it. With n_c rows of class c, the impurity of N rows is ``N - sum(n_c^2) / N``.
    """
    n = len(y)
    if n < 2 * min_leaf or (y == y[0]).all():
        return None
    n_low = np.arange(1, n)
    best, best_purity = None, -np.inf
    for feature in range(X.shape[1]):
        order = np.argsort(X[:, feature], kind="stable")
        values, labels = X[order, feature].astype(np.float64), y[order]
        squares_low = np.cumsum(2 * _earlier_of_same_class(labels) + 1)[:-1]
        squares_high = np.cumsum(2 * _earlier_of_same_class(labels[::-1]) + 1)[:-1][::-1]
        purity = squares_low / n_low + squares_high / (n - n_low)
        allowed = (n_low >= min_leaf) & (n - n_low >= min_leaf) & (np.diff(values) > MIN_DIFFERENCE)
        if allowed.any():
            i = int(np.argmax(np.where(allowed, purity, -np.inf)))
            if purity[i] > best_purity:
                best, best_purity = (feature, values[i] / 2 + values[i + 1] / 2), purity[i]
    return best


def _earlier_of_same_class(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each entry the number of entries before it with the same label: (n,) -> (n,).

    The sum of squared class counts of the first entries grows by ``2 * earlier + 1`` with each entry.
    """
    order = np.argsort(labels, kind="stable")
    _, first, counts = np.unique(labels[order], return_index=True, return_counts=True)
    earlier = np.empty(len(labels), dtype=np.int64)
    earlier[order] = np.arange(len(labels)) - np.repeat(first, counts)
    return earlier
