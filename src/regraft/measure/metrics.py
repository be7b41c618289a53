"""How good a classifier is on labelled photos: every figure with its 95 % interval and the photos behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.measure.calibration import calibration_error, gaps_of
from regraft.measure.intervals import (
    NO_PHOTOS,
    ONE_PHOTO,
    figure,
    mean_limits,
    mean_of_proportions,
    proportion,
    resampled_sums,
    wilson,
)

SMALLEST = float(np.finfo(np.float64).eps)
"""Probabilities are taken for at least this in log-losses, as scikit-learn does: -log of it is 36."""

LISTED = 10
"""How many of the most confused pairs and of the weakest classes are listed."""

Labels = NDArray[np.integer[Any]] | Sequence[int]


def classification_report(
    probabilities: NDArray[np.floating[Any]],
    y: Labels,
    classes: Sequence[str],
    *,
    largest: str | None = None,
    top: Sequence[int] = (),
) -> dict[str, Any]:
    """Measure probabilities against labels.

    Args:
        probabilities: of each class for each photo, shape (n, k), floating; rows sum to 1.
        y: the true class of each photo, shape (n,), integers in ``range(k)``. Classes without a photo are allowed.
        classes: names of the k classes.
        largest: the class that has most photos to train on; if None, the one with most photos here.
        top: more k for ``top_k``, at least 1 each.

    Returns:
        A dict of plain JSON values without NaN. A figure is ``{"value", "n", "interval": [low, high]}`` with a 95 %
        interval; a value or interval that the photos do not define is None, and ``"why"`` says why. The keys are
        ``accuracy``, ``balanced_accuracy`` (mean recall of the classes that have photos), ``log_loss``,
        ``calibration_error``, ``top_k`` (``{"2": figure, "5": figure}``; 5 for more than 5 classes), ``largest_class``,
        ``per_class`` (a list in the order of ``classes``: label, precision, recall, f1, support), ``confusion``
        (``labels`` and ``counts``: rows are true, columns predicted), ``most_confused``, ``weakest``.

    Raises:
        ValueError: shapes or values that cannot be.
    """
    p, labels = checked(probabilities, y, len(classes))
    predicted = p.argmax(axis=1) if len(p) else np.zeros(0, dtype=np.int64)
    counts = confusion(labels, predicted, len(classes))
    loss, gaps = losses(p, labels), gaps_of(p, labels)
    resampled = resampled_sums(np.column_stack([loss, gaps]), "report", len(labels))
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


def checked(
    probabilities: NDArray[np.floating[Any]], y: Labels, classes: int | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return probabilities as float64 and labels as int64.

    Raises:
        ValueError: shapes or values that cannot be.
    """
    p, labels = np.asarray(probabilities, dtype=np.float64), np.asarray(y)
    if p.ndim != 2 or p.shape[1] != (p.shape[1] if classes is None else classes) or not p.shape[1]:
        raise ValueError(f"probabilities must be of shape (n, {classes or 'k'}), not {p.shape}")
    if labels.shape != (len(p),) or not (np.issubdtype(labels.dtype, np.integer) or not len(labels)):
        raise ValueError(f"y must be integer and of shape ({len(p)},), not {labels.dtype} of shape {labels.shape}")
    if len(labels) and not (labels.min() >= 0 and labels.max() < p.shape[1]):
        raise ValueError(f"y must be in 0 to {p.shape[1] - 1}, but holds {labels.min()} to {labels.max()}")
    bad = np.flatnonzero(~np.isfinite(p).all(axis=1) | (np.abs(p.sum(axis=1) - 1) > 1e-3) | (p < 0).any(axis=1))
    if len(bad):
        raise ValueError(f"probabilities must be finite, not negative and sum to 1, but row {bad[0]} is {p[bad[0]]}")
    return p, labels.astype(np.int64)


