"""Gains of training steps that were measured on other folders.

``evidence.csv`` has a row for each measurement; `benchmarks/evidence.py` adds rows. `prior_gain` predicts from them.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Step = Literal[
    "all depths",
    "second network",
    "fine-tuning",
    "all blocks",
    "mixing",
    "fine-tuning, two networks",
    "mixing, two networks",
]
"""All depths in the probe; a second network in it; fine-tuning after the probe; all blocks after upper blocks; the mix
of the fine-tuned network with the probe, over the probe. Two networks: the probe uses two."""

STEPS: dict[str, Step] = {step: step for step in get_args(Step)}

TYPICAL_MISTAKES = 100.0
"""Mistakes at which the second predictor is 0."""


def fine_tuning_step(networks: int) -> Step:
    """Return the step of a fine-tuning after a probe on this many networks."""
    return "fine-tuning" if networks == 1 else "fine-tuning, two networks"


def mixing_step(networks: int) -> Step:
    """Return the step of mixing with a probe on this many networks."""
    return "mixing" if networks == 1 else "mixing, two networks"


@dataclass(frozen=True)
class Situation:
    """A folder and its linear probe, as far as expected gains depend on them.

    Attributes:
        photos: photos that are trained on.
        error: share of photos that the probe gets wrong out of fold.
        log_loss: out-of-fold log-loss of the probe, in nats.
    """

    photos: int
    error: float
    log_loss: float

    def predictors(self) -> NDArray[np.float64]:
        """Return the predictors of the regression, shape (2,): 1, and the logarithm of the mistakes.

        The photos that the frozen features get wrong are the material that a training has to learn from. Their number
        grows with the photos, and with the distance of the folder from the pretraining.
        """
        return np.array([1.0, math.log(self.photos * self.error / TYPICAL_MISTAKES)])


@dataclass(frozen=True)
class Evidence:
    """A measured gain on photos that no choice has used: one row of ``evidence.csv``.

    Attributes:
        folder: name of the folder.
        step: the measured step.
        situation: the folder and its probe.
        gain: shares of the mistakes and of the log-loss that disappeared, shape (2,); NaN for an unknown log-loss.
        deviation: standard errors of ``gain``, from the finite number of test photos; shape (2,).
        test: number of test photos.
    """

    folder: str
    step: Step
    situation: Situation
    gain: NDArray[np.float64]
    deviation: NDArray[np.float64]
    test: int


@cache
def read_evidence() -> tuple[Evidence, ...]:
    """Return the rows of ``evidence.csv``."""
    text = resources.files("regraft.recipes.steps").joinpath("evidence.csv").read_text(encoding="utf-8")
    return tuple(_parse_row(row) for row in csv.DictReader(text.splitlines()))


def _parse_row(row: dict[str, str]) -> Evidence:
    number = {
        key: float(value or "nan") for key, value in row.items() if key not in {"folder", "kind", "step", "source"}
    }
    error, log_loss = number["error"], number["log_loss"]
    scale = np.array([error, log_loss])
    gain = [number["accuracy_after"] - number["accuracy_before"], number["log_loss_before"] - number["log_loss_after"]]
    return Evidence(
        folder=row["folder"],
        step=STEPS[row["step"]],
        situation=Situation(int(number["photos"]), error, log_loss),
        gain=np.array(gain) / scale,
        deviation=np.array([number["accuracy_error"], number["log_loss_error"]]) / scale,
        test=int(number["test"]),
    )
