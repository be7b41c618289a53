"""Candidates of `auto` on the validation photos: the linear probe, and each fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regraft.context.decisions import Event, Line
from regraft.context.network_features import no_longer_readable
from regraft.context.run_context import RunContext
from regraft.data.manifest import Entry
from regraft.inference.predictor import Predictor
from regraft.measure.calibration import at_best_temperature
from regraft.measure.paired import Difference, log_loss_difference
from regraft.models.classifier import Classifier
from regraft.models.ensemble import Ensemble
from regraft.recipes.steps.fine_tuning import FineTuned

FEW_PHOTOS = 50
"""Validation photos up to which a gain must exceed two standard errors; with more of them, the factor falls to one. The
compared epoch was chosen on the same photos, and the fewer there are, the more this favors it."""


@dataclass(frozen=True)
class Candidate:
    """A trained classifier to compare.

    Attributes:
        title: its name in words.
        probabilities: those of the validation photos, at the best temperature.
        tuned: the fine-tuning; None for the probe.
    """

    title: str
    probabilities: NDArray[np.float64]
    tuned: FineTuned | None = None


@dataclass(frozen=True)
class Comparison:
    """A comparison of a rung with the best candidate before it.

    Attributes:
        best: the best candidate before.
        rung: the candidate of the rung.
        gain: fall of the validation log-loss.
        photos: number of validation photos.
    """

    best: Candidate
    rung: Candidate
    gain: Difference
    photos: int

    @property
    def is_gain(self) -> bool:
        """True if the rung is clearly better."""
        return self.gain.value > required_standard_errors(self.photos) * self.gain.standard_error

    @property
    def winner(self) -> Candidate:
        """The better candidate."""
        return self.rung if self.is_gain else self.best

    @property
    def verdict(self) -> str:
        """The comparison in words."""
        change = f"{'falls' if self.gain.value > 0 else 'rises'} by {abs(self.gain.value):.3f}"
        return f"validation log-loss {change} ± {self.gain.standard_error:.3f} on {self.photos:,} photos"

    def event(self) -> Event:
        """Return the event for the journal."""
        facts = {"rung": self.rung.title, "gain": self.gain.value, "standard_error": self.gain.standard_error}
        return Event("compared", {**facts, "kept": self.winner.title}, ("rung",))

    def line(self) -> Line:
        """Return the line for the screen."""
        return Line("kept", f"{self.winner.title} · {self.verdict} with {self.rung.title}")


def compare_candidates(context: RunContext, best: Candidate, rung: Candidate) -> Comparison:
    """Return the comparison of a rung with the best candidate before it, on the validation photos."""
    labels = context.dataset.labels(context.parts.gradient.validation)
    return Comparison(best, rung, log_loss_difference(best.probabilities, rung.probabilities, labels), len(labels))


def required_standard_errors(photos: int) -> float:
    """Return how many standard errors a gain on this many photos must exceed."""
    return 1.0 + min(1.0, FEW_PHOTOS / photos)


def probe_candidate(context: RunContext, classifier: Classifier | Ensemble) -> Candidate:
    """Return the linear probe as a candidate."""
    predictor = Predictor(classifier, device=context.device.type, workers=context.workers, own=True)
    return Candidate("linear probe", _calibrated(context, predictor, context.parts.gradient.validation))


def fine_tuned_candidate(context: RunContext, title: str, tuned: FineTuned) -> Candidate:
    """Return a fine-tuning as a candidate."""
    predictor = Predictor(
        tuned.classifier, device=context.device.type, workers=context.workers, views=tuned.views, own=True
    )
    return Candidate(title, _calibrated(context, predictor, context.parts.gradient.validation), tuned)


def _calibrated(context: RunContext, predictor: Predictor, entries: Sequence[Entry]) -> NDArray[np.float64]:
    """Return the probabilities of ``entries`` at their best temperature, shape (n, k)."""
    scores = predictor.scores(entries, store=context.store)
    for row, why in scores.failed:
        raise no_longer_readable(entries[row], why)
    return at_best_temperature(scores.values, context.dataset.labels(entries))
