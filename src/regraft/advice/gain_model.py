"""The expected gain of a way on a folder: a ridge regression on the figures of other folders, with its spread.

It has one coefficient for each predictor, and so few folders that these are kept close to zero: a predictor matters
only as far as the evidence agrees on it. For the probe at all depths the regression starts from what the depth profile
of the folder itself says. The spread is the error on folders that were left out, without the part that a
finite number of test photos explains. It is fitted when it is needed, in about a millisecond.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regraft.advice.evidence import Evidence
from regraft.advice.folder_figures import PREDICTORS, FolderFigures
from regraft.advice.ways import Way

RIDGE = (2.0, *(20.0 for _ in PREDICTORS))
"""Strength of the penalty on the mean, and on the coefficient of each standardized predictor, in rows."""

SPREAD = 0.2
"""Assumed standard deviation between folders, by which rows with few test photos weigh less."""

MIN_DEVIATION = 0.05
"""Lower bound on the standard deviation on a new folder: some dozen rows cannot justify more certainty."""

MAX_START = 0.7
"""Upper bound of a gain that the depth profile alone may promise."""

UNKNOWN_DEVIATION = 0.25
"""Standard deviation of the gain of a way without evidence, around no gain."""

WIDENING = 1.2
"""Factor on the standard deviation, because about nine folders estimate it: 1.13 is the 95 % point of Student's t
with 8 degrees of freedom over that of a normal distribution, and 1.05 is for the mean of nine folders."""


@dataclass(frozen=True)
class WayGain:
    """A normal distribution of a gain on a new folder, in shares of the mistakes of the linear probe."""

    mean: float
    deviation: float

    def updated(self, measured: float, variance: float) -> WayGain:
        """Return the distribution after a measurement with this variance, by Bayes' rule."""
        weight = self.deviation**2 / (self.deviation**2 + variance)
        return WayGain(self.mean + weight * (measured - self.mean), self.deviation * math.sqrt(1 - weight))


NO_GAIN = WayGain(0.0, 0.0)
"""The gain of the linear probe over itself."""


@dataclass(frozen=True)
class GainModel:
    """The regression of the gains of one way.

    Attributes:
        way: the way.
        center: mean of each predictor in the evidence, shape (p,).
        scale: its standard deviation, shape (p,).
        coefficients: the mean gain, and the coefficient of each standardized predictor; shape (1 + p,).
        deviation: standard deviation of the gain on a new folder, around the prediction.
        rows: number of rows of evidence.
        folders: number of folders that they are from.
    """

    way: Way
    center: NDArray[np.float64]
    scale: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    deviation: float
    rows: int
    folders: int

    def predict(self, figures: FolderFigures) -> WayGain:
        """Return the expected gain on a folder. A predictor that was not measured counts as average, and widens it."""
        standardized = (figures.predictors() - self.center) / self.scale
        unknown = np.isnan(standardized)
        inside = np.clip(np.where(unknown, 0.0, standardized), -2.0, 2.0)  # no extrapolation far outside the evidence
        variance = self.deviation**2 + float((self.coefficients[1:][unknown] ** 2).sum())
        mean = start_of(self.way, figures) + float(self.coefficients[0] + inside @ self.coefficients[1:])
        if self.way == "depth":
            mean = max(mean, 0.0)  # where lower blocks do not help, cross-validation leaves them out
        return WayGain(mean, WIDENING * math.sqrt(variance))


def start_of(way: Way, figures: FolderFigures) -> float:
    """Return the gain from which the regression starts: what lower blocks add in the depth profile, or 0."""
    return min(max(figures.added or 0.0, 0.0), MAX_START) if way == "depth" else 0.0


def fit_gain_model(way: Way, evidence: Sequence[Evidence]) -> GainModel:
    """Return the model of the gains of a way; without evidence of it, a model of no gain with a wide spread."""
    rows = [row for row in evidence if row.way == way]
    X = np.array([row.figures.predictors() for row in rows]).reshape(-1, len(PREDICTORS))
    center, scale = _center_and_scale(X)
    folders = Counter(row.folder for row in rows)
    if not rows:
        return GainModel(way, center, scale, np.zeros(1 + len(PREDICTORS)), UNKNOWN_DEVIATION, 0, 0)
    design = _design(X, center, scale)
    deviation = _deviation(rows, design) if len(folders) > 2 else UNKNOWN_DEVIATION
    return GainModel(way, center, scale, _coefficients(rows, design), deviation, len(rows), len(folders))


def _center_and_scale(X: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    present = [column[~np.isnan(column)] for column in X.T]
    center = np.array([column.mean() if len(column) else 0.0 for column in present])
    scale = np.array([column.std() if len(column) > 1 else 0.0 for column in present])
    return center, np.where(scale > 1e-9, scale, 1.0)


def _design(X: NDArray[np.float64], center: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    standardized = (X - center) / scale
    return np.column_stack([np.ones(len(X)), np.where(np.isnan(standardized), 0.0, standardized)])


def _coefficients(rows: Sequence[Evidence], design: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the coefficients; rows of one folder count together little more than one row."""
    counts = Counter(row.folder for row in rows)
    weight = np.array([1 / (math.sqrt(counts[row.folder]) * (1 + row.variance / SPREAD**2)) for row in rows])
    weighted = design.T * weight
    gains = _targets(rows)
    solution: NDArray[np.float64] = np.linalg.solve(weighted @ design + np.diag(RIDGE), weighted @ gains)
    return solution


def _deviation(rows: Sequence[Evidence], design: NDArray[np.float64]) -> float:
    """Return the standard deviation of the gains on folders that were left out, without that of the measurement."""
    errors = left_out_errors(rows, design)
    weight = np.array([1 / (1 + row.variance / SPREAD**2) for row in rows])
    variance = np.array([row.variance for row in rows])
    between = float(weight @ (errors**2 - variance) / weight.sum())
    return math.sqrt(max(between, MIN_DEVIATION**2))


def left_out_errors(rows: Sequence[Evidence], design: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each gain minus its prediction from the rows of the other folders, shape (n,)."""
    errors = np.empty(len(rows))
    for folder in {row.folder for row in rows}:
        of_folder = np.array([row.folder == folder for row in rows])
        others = [row for row in rows if row.folder != folder]
        predicted = design[of_folder] @ _coefficients(others, design[~of_folder])
        errors[of_folder] = _targets(rows)[of_folder] - predicted
    return errors


def _targets(rows: Sequence[Evidence]) -> NDArray[np.float64]:
    """Return what the regression explains: each gain minus its start."""
    return np.array([row.gain - start_of(row.way, row.figures) for row in rows])
