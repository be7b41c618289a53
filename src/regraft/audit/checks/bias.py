"""Shortcuts and outliers.

A shortcut is a property that predicts the class without the picture: file size, dimensions, brightness or borders.

A network learns the shortcut instead of the subject (Geirhos et al. 2020, https://doi.org/10.1038/s42256-020-00257-z),
and fails on photos from elsewhere.

An outlier is a photo that resembles no other photo; it may belong to none of the classes.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from regraft.audit.alignment import picture_mask
from regraft.audit.decision_tree import tree_probabilities
from regraft.audit.finding import Finding
from regraft.audit.neighbours import nearest_neighbours
from regraft.audit.subject import Subject
from regraft.measure.paired import accuracy_difference
from regraft.probe.folds import make_folds

MIN_ACCURACY_GAIN = 0.10
"""Minimum accuracy above chance of a shortcut for a warning, at the lower end of its interval."""

SHORTCUT_MIN_PHOTOS = 40


def find_shortcuts(subject: Subject) -> list[Finding]:
    """Return a finding for each property that predicts the class clearly better than chance, by cross-validation."""
    y = subject.labels
    if len(y) < SHORTCUT_MIN_PHOTOS or len(set(y.tolist())) < 2:
        return []
    folds = make_folds(y, [entry.content for entry in subject.entries], subject.groups)
    if folds.count < 2:
        return []
    findings = []
    for name, columns in _properties(subject).items():
        predicted, chance = _cross_validated(columns, y, folds.fold_of_row, len(subject.manifest.classes))
        gain = accuracy_difference(predicted, chance, y)
        low, high = gain.interval or (-1.0, 1.0)
        if low > MIN_ACCURACY_GAIN / 2:
            share = float((predicted.argmax(axis=1) == y).mean())
            words = (
                f"{name} alone predicts the class of {100 * share:.0f} % of the photos "
                f"({100 * low:.0f} – {100 * high:.0f} points above chance): a network may learn only this shortcut"
            )
            measure = {"property": name, "accuracy": round(share, 4), **gain.as_dict()}
            findings.append(Finding("shortcut", "warning" if low > MIN_ACCURACY_GAIN else "info", (), words, measure))
    return findings


def _properties(subject: Subject) -> dict[str, NDArray[np.float64]]:
    photo_stats = subject.photo_stats
    size = np.log([[stats.file_size] for stats in photo_stats])
    sides = np.log([[g.width, g.height, g.width / g.height] for g in photo_stats])
    light = np.array([[g.gray.mean(), g.gray.std()] for g in photo_stats], dtype=np.float64)
    border = []
    for i in range(0, len(photo_stats), 512):
        gray = torch.from_numpy(np.stack([g.gray for g in photo_stats[i : i + 512]])).to(torch.float32)
        border.append(1 - picture_mask(gray).mean(dim=(1, 2)).numpy())
    return {
        "file size": size,
        "dimensions": sides,
        "brightness": light,
        "borders": np.concatenate(border)[:, None].astype(np.float64),
    }


def _cross_validated(
    X: NDArray[np.float64], y: NDArray[np.int64], fold: NDArray[np.int64], classes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return probabilities by a small tree and by the shares of the classes, both out of fold, shape (n, k)."""
    predicted, chance = np.zeros((len(y), classes)), np.zeros((len(y), classes))
    for f in range(int(fold.max()) + 1):
        out = fold == f
        predicted[out] = tree_probabilities(X[~out], y[~out], X[out], classes)
        chance[out] = np.bincount(y[~out], minlength=classes) / (~out).sum()
    return predicted, chance


OUTLIER_NEIGHBOURS = 10
OUTLIER_DEVIATIONS = 2.0
"""Distance from the neighbors, in robust standard deviations above the median, from which a photo is an outlier."""

OUTLIER_MIN_PHOTOS = 30
"""Minimum number of photos for an estimate of the usual distance."""


def find_outliers(subject: Subject) -> list[Finding]:
    """Return an info for each photo that is far from all others, the farthest first."""
    if len(subject.entries) < OUTLIER_MIN_PHOTOS:
        return []
    distance = 1 - nearest_neighbours(subject.features, OUTLIER_NEIGHBOURS).cosine.mean(axis=1)
    middle = float(np.median(distance))
    spread = 1.4826 * float(np.median(np.abs(distance - middle)))
    score = (distance - middle) / max(spread, 1e-9)
    return [
        Finding("outlier", "info", subject.names([i]), "resembles no other photo", {"score": round(float(score[i]), 1)})
        for i in np.argsort(-score, kind="stable").tolist()
        if score[i] > OUTLIER_DEVIATIONS
    ]
