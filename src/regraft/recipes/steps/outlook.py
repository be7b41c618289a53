"""The outlook of a training before it starts: its expected gain, and whether it is worth its time."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from regraft.context.parts import Parts
from regraft.context.run_context import RunContext
from regraft.measure.metrics import log_losses
from regraft.recipes.steps.evidence import Situation, Step
from regraft.recipes.steps.gain import Gain
from regraft.recipes.steps.prior_gain import gain_model

WORTHWHILE, WORTHWHILE_FEW = 0.5, 0.2
"""Minimum points of accuracy that a training must be expected to add to the kept candidate. With few photos it takes
half a minute, so that less is worth it."""

FEW = 100
"""Training photos below which they are few."""


@dataclass(frozen=True)
class Outlook:
    """The outlook of a step of `auto`.

    Attributes:
        step: the step.
        situation: the folder and the best candidate so far.
        photos: photos on which the result will be compared.
    """

    step: Step
    situation: Situation
    photos: int

    @property
    def prior(self) -> Gain:
        """The gain that is expected from other folders."""
        return gain_model(self.step).prior(self.situation)

    @property
    def measurement_error(self) -> NDArray[np.float64]:
        """Expected covariance of the error of the measured gain, shape (2, 2)."""
        return gain_model(self.step).measurement_error(self.situation, self.photos)

    @property
    def points(self) -> float:
        """Points of accuracy that the step is expected to add, if the better candidate is kept after it."""
        return 100 * self.situation.error * self.prior.value_of_measuring(self.measurement_error)

    @property
    def pays(self) -> bool:
        """True if that is worth the time of a training."""
        return self.expects(WORTHWHILE_FEW if self.situation.photos < FEW else WORTHWHILE)

    def expects(self, points: float) -> bool:
        """Return whether the step is expected to add at least this many points of accuracy."""
        return self.points >= points

    @property
    def why(self) -> str:
        """The reason in words."""
        right = 100 * (1 - self.situation.error)
        return f"with {right:.1f} % right before it and {self.situation.photos:,} photos to train on"

    def after(self, gain: Gain, step: Step) -> Self:
        """Return the outlook of the next step, after a candidate with an expected ``gain`` has been kept."""
        error, log_loss = (float(value) for value in self.scale * np.maximum(1 - gain.mean, 0.05))
        return replace(self, step=step, situation=replace(self.situation, error=error, log_loss=log_loss))

    def of(self, step: Step) -> Self:
        """Return the outlook of another step at the same point."""
        return replace(self, step=step)

    def out_of_fold(self, photos: int) -> Self:
        """Return the outlook of a step that is fitted on this many photos, and compared on all of them out of fold."""
        return replace(self, situation=replace(self.situation, photos=photos), photos=photos)

    @property
    def scale(self) -> NDArray[np.float64]:
        """The error and the log-loss that gains are shares of, shape (2,)."""
        return np.array([self.situation.error, self.situation.log_loss])


def outlook_after_probe(context: RunContext, oof: NDArray[np.float64] | None, parts: Parts) -> Outlook:
    """Return the outlook of a fine-tuning after a probe.

    Args:
        context: the run.
        oof: its out-of-fold probabilities of ``context.parts.linear.refit``; without any, the probe is a guess.
        parts: photos of the fine-tuning.
    """
    train, validation, classes = len(parts.train), len(parts.validation), len(context.dataset.classes)
    guess = math.log(classes)
    if oof is None:
        return Outlook("fine-tuning", Situation(train, 1 - 1 / classes, guess), validation)
    y = context.dataset.labels(context.parts.linear.refit)
    accuracy, log_loss = float((oof.argmax(axis=1) == y).mean()), float(log_losses(oof, y).mean())
    return outlook_of_figures(accuracy, min(guess, log_loss), len(y), train=train, validation=validation)


def outlook_of_figures(accuracy: float, log_loss: float, photos: int, *, train: int, validation: int) -> Outlook:
    """Return the outlook of a fine-tuning after a probe with these figures.

    Args:
        accuracy: the probe's accuracy out of fold.
        log_loss: its log-loss, in nats.
        photos: number of photos that these were measured on.
        train: photos to train on.
        validation: photos to compare on.
    """
    error = ((1 - accuracy) * photos + 1) / (photos + 2)  # never 0: a few photos without a mistake prove little
    return Outlook("fine-tuning", Situation(train, error, log_loss), validation)
