"""The expected gain of a training step on a new folder, from gains on other folders.

A ridge regression with two coefficients for each part of a gain. Its spread is the error on folders that were left
out, without the part that a finite number of test photos explains. It is fitted when it is needed: a few dozen rows
take under a millisecond. `docs/recipes.md` lists its coefficients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from regraft.recipes.steps.evidence import Evidence, Situation, Step, read_evidence
from regraft.recipes.steps.gain import Gain

RIDGE = (0.5, 2.0)
"""Strength of the penalty on each coefficient, in rows without any gain."""

SPREAD = 0.2
"""Assumed standard deviation between folders of both parts of a gain, by which rows with few test photos weigh less."""

MIN_DEVIATION = 0.1
"""Lower bound on the standard deviation of the prior: a few dozen rows cannot justify more certainty."""

CORRELATION = 0.6
"""Correlation of the two parts of a gain, between folders and between photos."""


@dataclass(frozen=True)
class GainModel:
    """A regression of the gains of one step.

    Attributes:
        coefficients: of each predictor (rows) for each part of a gain (columns), shape (2, 2).
        deviation: standard deviation of the two parts on a new folder, shape (2,).
        photo_variance: variance of a photo's part of a measured gain: the first over the probe's error; shape (2,).
    """

    coefficients: NDArray[np.float64]
    deviation: NDArray[np.float64]
    photo_variance: NDArray[np.float64]

    def prior(self, situation: Situation) -> Gain:
        """Return the expected gain in a situation."""
        return Gain(situation.predictors() @ self.coefficients, correlated(self.deviation**2))

    def measurement_error(self, situation: Situation, photos: int) -> NDArray[np.float64]:
        """Return the expected covariance of the error of a gain that is measured on ``photos``, shape (2, 2)."""
        return correlated(self.photo_variance * [1 / situation.error, 1.0] / photos)


def correlated(variances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the covariance of two variables with these variances: (2,) -> (2, 2)."""
    off = CORRELATION * float(np.sqrt(variances.prod()))
    return np.array([[variances[0], off], [off, variances[1]]])


@cache
def gain_model(step: Step) -> GainModel:
    """Return the model of the gains of ``step``, fitted on all evidence."""
    return fit_gain_model([row for row in read_evidence() if row.step == step])


def fit_gain_model(rows: Sequence[Evidence]) -> GainModel:
    """Return the model of the gains in ``rows``, which are of one step."""
    errors = left_out_errors(rows)
    noise = np.array([row.deviation for row in rows])
    variance = np.nanmean(errors**2, axis=0) - np.nanmean(noise**2, axis=0)
    scale = np.array([[row.situation.error, 1.0] for row in rows]) * np.array([[row.test] for row in rows])
    deviation = np.sqrt(np.maximum(variance, MIN_DEVIATION**2))
    return GainModel(_coefficients(rows), deviation, np.nanmean(noise**2 * scale, axis=0))


def left_out_errors(rows: Sequence[Evidence]) -> NDArray[np.float64]:
    """Return each gain minus its prediction from the rows of the other folders, shape (n, 2)."""
    errors = np.full((len(rows), 2), np.nan)
    for folder in {row.folder for row in rows}:
        coefficients = _coefficients([row for row in rows if row.folder != folder])
        for number, row in enumerate(rows):
            if row.folder == folder:
                errors[number] = row.gain - row.situation.predictors() @ coefficients
    return errors


def _coefficients(rows: Sequence[Evidence]) -> NDArray[np.float64]:
    X = np.array([row.situation.predictors() for row in rows]).reshape(-1, len(RIDGE))
    columns = []
    for part in (0, 1):
        y = np.array([row.gain[part] for row in rows], dtype=np.float64)
        weight = 1 / (1 + np.array([row.deviation[part] for row in rows], dtype=np.float64) ** 2 / SPREAD**2)
        present = np.isfinite(y)
        weighted = X[present].T * weight[present]
        columns.append(np.linalg.solve(weighted @ X[present] + np.diag(RIDGE), weighted @ y[present]))
    return np.stack(columns, axis=1)
