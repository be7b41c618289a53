"""Figures of a classifier on labeled photos, each with its 95 % interval and its number of photos."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.measure.calibration import calibration_error, confidence_gaps
from regraft.measure.intervals import (
    NO_PHOTOS,
    ONE_PHOTO,
    bootstrap_sums,
    figure,
    interval_of_bootstrap_means,
    mean_of_proportions,
    proportion,
    wilson,
)

MIN_PROBABILITY = float(np.finfo(np.float64).eps)
"""Lower bound on probabilities in log-losses, as in scikit-learn; the loss is then at most 36."""

MAX_LISTED = 10
"""Length of the lists of the most confused pairs and of the weakest classes."""

Labels = NDArray[np.integer[Any]] | Sequence[int]


def classification_report(
    probabilities: NDArray[np.floating[Any]],
    y: Labels,
    classes: Sequence[str],
    *,
    largest: str | None = None,
    top: Sequence[int] = (),
) -> dict[str, Any]:
    """Return all figures of predicted probabilities.

    Args:
        probabilities: probability of each class for each photo, shape (n, k), floating; rows sum to 1.
        y: true class of each photo, shape (n,), integers in ``range(k)``. Classes without photos are allowed.
        classes: names of the k classes.
        largest: class with the most training photos; if None, the one with the most photos here.
        top: additional k for ``top_k``, at least 1 each.

    Returns:
        A dict of plain JSON values without NaN. A figure is ``{"value", "n", "interval": [low, high]}`` with a 95 %
        interval. An undefined value or interval is None, and ``"why"`` gives the reason. The keys are ``accuracy``,
        ``balanced_accuracy`` (mean recall of the classes that have photos), ``log_loss``,
        ``calibration_error``, ``top_k`` (``{"2": figure, "5": figure}``; 5 for more than 5 classes), ``largest_class``,
        ``per_class`` (a list in the order of ``classes``: label, precision, recall, f1, support), ``confusion``
        (``labels`` and ``counts``: rows are true, columns predicted), ``most_confused``, ``weakest``.

    Raises:
        ValueError: a shape or a value is invalid.
    """
    p, labels = check_probabilities(probabilities, y, len(classes))
    predicted = p.argmax(axis=1) if len(p) else np.zeros(0, dtype=np.int64)
    counts = confusion_counts(labels, predicted, len(classes))
    loss, gaps = log_losses(p, labels), confidence_gaps(p, labels)
    resampled = bootstrap_sums(np.column_stack([loss, gaps]), "report", len(labels))
    return {
        "accuracy": proportion(int(np.trace(counts)), len(labels)),
        "balanced_accuracy": _balanced(counts),
        "log_loss": _log_loss(loss, resampled[:, 0]),
        "calibration_error": calibration_error(gaps, resampled[:, 1:]),
        "top_k": _top_k(p, labels, top),
        "largest_class": _largest(labels, classes, largest),
        "per_class": per_class(counts, classes),
        "confusion": {"labels": list(classes), "counts": counts.tolist()},
        "most_confused": most_confused(counts, classes),
        "weakest": weakest(counts, classes),
    }


def check_probabilities(
    probabilities: NDArray[np.floating[Any]], y: Labels, classes: int | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return probabilities as float64 and labels as int64, if they are valid.

    Raises:
        ValueError: a shape or a value is invalid.
    """
    p, labels = np.asarray(probabilities, dtype=np.float64), np.asarray(y)
    if p.ndim != 2 or p.shape[1] != (p.shape[1] if classes is None else classes) or not p.shape[1]:
        raise ValueError(f"probabilities must be of shape (n, {classes or 'k'}), not {p.shape}")
    if labels.shape != (len(p),) or not (np.issubdtype(labels.dtype, np.integer) or not len(labels)):
        raise ValueError(f"y must be integer and of shape ({len(p)},), not {labels.dtype} of shape {labels.shape}")
    if len(labels) and not (labels.min() >= 0 and labels.max() < p.shape[1]):
        raise ValueError(f"y must be in 0 to {p.shape[1] - 1}, but contains {labels.min()} to {labels.max()}")
    bad = np.flatnonzero(~np.isfinite(p).all(axis=1) | (np.abs(p.sum(axis=1) - 1) > 1e-3) | (p < 0).any(axis=1))
    if len(bad):
        raise ValueError(f"probabilities must be finite, not negative and sum to 1, but row {bad[0]} is {p[bad[0]]}")
    return p, labels.astype(np.int64)


