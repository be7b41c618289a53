"""The change of accuracy by a small change of a classifier, estimated from margins.

A classifier that is computed less precisely gives nearly the same answers. Of a few hundred photos none or one changes
its class, so that a count of them tells little. More is in the numbers: the margin of a photo is the logarithm of the
odds of its true class against the best other class, and the photo is right if it is above 0. Lower precision moves each
margin a little. How many photos lie near 0, and how far margins move, give the expected change of accuracy.

The estimate assumes that the movement does not depend on the margin, and smooths the margins with a logistic kernel
(bandwidth of Silverman 1986, "Density Estimation for Statistics and Data Analysis", section 3.4.2). So its interval has
a width also if no photo changed its class. The interval is a bootstrap over photos.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.measure.intervals import interval_of_bootstrap_means
from regraft.measure.paired import Difference
from regraft.randomness import generator

_BOOTSTRAPS = 2000
_MIN_PHOTOS = 20
_SMALLEST = 1e-12
_CHUNK = 200


def margins(probabilities: NDArray[np.floating[Any]], y: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the logarithm of the odds of each photo's true class against its best other class, shape (n,).

    Args:
        probabilities: shape (n, k).
        y: true classes, shape (n,).
    """
    logs = np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), _SMALLEST))
    rows = np.arange(len(y))
    true = logs[rows, y].copy()
    logs[rows, y] = -np.inf
    return np.asarray(true - logs.max(axis=1))


def accuracy_change(usual: NDArray[np.float64], moves: NDArray[np.float64], *key: str | int) -> Difference:
    """Return the expected accuracy after margins move, minus the accuracy before.

    Args:
        usual: margins of photos that the classifier was not trained on, shape (n,).
        moves: changes of the margin of some photos, shape (m,); they may be other photos.
        key: of the random numbers.

    Returns:
        The difference; without an interval if there are fewer than 20 photos.
    """
    if min(len(usual), len(moves)) < _MIN_PHOTOS:
        return Difference(math.nan, len(usual), math.inf, None)
    spread = min(float(usual.std()), float(np.subtract(*np.percentile(usual, [75, 25]))) / 1.34)
    scale = max(0.9 * spread * len(usual) ** -0.2, 1e-9) * math.sqrt(3) / math.pi  # that of a logistic distribution
    gains = _logistic((usual[:, None] + moves[None, :]) / scale) - _logistic(usual / scale)[:, None]
    draws = generator("changed margins", *key)
    means = np.concatenate([_resampled(gains, draws) for _ in range(_BOOTSTRAPS // _CHUNK)])
    interval = interval_of_bootstrap_means(means, min(gains.shape))
    return Difference(float(gains.mean()), len(usual), float(means.std(ddof=1)), interval)


def _logistic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.5 * (1 + np.tanh(x / 2)))


def _resampled(gains: NDArray[np.float64], draws: np.random.Generator) -> NDArray[np.float64]:
    """Return the mean of ``gains`` for resampled rows and columns, `_CHUNK` times."""
    rows, columns = gains.shape
    weights = draws.multinomial(rows, np.full(rows, 1 / rows), size=_CHUNK) / rows
    moved = draws.multinomial(columns, np.full(columns, 1 / columns), size=_CHUNK) / columns
    return np.asarray(((weights @ gains) * moved).sum(axis=1))
