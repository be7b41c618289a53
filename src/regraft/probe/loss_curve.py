"""The learning curve of a linear probe in log-loss: with a quarter, a half and all of the photos.

It describes a folder to `regraft.advice`: each part chooses its own regularization, and nothing else of a run is known.
The report has another curve, `regraft.workflows.steps.learning_curve`: accuracies on the photos of the headline figure,
with the regularization of the run, from which it estimates the gain of more photos of each class.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regraft.probe.feature_matrix import Float
from regraft.probe.folds import make_folds
from regraft.probe.linear_probe import Probe, fit_probe

QUARTERS = (1, 2)
"""Quarters of the photos that the probes of the curve are fitted on; the point of all photos is the probe itself."""

MAX_PHOTOS = 2_000
"""Maximum number of photos whose quarter and half are taken: the slope needs no more, and it bounds the time."""


@dataclass(frozen=True)
class CurvePoint:
    """A point of a learning curve.

    Attributes:
        photos: number of photos that the probe was fitted on.
        error: share of other photos that it gets wrong.
        log_loss: its log-loss on other photos, in nats.
    """

    photos: int
    error: float
    log_loss: float


@dataclass(frozen=True)
class LossCurve:
    """The points of a learning curve, with growing numbers of photos."""

    points: tuple[CurvePoint, ...]

    @property
    def slope(self) -> float | None:
        """Share by which the log-loss falls each time the photos double; None with fewer than two points."""
        if len(self.points) < 2:
            return None
        photos = np.log2([point.photos for point in self.points])
        loss = np.log([max(point.log_loss, 1e-6) for point in self.points])
        centered = photos - photos.mean()
        return float(1 - np.exp(centered @ loss / (centered @ centered)))


def loss_curve(
    X: Float,
    y: NDArray[np.int64],
    probe: Probe,
    *,
    classes: int,
    groups: Sequence[Hashable] | None = None,
    keys: Sequence[str],
    seed: int = 0,
) -> LossCurve:
    """Return the learning curve of a probe.

    The probes of a quarter and a half are measured on the photos that they were not fitted on, that of all photos out
    of fold. A share in which a class is missing is left out.

    Args:
        X: features, shape (n, d).
        y: class of each row, shape (n,), in ``range(classes)``.
        probe: fitted on all rows, with out-of-fold probabilities.
        classes: number of classes.
        groups: group of each row; a group is never divided.
        keys: identifier of each row.
        seed: another seed takes other rows.
    """
    quarter = make_folds(y, list(keys), groups, count=4 * -(-len(y) // MAX_PHOTOS), seed=seed)
    points = []
    for number in QUARTERS if quarter.count >= 4 else ():
        rows = np.flatnonzero(quarter.fold_of_row < number)
        others = np.flatnonzero(quarter.fold_of_row >= number)
        if len(np.unique(y[rows])) < classes:
            continue
        part = fit_probe(
            X[rows],
            y[rows],
            classes=classes,
            groups=quarter.group_of_row[rows].tolist(),
            keys=[keys[row] for row in rows.tolist()],
            seed=seed,
            nested=False,
        )
        points.append(_point(len(rows), part.probabilities(X[others]), y[others]))
    if probe.oof is not None:
        points.append(_point(len(y), probe.oof, y))
    return LossCurve(tuple(points))


def _point(photos: int, probabilities: NDArray[np.float64], y: NDArray[np.int64]) -> CurvePoint:
    of_class = np.maximum(probabilities[np.arange(len(y)), y], 1e-12)
    error = float((probabilities.argmax(axis=1) != y).mean())
    return CurvePoint(photos, error, float(-np.log(of_class).mean()))