def losses(p: NDArray[np.float64], y: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the log-loss of each photo: (n, k), (n,) -> (n,)."""
    return -np.log(np.clip(p[np.arange(len(y)), y], SMALLEST, 1.0))


def ranks(p: NDArray[np.float64], y: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the place of the true class among the probabilities, 0 for the first; of equals the lower class leads."""
    own = p[np.arange(len(y)), y][:, None]
    before = np.arange(p.shape[1])[None, :] < y[:, None]
    places: NDArray[np.int64] = ((p > own) | ((p == own) & before)).sum(axis=1)
    return places


def confusion(y: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Return how often which class (row) was predicted as which (column), shape (k, k)."""
    return np.bincount(y * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def per_class(counts: NDArray[np.int64], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return precision, recall and F1 of each class; None where a class has no photo, or was never predicted."""
    right, support, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    rows = zip(classes, right.tolist(), support.tolist(), predicted.tolist(), strict=True)
    return [
        {
            "label": label,
            "precision": proportion(hits, named, "no photo was predicted to be of this class"),
            "recall": proportion(hits, there, "there are no photos of this class"),
            "f1": _f1(hits, there + named - hits),
            "support": there,
        }
        for label, hits, there, named in rows
    ]


def most_confused(counts: NDArray[np.int64], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return the pairs of classes that are confused most often: true, predicted, count, and photos of the true one."""
    off = counts - np.diag(np.diag(counts))
    order = np.argsort(-off, axis=None, kind="stable")[:LISTED]
    pairs = [divmod(int(i), len(classes)) for i in order]
    return [
        {"true": classes[a], "predicted": classes[b], "count": int(off[a, b]), "n": int(counts[a].sum())}
        for a, b in pairs
        if off[a, b] > 0
    ]


def weakest(counts: NDArray[np.int64], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return the classes whose photos are recognised least often, the weakest first: label and figure of recall."""
    support, right = counts.sum(axis=1), np.diag(counts)
    there = [i for i in range(len(classes)) if support[i]]
    order = sorted(there, key=lambda i: (right[i] / support[i], -support[i], i))[:LISTED]
    return [{"label": classes[i], "recall": proportion(int(right[i]), int(support[i]))} for i in order]


def _balanced(counts: NDArray[np.int64]) -> dict[str, Any]:
    support, right = counts.sum(axis=1), np.diag(counts)
    there = np.flatnonzero(support)
    if not len(there):
        return figure(None, 0, None, NO_PHOTOS)
    value = float((right[there] / support[there]).mean())
    return figure(value, int(support.sum()), mean_of_proportions(right[there].tolist(), support[there].tolist()))


def _f1(hits: int, concerned: int) -> dict[str, Any]:
    """Return F1 = 2q / (1 + q), q being the share of hits among the photos that are, or were said to be, of the class.

    Its interval is that of q, carried over: Lam, Gopal and Qian 2023, "Confidence intervals for the F1 score: a
    comparison of four methods", the indirect Wilson method, https://arxiv.org/abs/2309.14621.
    """
    if concerned == 0:
        return figure(None, 0, None, "no photo is, or was predicted to be, of this class")
    value, low, high = (2 * q / (1 + q) for q in (hits / concerned, *wilson(hits, concerned)))
    return figure(value, concerned, (low, high))


def _log_loss(values: NDArray[np.float64], resampled: NDArray[np.float64]) -> dict[str, Any]:
    n = len(values)
    if n == 0:
        return figure(None, 0, None, NO_PHOTOS)
    interval, why = (None, ONE_PHOTO) if n == 1 else (mean_limits(resampled / n, n), "")
    return figure(float(values.mean()), n, interval, why)


def _top_k(p: NDArray[np.float64], y: NDArray[np.int64], more: Sequence[int]) -> dict[str, Any]:
    places = ranks(p, y)
    sizes = sorted({2, *more} | ({5} if p.shape[1] > 5 else set()))
    return {str(k): proportion(int((places < k).sum()), len(y)) for k in sizes}


def _largest(y: NDArray[np.int64], classes: Sequence[str], largest: str | None) -> dict[str, Any]:
    """Return what always naming the largest class would score on these photos."""
    counts = np.bincount(y, minlength=len(classes))
    which = int(counts.argmax()) if largest is None else list(classes).index(largest)
    return {"label": classes[which], "accuracy": proportion(int(counts[which]), len(y))}
