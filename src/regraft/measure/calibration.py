"""Calibration of probabilities: of the photos predicted with 80 %, four in five should be right."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.measure.intervals import NO_PHOTOS, ONE_PHOTO, RESAMPLES, figure
from regraft.randomness import generator

BINS = 15


def calibration_error(gaps: NDArray[np.float64], resampled: NDArray[np.float64]) -> dict[str, Any]:
    """Return the expected calibration error of the predicted class, with its 95 % interval.

    Guo et al. 2017, https://arxiv.org/abs/1706.04599: photos are divided into 15 bins of equal width by the probability
    of their predicted class, the upper edge included. The error is the mean distance between a bin's accuracy and its
    mean probability. It is too high for few photos, because chance alone causes a distance; so are its bootstrap
    samples. The interval is therefore reflected around the value (Davison and Hinkley 1997, "Bootstrap Methods",
    section 5.2), which removes that excess, and is extended to include the value itself. It starts at zero if a
    classifier with exact probabilities could reach the value by chance (Vaicenavicius et al. 2019,
    https://arxiv.org/abs/1902.06977).

    Args:
        gaps: result of `confidence_gaps`, shape (n, 15).
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
    if value <= np.quantile(_errors_of_exact_classifiers(gaps), 0.975):
        low = 0.0
    return figure(value, n, (max(0.0, min(float(low), value)), min(1.0, max(float(high), value))))


def confidence_gaps(p: NDArray[np.float64], y: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return ``correct - probability`` of each photo in the column of its bin: (n, k), (n,) -> (n, 15)."""
    if not len(y):
        return np.zeros((0, BINS))
    predicted = p.argmax(axis=1)
    confidence = p[np.arange(len(y)), predicted]
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    out = np.zeros((len(y), BINS))
    out[np.arange(len(y)), bins] = (predicted == y) - confidence
    return out


def _errors_of_exact_classifiers(gaps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return calibration errors by chance, shape (resamples,), of classifiers whose probabilities are exact.

    A gap is 1 - c or -c for a probability c. In both cases |gap| (1 - |gap|) is the variance of being correct.
    """
    spread = np.sqrt((np.abs(gaps) * (1 - np.abs(gaps))).sum(axis=0))
    chance = generator("calibration", len(gaps)).standard_normal((RESAMPLES, BINS)) * spread
    errors: NDArray[np.float64] = np.abs(chance).sum(axis=1) / len(gaps)
    return errors


def at_best_temperature(probabilities: NDArray[np.floating[Any]], y: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Return ``probabilities`` at the temperature between 1/10 and 10 that has the lowest log-loss.

    This compares two classifiers without their over- or underconfidence (Guo et al. 2017,
    https://arxiv.org/abs/1706.04599, section 4.2). The temperature is fitted to the same photos, so the results of both
    are equally slightly optimistic.

    Args:
        probabilities: shape (n, k).
        y: true classes, shape (n,).
    """
    logits = np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), np.finfo(np.float64).tiny))
    rows = np.arange(len(logits))

    def scaled(temperature: float) -> NDArray[np.float64]:
        exponents = logits / temperature
        powers = np.exp(exponents - exponents.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float64)

    def loss(temperature: float) -> float:
        return float(-np.log(np.maximum(scaled(temperature)[rows, y], np.finfo(np.float64).eps)).mean())

    return scaled(min(np.logspace(-1, 1, 81).tolist(), key=loss)) if len(rows) else scaled(1.0)
