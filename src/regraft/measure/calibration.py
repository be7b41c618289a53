"""Whether a probability means what it says: of photos predicted with 80 %, four in five should be right."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.measure.intervals import NO_PHOTOS, ONE_PHOTO, RESAMPLES, figure
from regraft.randomness import generator

BINS = 15


def calibration_error(gaps: NDArray[np.float64], resampled: NDArray[np.float64]) -> dict[str, Any]:
    """Return the expected calibration error of the predicted class, with its 95 % interval.

    Guo et al. 2017, https://arxiv.org/abs/1706.04599: photos are put into 15 bins of equal width by the probability
    of their predicted class, the upper edge included; the error is the mean distance between a bin's accuracy and its
    mean probability. On few photos it is too high, because chance alone makes a distance; so are its bootstrap
    resamples. The interval is therefore reflected around the value (Davison and Hinkley 1997, "Bootstrap Methods",
    section 5.2), which takes that excess out, and is widened to hold the value itself. It begins at zero where a
    classifier whose probabilities are exact would reach the value by chance (Vaicenavicius et al. 2019,
    https://arxiv.org/abs/1902.06977).

    Args:
        gaps: what `gaps_of` returns, shape (n, 15).
        resampled: sums of ``gaps`` in bootstrap samples, shape (resamples, 15).
    """
    n = len(gaps)
    if n == 0:
        return figure(None, 0, None, NO_PHOTOS)
    value = float(np.abs(gaps.sum(axis=0)).sum() / n)
    if n == 1:
        return figure(value, 1, None, ONE_PHOTO)
    resampled = np.abs(resampled).sum(axis=1) / n
    low, high = 2 * value - np.quantile(resampled, [0.975, 0.025])
    if value <= np.quantile(_of_exact(gaps), 0.975):
        low = 0.0
    return figure(value, n, (max(0.0, min(float(low), value)), min(1.0, max(float(high), value))))


def gaps_of(p: NDArray[np.float64], y: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (right - probability) of each photo in the column of its bin, zero elsewhere: (n, k), (n,) -> (n, 15)."""
    if not len(y):
        return np.zeros((0, BINS))
    predicted = p.argmax(axis=1)
    confidence = p[np.arange(len(y)), predicted]
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    out = np.zeros((len(y), BINS))
    out[np.arange(len(y)), bins] = (predicted == y) - confidence
    return out


def _of_exact(gaps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return calibration errors, shape (resamples,), that classifiers with these probabilities have when all are exact.

    A gap is 1 - c or -c for a probability c; either way |gap| (1 - |gap|) is the variance of being right.
    """
    spread = np.sqrt((np.abs(gaps) * (1 - np.abs(gaps))).sum(axis=0))
    chance = generator("calibration", len(gaps)).standard_normal((RESAMPLES, BINS)) * spread
    errors: NDArray[np.float64] = np.abs(chance).sum(axis=1) / len(gaps)
    return errors


def at_best_temperature(probabilities: NDArray[np.floating[Any]], y: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Return ``probabilities`` at the temperature between 1/10 and 10 that gives them the lowest log-loss.

    Two classifiers can then be compared by what they know, however sure of it they are (Guo et al. 2017,
    https://arxiv.org/abs/1706.04599, section 4.2). The one number fitted makes both look alike a little too good.

    Args:
        probabilities: shape (n, k).
        y: true classes, shape (n,).
    """
    logits = np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), np.finfo(np.float64).tiny))
    rows = np.arange(len(logits))

    def scaled(temperature: float) -> NDArray[np.float64]:
        hot = logits / temperature
        hot = np.exp(hot - hot.max(axis=1, keepdims=True))
        return np.asarray(hot / hot.sum(axis=1, keepdims=True), dtype=np.float64)

    def loss(temperature: float) -> float:
        return float(-np.log(np.maximum(scaled(temperature)[rows, y], np.finfo(np.float64).eps)).mean())

    return scaled(min(np.logspace(-1, 1, 81).tolist(), key=loss)) if len(rows) else scaled(1.0)
