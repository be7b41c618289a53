"""Gains of training steps that were measured on other folders.

They are pairs of rows of ``advice/ways.csv``, the table that `regraft advise` uses too: the way before the step and the
way after it, on the same cut of a folder. `prior_gain` predicts from them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from regraft.advice.evidence import Cell, shipped_cells

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

STEP_TO: Final[dict[str, Step]] = {
    "depth": "all depths",
    "two probes": "second network",
    "upper blocks": "fine-tuning",
    "all blocks": "all blocks",
    "mix": "mixing",
    "mix with two networks": "mixing, two networks",
}
"""The step that ends at a way of the table; the table names the way before it."""

LARGEST_LOSS = -1.0
"""Lower bound of a gain. A candidate with twice the mistakes is rejected; further mistakes make no difference."""

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
    """A measured gain on photos that no choice has used: a pair of rows of ``ways.csv``.

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
    """Return the gains of all steps in ``ways.csv``."""
    return tuple(evidence for cell in shipped_cells() for evidence in _steps(cell))


def _steps(cell: Cell) -> Iterator[Evidence]:
    for way, after in cell.items():
        if way in STEP_TO and after["over"] in cell:
            yield _gain(STEP_TO[way], cell[after["over"]], after)
    if "two probes" in cell and "upper blocks" in cell:
        yield _gain("fine-tuning, two networks", cell["two probes"], cell["upper blocks"])


def _gain(step: Step, before: dict[str, str], after: dict[str, str]) -> Evidence:
    error, log_loss = _figures(before)
    scale = np.array([error, log_loss])
    (accuracy, loss), (accuracy_after, loss_after) = (_tested(row) for row in (before, after))
    gain = np.array([accuracy_after - accuracy, loss - loss_after]) / scale
    return Evidence(
        folder=after["folder"],
        step=step,
        situation=Situation(int(after["fitted"]), error, log_loss),
        gain=np.maximum(gain, LARGEST_LOSS),
        deviation=np.array([_number(after["accuracy_error"]), _number(after["log_loss_error"])]) / scale,
        test=int(after["test"]),
    )


def _figures(row: dict[str, str]) -> tuple[float, float]:
    """Return the error and the log-loss of a way out of fold; where it has none, those on the test photos."""
    if row["way_error"]:
        return _number(row["way_error"]), min(_number(row["way_log_loss"]), math.log(int(row["classes"])))
    accuracy, log_loss = _tested(row)
    test = int(row["test"])
    return ((1 - accuracy) * test + 1) / (test + 2), log_loss


def _tested(row: dict[str, str]) -> tuple[float, float]:
    return _number(row["accuracy"]), _number(row["test_log_loss"])


def _number(text: str) -> float:
    return float(text or "nan")
