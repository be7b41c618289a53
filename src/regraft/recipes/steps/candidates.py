"""Candidates of `auto` on the validation photos: the linear probe, each fine-tuning, and their mix.

The candidate of the higher expected accuracy is kept. Few validation photos cannot tell two candidates apart, so the
expectation also uses gains on other folders (`prior_gain`). None of the candidates costs more training at this point,
so that a preference for the cheaper one would only give away accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from regraft.context.decisions import Event, Line
from regraft.context.network_features import no_longer_readable
from regraft.context.run_context import RunContext
from regraft.inference.predictor import Predictor
from regraft.measure.calibration import at_best_temperature
from regraft.measure.metrics import log_losses
from regraft.measure.paired import Difference, accuracy_difference, log_loss_difference, paired_gains
from regraft.recipes.steps.fine_tuning import FineTuned
from regraft.recipes.steps.gain import Gain
from regraft.recipes.steps.no_gain_end import Baseline
from regraft.recipes.steps.outlook import Outlook

REFIT = np.array([0.35, 0.15])
"""Shares of its mistakes and of its log-loss that the probe loses when its training photos grow by a factor of e. The
saved one is fitted on all photos, those with out-of-fold probabilities on a part; a fine-tuned network is not fitted
again (`docs/recipes.md`)."""

WIDENING = 2.0
"""Factor on the variance of a measured gain: the epoch of the fine-tuned network was chosen on the same photos."""

PRIOR_PHOTOS = 20
"""Photos that the expected variance of a photo counts for, next to the measured one."""


@dataclass(frozen=True)
class Candidate:
    """A trained classifier to compare.

    Attributes:
        title: its name in words.
        predicted: its probabilities of the validation photos, shape (n, k).
        labels: classes of these photos, shape (n,).
        tuned: the fine-tuning; None for the probe.
        growth: logarithm of the factor by which the photos of its linear probe grow before it is saved, times the share
            of the probe in its probabilities.
    """

    title: str
    predicted: NDArray[np.float64]
    labels: NDArray[np.int64]
    tuned: FineTuned | None = None
    growth: float = 0.0

    @cached_property
    def probabilities(self) -> NDArray[np.float64]:
        """The probabilities at the best temperature, shape (n, k): more confidence alone is not a gain."""
        return at_best_temperature(self.predicted, self.labels)

    @property
    def baseline(self) -> Baseline:
        """The figures that a fine-tuning has to exceed."""
        right = self.probabilities.argmax(axis=1) == self.labels
        return Baseline(float(right.mean()), float(log_losses(self.probabilities, self.labels).mean()))


@dataclass(frozen=True)
class Comparison:
    """A comparison of a candidate with the best one before it.

    Attributes:
        best: the best candidate before.
        rung: the candidate of the rung.
        gain: fall of the validation log-loss.
        accuracy: rise of the validation accuracy.
        expected: the gain that is expected on other photos.
        error: expected error of the best candidate, which ``expected`` is a share of.
        photos: number of validation photos.
        is_gain: whether the new candidate is kept.
    """

    best: Candidate
    rung: Candidate
    gain: Difference
    accuracy: Difference
    expected: Gain
    error: float
    photos: int
    is_gain: bool

    @property
    def winner(self) -> Candidate:
        """The better candidate."""
        return self.rung if self.is_gain else self.best

    @property
    def points(self) -> tuple[float, float, float]:
        """Expected gain of the rung in points of accuracy, and its 95 % interval."""
        return self.expected.points(self.error)

    @property
    def verdict(self) -> str:
        """The comparison in words."""
        mean, low, high = self.points
        change = f"{'falls' if self.gain.value > 0 else 'rises'} by {abs(self.gain.value):.3f}"
        return (
            f"{mean:+.1f} points expected ({low:+.1f} to {high:+.1f}) with {self.rung.title}: validation log-loss "
            f"{change} ± {self.gain.standard_error:.3f}, accuracy {100 * self.accuracy.value:+.1f} "
            f"± {100 * self.accuracy.standard_error:.1f} on {self.photos:,} photos"
        )

    def event(self) -> Event:
        """Return the event for the journal."""
        facts = {"rung": self.rung.title, "gain": self.gain.value, "standard_error": self.gain.standard_error}
        return Event("compared", {**facts, **self.facts()}, ("rung",))

    def facts(self) -> dict[str, object]:
        """Return the facts for ``metrics.json``."""
        return {
            **choice_facts(self.best.title, self.rung.title, self.points, is_gain=self.is_gain),
            "photos": self.photos,
        }

    def line(self) -> Line:
        """Return the line for the screen."""
        return Line("kept", f"{self.winner.title} · {self.verdict}")


def compare_candidates(context: RunContext, best: Candidate, rung: Candidate, outlook: Outlook) -> Comparison:
    """Return the comparison of a candidate with the best one before it; the choice is recorded.

    Args:
        context: the run.
        best: the best candidate before.
        rung: the candidate.
        outlook: the outlook of its training.
    """
    first, second, labels = best.probabilities, rung.probabilities, best.labels
    expected = outlook.prior.updated(measured_gain(best, rung, outlook))
    is_gain = context.decisions.choose(
        f"{rung.title} instead of {best.title}", "expected accuracy", lambda: expected.accuracy > 0
    )
    return Comparison(
        best=best,
        rung=rung,
        gain=log_loss_difference(first, second, labels),
        accuracy=accuracy_difference(second, first, labels),
        expected=expected,
        error=outlook.situation.error,
        photos=len(labels),
        is_gain=is_gain,
    )


def choice_facts(best: str, rung: str, points: tuple[float, float, float], *, is_gain: bool) -> dict[str, object]:
    """Return a choice between two candidates: both titles, and the points expected between the kept one and the other.

    Args:
        best: title of the best candidate before.
        rung: title of the new one.
        points: expected points of accuracy of the new one over the other, and their interval.
        is_gain: whether the new one is kept.
    """
    mean, low, high = points if is_gain else (-points[0], -points[2], -points[1])
    return {
        "kept": rung if is_gain else best,
        "discarded": best if is_gain else rung,
        "expected_points": round(mean, 3),
        "expected_interval": [round(low, 3), round(high, 3)],
    }


def measured_gain(best: Candidate, rung: Candidate, outlook: Outlook) -> Gain:
    """Return the gain on the validation photos, with the covariance of its error.

    Args:
        best: the best candidate before.
        rung: the new candidate.
        outlook: the outlook of the new candidate; it has the unit of a gain, and the expected variance.
    """
    mean, covariance = paired_gains(best.probabilities, rung.probabilities, best.labels)
    photos, scale = len(best.labels), outlook.scale
    refit = (best.growth - rung.growth) * REFIT
    error = (covariance / np.outer(scale, scale) + PRIOR_PHOTOS * outlook.measurement_error) / (photos + PRIOR_PHOTOS)
    return Gain(mean / scale - refit, WIDENING * error)


def fine_tuned_candidate(context: RunContext, title: str, tuned: FineTuned) -> Candidate:
    """Return a fine-tuning as a candidate."""
    predictor = Predictor(
        tuned.classifier, device=context.device.type, workers=context.workers, views=tuned.views, own=True
    )
    return _candidate(context, title, predictor, tuned)


def _candidate(context: RunContext, title: str, predictor: Predictor, tuned: FineTuned | None = None) -> Candidate:
    entries = context.parts.gradient.validation
    scores = predictor.scores(entries, store=context.store)
    for row, why in scores.failed:
        raise no_longer_readable(entries[row], why)
    return Candidate(title, scores.values, context.dataset.labels(entries), tuned)
