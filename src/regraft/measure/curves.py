"""Curves of predicted probabilities: ROC, precision against recall, rank, accuracy against coverage, reliability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.measure.intervals import proportion, wilson
from regraft.measure.metrics import rank_of_true_class

MAX_POINTS = 100
"""Points of a curve; more would not be visible."""


@dataclass(frozen=True)
class ClassCurves:
    """One class against all others, by the probability of that class.

    Attributes:
        roc: (share of other photos, share of its photos) above each threshold, shape (m, 2).
        precision_recall: (recall, precision) at each threshold, shape (m, 2).
        auc: area under the ROC curve: the probability that a photo of the class gets a higher probability than another
            photo; ties count half.
        average_precision: mean precision, weighted by the rise of the recall.
        n: photos of the class.
    """

    roc: NDArray[np.float64]
    precision_recall: NDArray[np.float64]
    auc: float
    average_precision: float
    n: int


def class_curves(p: NDArray[np.floating[Any]], is_class: NDArray[np.bool_]) -> ClassCurves | None:
    """Return the curves of one class; None if all photos or none are of it.

    Args:
        p: probability of the class for each photo, shape (n,).
        is_class: whether the photo is of the class, shape (n,).
    """
    positives = int(is_class.sum())
    if positives in (0, len(p)):
        return None
    order = np.argsort(-p, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(p[order]) != 0, True))
    hits = np.cumsum(is_class[order])[ends]
    alarms = ends + 1 - hits
    recall, fall_out = hits / positives, alarms / (len(p) - positives)
    precision = hits / (ends + 1)
    roc = np.concatenate([[[0.0, 0.0]], np.stack([fall_out, recall], axis=1)])
    area = float(np.sum(np.diff(roc[:, 0]) * (roc[1:, 1] + roc[:-1, 1]) / 2))
    average = float(np.sum(np.diff(recall, prepend=0.0) * precision))
    return ClassCurves(thinned(roc), thinned(np.stack([recall, precision], axis=1)), area, average, positives)


def thinned(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return at most `MAX_POINTS` of the points of a curve, evenly spread, with the first and the last one."""
    if len(points) <= MAX_POINTS:
        return points
    return points[np.unique(np.linspace(0, len(points) - 1, MAX_POINTS).astype(np.int64))]


def rank_curve(p: NDArray[np.float64], y: NDArray[np.int64], ranks: int = 5) -> list[dict[str, Any]]:
    """Return the share of photos whose class is among the first 1, 2, … ``ranks`` predictions, with intervals."""
    rank = rank_of_true_class(p, y)
    return [proportion(int((rank < k).sum()), len(y)) for k in range(1, min(ranks, p.shape[1]) + 1)]


def coverage_curve(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return coverage, accuracy and its 95 % bounds of the surest photos, shape (m, 4), by rising coverage.

    Args:
        confidence: probability of the predicted class of each photo, shape (n,).
        right: whether the prediction is right, shape (n,).
    """
    order = np.argsort(-confidence, kind="stable")
    hits, n = np.cumsum(right[order]), len(right)
    counts = np.unique(np.linspace(min(n, 10), n, MAX_POINTS).astype(np.int64)) if n else np.zeros(0, np.int64)
    rows = [(k / n, hits[k - 1] / k, *wilson(int(hits[k - 1]), k)) for k in counts.tolist()]
    return np.array(rows).reshape(-1, 4)


def reliability_bins(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int = 10
) -> list[tuple[float, dict[str, Any]]]:
    """Return the mean probability and the accuracy (with interval) of photos in bins of equal width of probability."""
    number = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    rows = []
    for one in np.unique(number).tolist():
        inside = number == one
        rows.append((float(confidence[inside].mean()), proportion(int(right[inside].sum()), int(inside.sum()))))
    return rows
