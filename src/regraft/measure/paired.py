"""Whether one classifier is better than another, measured photo by photo on the same photos, or fold by fold.

Most of the spread of a figure comes from how hard the photos are, and that is the same for both: paired differences are
several times sharper than two intervals laid side by side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.measure.intervals import Interval, figure, mean_interval, paired_proportions, student_t
from regraft.measure.metrics import Labels, checked, losses


@dataclass(frozen=True)
class Difference:
    """First minus second.

    Attributes:
        value: the difference; NaN without photos.
        n: on how many photos, or folds.
        standard_error: of the difference; infinite where one photo or fold says nothing about it.
        interval: 95 % interval, or None where the photos say nothing about it.
    """

    value: float
    n: int
    standard_error: float
    interval: Interval | None

    def as_dict(self) -> dict[str, Any]:
        """Return the figure as `metrics.json` holds figures, with its standard error; None for what is not finite."""
        out = figure(self.value if math.isfinite(self.value) else None, self.n, self.interval)
        return out | {"standard_error": self.standard_error if math.isfinite(self.standard_error) else None}


def accuracy_difference(first: NDArray[np.floating[Any]], second: NDArray[np.floating[Any]], y: Labels) -> Difference:
    """Return by how much the accuracy of ``first`` is above that of ``second``.

    Args:
        first: probabilities, shape (n, k).
        second: probabilities of the same photos, shape (n, k).
        y: true classes, shape (n,).
    """
    right, other = (_right(p, y) for p in (first, second))
    _same(right, other)
    both, only, lost = ((right & other).sum(), (right & ~other).sum(), (~right & other).sum())
    values = right.astype(np.float64) - other
    interval = paired_proportions(int(both), int(only), int(lost), int((~right & ~other).sum()))
    return Difference(_mean(values), len(values), standard_error(values), interval)


def log_loss_difference(first: NDArray[np.floating[Any]], second: NDArray[np.floating[Any]], y: Labels) -> Difference:
    """Return by how much the log-loss of ``first`` is above that of ``second``: positive if the second is better.

    Args:
        first: probabilities, shape (n, k).
        second: probabilities of the same photos, shape (n, k).
        y: true classes, shape (n,).
    """
    a, b = (losses(*checked(p, y)) for p in (first, second))
    _same(a, b)
    values = a - b
    interval = mean_interval(values, "log-loss difference", len(values))
    return Difference(_mean(values), len(values), standard_error(values), interval)


def across_folds(first: Sequence[float], second: Sequence[float], *, test_share: float | None = None) -> Difference:
    """Return the mean difference of a figure over the folds of a cross-validation, with Student's t interval.

    Models of different folds share most of their training photos, so that their figures are less independent than they
    look. The variance is corrected for that (Nadeau and Bengio 2003, "Inference for the generalization error",
    https://doi.org/10.1023/A:1024068626366).

    Args:
        first: figure of each fold.
        second: the same of the other classifier.
        test_share: test photos of a fold per training photo; ``1 / (folds - 1)`` if None.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    _same(a, b)
    n, values = len(a), a - b
    if n < 2:
        return Difference(_mean(values), n, math.inf, None)
    share = 1 / (n - 1) if test_share is None else test_share
    error = float(values.std(ddof=1)) * math.sqrt(1 / n + share)
    half = student_t(n - 1) * error
    value = _mean(values)
    return Difference(value, n, error, (value - half, value + half))


def standard_error(values: NDArray[np.float64]) -> float:
    """Return the standard error of the mean of ``values``, shape (n,); infinite for n < 2."""
    return float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.inf


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else math.nan


def _right(probabilities: NDArray[np.floating[Any]], y: Labels) -> NDArray[np.bool_]:
    p, labels = checked(probabilities, y)
    right: NDArray[np.bool_] = p.argmax(axis=1) == labels
    return right


def _same(a: NDArray[Any], b: NDArray[Any]) -> None:
    if a.shape != b.shape:
        raise ValueError(f"both must be measured on the same photos, but there are {len(a)} and {len(b)}")
