"""Differences between two classifiers that were measured on the same photos.

Most of the variance of a figure comes from the difficulty of the photos, which is the same for both classifiers. So the
interval of a paired difference is several times narrower than a comparison of two separate intervals.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.measure.intervals import Interval, figure, mean_interval, paired_proportions
from regraft.measure.metrics import Labels, check_probabilities, log_losses


@dataclass(frozen=True)
class Difference:
    """A figure of the first classifier minus that of the second.

    Attributes:
        value: the difference; NaN without photos.
        n: number of photos.
        standard_error: standard error of the difference; infinite for fewer than two photos.
        interval: 95 % interval, or None if it is undefined.
    """

    value: float
    n: int
    standard_error: float
    interval: Interval | None

    def as_dict(self) -> dict[str, Any]:
        """Return the figure in the format of `metrics.json`, with its standard error; infinity and NaN become None."""
        out = figure(self.value if math.isfinite(self.value) else None, self.n, self.interval)
        return out | {"standard_error": self.standard_error if math.isfinite(self.standard_error) else None}


def accuracy_difference(first: NDArray[np.floating[Any]], second: NDArray[np.floating[Any]], y: Labels) -> Difference:
    """Return the accuracy of ``first`` minus that of ``second``.

    Args:
        first: probabilities, shape (n, k).
        second: probabilities of the same photos, shape (n, k).
        y: true classes, shape (n,).
    """
    a, b = (_is_right(p, y) for p in (first, second))
    both, only_first, only_second, neither = ((a & b).sum(), (a & ~b).sum(), (~a & b).sum(), (~a & ~b).sum())
    values = a.astype(np.float64) - b
    interval = paired_proportions(int(both), int(only_first), int(only_second), int(neither))
    return Difference(_mean(values), len(values), standard_error(values), interval)


def log_loss_difference(first: NDArray[np.floating[Any]], second: NDArray[np.floating[Any]], y: Labels) -> Difference:
    """Return the log-loss of ``first`` minus that of ``second``: positive if the second is better.

    Args:
        first: probabilities, shape (n, k).
        second: probabilities of the same photos, shape (n, k).
        y: true classes, shape (n,).
    """
    a, b = (log_losses(*check_probabilities(p, y)) for p in (first, second))
    values = a - b
    interval = mean_interval(values, "log-loss difference", len(values))
    return Difference(_mean(values), len(values), standard_error(values), interval)


def paired_gains(
    first: NDArray[np.floating[Any]], second: NDArray[np.floating[Any]], y: Labels
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what ``second`` gains over ``first`` in accuracy and in log-loss, and what each photo contributes.

    Args:
        first: probabilities, shape (n, k).
        second: probabilities of the same photos, shape (n, k).
        y: true classes, shape (n,), with n at least 1.

    Returns:
        The rise of the accuracy and the fall of the log-loss, shape (2,), and the covariance of both over photos,
        shape (2, 2); the covariance of the means is an n-th of it.
    """
    right = _is_right(second, y).astype(np.float64) - _is_right(first, y)
    loss_of_first, loss_of_second = (log_losses(*check_probabilities(p, y)) for p in (first, second))
    values = np.stack([right, loss_of_first - loss_of_second])
    mean: NDArray[np.float64] = values.mean(axis=1)
    return mean, np.cov(values, ddof=0)


def standard_error(values: NDArray[np.float64]) -> float:
    """Return the standard error of the mean of ``values``, shape (n,); infinite for n < 2."""
    return float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.inf


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else math.nan


def _is_right(probabilities: NDArray[np.floating[Any]], y: Labels) -> NDArray[np.bool_]:
    p, labels = check_probabilities(probabilities, y)
    right: NDArray[np.bool_] = p.argmax(axis=1) == labels
    return right
