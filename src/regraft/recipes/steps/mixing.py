"""Mixing: a weighted mean of the probabilities of the fine-tuned network and the linear probe, as a candidate.

The two make different mistakes, most of all where few photos were trained on. The mean of their probabilities has a
lower log-loss than both on most folders (`docs/recipes.md`). So `auto` never keeps the network alone; its share may be
80 %. Predictions run the blocks that both share once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.context.decisions import Event, Line
from regraft.context.run_context import RunContext
from regraft.measure.metrics import log_losses
from regraft.models.classifier import Classifier
from regraft.models.ensemble import Ensemble, members_of
from regraft.models.freeze_ledger import freeze_ledger
from regraft.recipes.steps.candidates import Candidate, choice_facts, measured_gain
from regraft.recipes.steps.fine_tuning import FineTuned
from regraft.recipes.steps.gain import Gain
from regraft.recipes.steps.outlook import Outlook

SHARES = tuple(round(0.05 * step, 2) for step in range(4, 17))
"""Shares of the fine-tuned network to choose from: 0.2 to 0.8."""

SHARE_OF_FEW, FEW, SHARE_GROWTH = 0.4, 40, 0.1
"""The share that was best on other folders with few training photos, their number, and its rise for a factor of e: from
more photos the network learns more than the probe (`docs/recipes.md`)."""

USUAL_PHOTOS = 40.0
"""Number of validation photos that the usual share counts for."""

MIXING_CHOICE = ("share of the fine-tuned network in a mix", "validation log-loss and other folders")
"""Name of the choice of the share, and its reason."""


def usual_share(photos: int) -> float:
    """Return the share of a network that was fine-tuned on this many photos, without a measurement."""
    share = SHARE_OF_FEW + SHARE_GROWTH * math.log(max(photos, 1) / FEW)
    return min(SHARES, key=lambda one: abs(one - share))


def mixing_share(
    probe: NDArray[np.float64], tuned: NDArray[np.float64], labels: NDArray[np.int64], photos: int
) -> float:
    """Return the share of the fine-tuned network in the mean of the probabilities.

    It maximizes the likelihood of the validation photos together with that of `USUAL_PHOTOS` imagined ones, which
    favor the `usual_share`: the log-loss as a function of the share is flat, and few photos would choose an extreme.

    Args:
        probe: probabilities of the linear probe, shape (n, k).
        tuned: those of the fine-tuned network, shape (n, k).
        labels: class of each photo, shape (n,).
        photos: number of training photos.
    """
    usual = usual_share(photos)

    def loss(share: float) -> float:
        measured = log_losses((1 - share) * probe + share * tuned, labels).sum()
        imagined = usual * np.log(share) + (1 - usual) * np.log(1 - share)
        return float(measured - USUAL_PHOTOS * imagined)

    return min(SHARES, key=loss)


@dataclass(frozen=True)
class Mix:
    """The mix of a fine-tuned network and the linear probe, compared with the probe.

    Attributes:
        tuned: the fine-tuned network.
        probe: the probe.
        share: share of the fine-tuned network.
        expected: expected gain over ``probe``.
        error: expected error of the probe, which gains are shares of.
        photos: number of validation photos.
        is_kept: whether the mix is kept.
    """

    tuned: Candidate
    probe: Candidate
    share: float
    expected: Gain
    error: float
    photos: int
    is_kept: bool = False

    @property
    def title(self) -> str:
        """Its name in words."""
        return f"{self.tuned.title} mixed with the linear probe"

    def event(self) -> Event:
        """Return the event for the journal."""
        return Event("compared", {"rung": self.title, **self.facts()}, ("rung",))

    def facts(self) -> dict[str, object]:
        """Return the facts for ``metrics.json``, as `Comparison.facts` does."""
        facts = choice_facts(self.probe.title, self.title, self.expected.points(self.error), is_gain=self.is_kept)
        return {**facts, "photos": self.photos}

    def line(self) -> Line:
        """Return the line for the screen."""
        mean, low, high = self.expected.points(self.error)
        kept = self.title if self.is_kept else self.probe.title
        return Line("kept", f"{kept} · {mean:+.1f} points expected ({low:+.1f} to {high:+.1f}) with {self.title}")


def mixed_classifier(probe: Classifier | Ensemble, tuned: FineTuned, share: float) -> Ensemble:
    """Return ``probe`` and the fine-tuned network as one classifier; ``share`` is that of the network."""
    groups = probe.groups if isinstance(probe, Ensemble) else ((probe,),)
    weights = probe.weights if isinstance(probe, Ensemble) else (1.0,)
    return Ensemble([*groups, (tuned.classifier,)], [*((1 - share) * weight for weight in weights), share], own=True)


def mixed_ledger(probe: Classifier | Ensemble, tuned: FineTuned) -> list[dict[str, Any]]:
    """Return the rows of the freeze ledger of ``probe`` and the fine-tuned network, with their numbers and networks."""
    members = members_of(probe)
    frozen = [
        {"member": number, "network": member.backbone.spec.name, **row}
        for number, member in enumerate(members)
        for row in freeze_ledger(member, None, {})
    ]
    name = tuned.classifier.backbone.spec.name
    return [*frozen, *({"member": len(members), "network": name, **row} for row in tuned.freeze)]


def compare_mix(context: RunContext, probe: Candidate, tuned: Candidate, outlook: Outlook) -> Mix:
    """Return the mix of two candidates, compared with the probe; share and choice are recorded.

    Args:
        context: the run.
        probe: the linear probe.
        tuned: the best fine-tuning, even if it is expected to be worse than the probe.
        outlook: the outlook of mixing.
    """
    photos = outlook.situation.photos
    share = context.decisions.choose(
        *MIXING_CHOICE, lambda: mixing_share(probe.predicted, tuned.predicted, probe.labels, photos)
    )
    predicted = (1 - share) * probe.predicted + share * tuned.predicted
    mixed = Candidate("mix", predicted, probe.labels, growth=(1 - share) * probe.growth)
    expected = outlook.prior.updated(measured_gain(probe, mixed, outlook))
    mix = Mix(tuned, probe, share, expected, outlook.situation.error, len(probe.labels))
    is_kept = context.decisions.choose(
        f"{mix.title} instead of {probe.title}", "expected accuracy", lambda: expected.accuracy > 0
    )
    return replace(mix, is_kept=is_kept)
