"""The change of accuracy by a small change of a classifier, estimated from margins.

A classifier that is computed less precisely gives nearly the same answers. Of a few hundred photos none or one changes
its class, so that a count of them tells little. More is in the numbers: the margin of a photo is the logarithm of the
odds of its true class against the best other class, and the photo is right if it is above 0. Lower precision moves each
margin a little. How many photos lie near 0, and how far their margins move, give the expected change of accuracy.

The estimate smooths the count of margins above 0 with a logistic kernel (bandwidth of Silverman 1986, "Density
Estimation for Statistics and Data Analysis", section 3.4.2). So its interval has a width also if no photo changed its
class. It keeps each margin with its own movement, because small margins may move more than large ones, or less. The
interval is a bootstrap over photos.

Damage that hits fewer than about one photo in a hundred leaves no trace in a few hundred of them, and no interval can
exclude it. `benchmarks/keep_rule.py` measures what the estimate finds.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.measure.intervals import mean_interval
from regraft.measure.paired import Difference, standard_error

_MIN_PHOTOS = 20
_SMALLEST = 1e-12


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


def accuracy_change(before: NDArray[np.float64], moves: NDArray[np.float64], *key: str | int) -> Difference:
    """Return the expected accuracy after margins move, minus the accuracy before.

    Args:
        before: margins of photos that the classifier was not trained on, shape (n,).
        moves: changes of their margins, shape (n,).
        key: of the random numbers.

    Returns:
        The difference; without an interval if there are fewer than 20 photos.
    """
    if len(before) < _MIN_PHOTOS:
        return Difference(math.nan, len(before), math.inf, None)
    spread = min(float(before.std()), float(np.subtract(*np.percentile(before, [75, 25]))) / 1.34)
    scale = max(0.9 * spread * len(before) ** -0.2, 1e-9) * math.sqrt(3) / math.pi  # that of a logistic distribution
    gains = _logistic((before + moves) / scale) - _logistic(before / scale)
    interval = mean_interval(gains, "changed margins", *key)
    return Difference(float(gains.mean()), len(gains), standard_error(gains), interval)


def _logistic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.5 * (1 + np.tanh(x / 2)))