def log_losses(p: NDArray[np.float64], y: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the log-loss of each photo: (n, k), (n,) -> (n,)."""
    return -np.log(np.clip(p[np.arange(len(y)), y], MIN_PROBABILITY, 1.0))


def rank_of_true_class(p: NDArray[np.float64], y: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rank of the true class by probability, 0 for the highest; in a tie the lower class is first: (n,)."""
    p_true = p[np.arange(len(y)), y][:, None]
    before = np.arange(p.shape[1])[None, :] < y[:, None]
    rank: NDArray[np.int64] = ((p > p_true) | ((p == p_true) & before)).sum(axis=1)
    return rank


def confusion_counts(y: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Return the confusion matrix: photos of each true class (rows) per predicted class (columns), shape (k, k)."""
    return np.bincount(y * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def per_class(counts: NDArray[np.int64], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return precision, recall and F1 of each class; None if a class has no photos or was never predicted."""
    right, support, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    rows = zip(classes, right.tolist(), support.tolist(), predicted.tolist(), strict=True)
    return [
        {
            "label": label,
            "precision": proportion(hits, named, "no photo was predicted as this class"),
            "recall": proportion(hits, there, "there are no photos of this class"),
            "f1": _f1(hits, there + named - hits),
            "support": there,
        }
        for label, hits, there, named in rows
    ]


def most_confused(counts: NDArray[np.int64], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return the most confused pairs of classes: true, predicted, count, and photos of the true class."""
    off = counts - np.diag(np.diag(counts))
    order = np.argsort(-off, axis=None, kind="stable")[:MAX_LISTED]
    pairs = [divmod(int(i), len(classes)) for i in order]
    return [
        {"true": classes[a], "predicted": classes[b], "count": int(off[a, b]), "n": int(counts[a].sum())}
        for a, b in pairs
        if off[a, b] > 0
    ]


def weakest(counts: NDArray[np.int64], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return the classes with the lowest recall, the lowest first: label and figure of recall."""
    support, right = counts.sum(axis=1), np.diag(counts)
    with_photos = [i for i in range(len(classes)) if support[i]]
    order = sorted(with_photos, key=lambda i: (right[i] / support[i], -support[i], i))[:MAX_LISTED]
    return [{"label": classes[i], "recall": proportion(int(right[i]), int(support[i]))} for i in order]


def _balanced(counts: NDArray[np.int64]) -> dict[str, Any]:
    support, right = counts.sum(axis=1), np.diag(counts)
    with_photos = np.flatnonzero(support)
    if not len(with_photos):
        return figure(None, 0, None, NO_PHOTOS)
    right, support = right[with_photos], support[with_photos]
    value = float((right / support).mean())
    return figure(value, int(support.sum()), mean_of_proportions(right.tolist(), support.tolist()))


def _f1(hits: int, concerned: int) -> dict[str, Any]:
    """Return F1 = 2q / (1 + q), where q is the share of hits among the photos of a class and those predicted as it.

    Its interval is the transformed interval of q: Lam, Gopal and Qian 2023, "Confidence intervals for the F1 score: a
    comparison of four methods", the indirect Wilson method, https://arxiv.org/abs/2309.14621.
    """
    if concerned == 0:
        return figure(None, 0, None, "this class has no photos and was never predicted")
    value, low, high = (2 * q / (1 + q) for q in (hits / concerned, *wilson(hits, concerned)))
    return figure(value, concerned, (low, high))


def _log_loss(values: NDArray[np.float64], resampled: NDArray[np.float64]) -> dict[str, Any]:
    n = len(values)
    if n == 0:
        return figure(None, 0, None, NO_PHOTOS)
    interval, why = (None, ONE_PHOTO) if n == 1 else (interval_of_bootstrap_means(resampled / n, n), "")
    return figure(float(values.mean()), n, interval, why)


def _top_k(p: NDArray[np.float64], y: NDArray[np.int64], more: Sequence[int]) -> dict[str, Any]:
    rank = rank_of_true_class(p, y)
    sizes = sorted({2, *more} | ({5} if p.shape[1] > 5 else set()))
    return {str(k): proportion(int((rank < k).sum()), len(y)) for k in sizes}


def _largest(y: NDArray[np.int64], classes: Sequence[str], largest: str | None) -> dict[str, Any]:
    """Return the accuracy of always predicting the largest class."""
    counts = np.bincount(y, minlength=len(classes))
    which = int(counts.argmax()) if largest is None else list(classes).index(largest)
    return {"label": classes[which], "accuracy": proportion(int(counts[which]), len(y))}
