"""Figures of a folder that the advice depends on: almost free, once its linear probe is solved."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

PREDICTORS: Final = (
    "mistakes",
    "photos of a class",
    "lead of the top layer",
    "added by lower blocks",
    "slope of the learning curve",
)
"""Names of the values of `FolderFigures.predictors`."""


@dataclass(frozen=True)
class FolderFigures:
    """Figures of a folder.

    Attributes:
        photos: photos to train on.
        classes: number of classes.
        error: share of photos that the linear probe gets wrong out of fold; never 0, since few photos prove little.
        error_deviation: standard error of ``error``.
        log_loss: its out-of-fold log-loss in nats.
        lead: what the top layer explains minus what the best lower block explains, see
            `regraft.probe.depth_profile`; None if it was not measured.
        added: share of what the top layer leaves unexplained that lower blocks explain; None likewise.
        slope: share by which the log-loss falls when the photos double; None if it was not measured.
    """

    photos: int
    classes: int
    error: float
    error_deviation: float
    log_loss: float
    lead: float | None = None
    added: float | None = None
    slope: float | None = None

    @property
    def photos_a_class(self) -> float:
        """Mean number of photos of a class."""
        return self.photos / max(1, self.classes)

    def predictors(self) -> NDArray[np.float64]:
        """Return the predictors of a gain, shape (5,), as `PREDICTORS` names them; NaN where one was not measured.

        The photos that the frozen features get wrong are the material that a training has to learn from.
        """
        return np.array(
            [
                math.log(max(self.photos * self.error, 0.5)),
                math.log(self.photos_a_class),
                *(math.nan if value is None else value for value in (self.lead, self.added, self.slope)),
            ]
        )


def smoothed_error(wrong: float, photos: int) -> float:
    """Return the expected share of mistakes, by Laplace's rule, after ``wrong`` mistakes on ``photos``."""
    return (wrong + 1) / (photos + 2)
