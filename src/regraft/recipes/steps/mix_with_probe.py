"""The mix of a fine-tuned network with the linear probe on several networks, which `fine-tune` makes in any case.

The validation photos choose the share of each, shrunk to the one that was best on other folders. The probe's
probabilities of them are out of fold, and the network was not trained on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from regraft.context.decisions import Event, Line
from regraft.context.run_context import RunContext
from regraft.data.manifest import Entry
from regraft.measure.metrics import log_losses
from regraft.models.ensemble import Ensemble
from regraft.probe.linear_probe import Probe
from regraft.recipes.steps.candidates import fine_tuned_candidate
from regraft.recipes.steps.fine_tuning import FineTuned
from regraft.recipes.steps.mixing import MIXING_CHOICE, mixed_classifier, mixed_ledger, mixing_share, usual_share
from regraft.recipes.steps.solve_probe import probe_classifier


@dataclass(frozen=True)
class ProbeMix:
    """A fine-tuned network and a linear probe as one.

    Attributes:
        classifier: both of them.
        share: share of the fine-tuned network.
        log_losses: log-loss of the validation photos for the mix (``mix``) and for the network alone (``fine_tuned``);
            empty without such photos.
        freeze: rows of the freeze ledger of all members.
    """

    classifier: Ensemble
    share: float
    log_losses: dict[str, float]
    freeze: list[dict[str, Any]]

    def event(self) -> Event:
        """Return the event for the journal."""
        return Event("mix", {"share": self.share, "log_losses": self.log_losses})

    def line(self) -> Line:
        """Return the line for the screen."""
        text = f"{self.share:.0%} fine-tuned network, {1 - self.share:.0%} linear probe on all networks"
        if not self.log_losses:
            return Line("mix", text)
        mixed, alone = self.log_losses["mix"], self.log_losses["fine_tuned"]
        detail = f"validation log-loss {mixed:.3f}, fine-tuned network alone {alone:.3f}"
        return Line("mix", text, detail=detail)


def mix_with_probe(context: RunContext, probe: Probe, entries: Sequence[Entry], tuned: FineTuned) -> ProbeMix:
    """Return the mix of the fine-tuned first network and the linear probe on all networks.

    Args:
        context: the run, with all of its networks.
        probe: the linear probe on all networks, with out-of-fold probabilities of ``entries``.
        entries: the photos that it is fitted on; the validation photos are among them.
        tuned: the fine-tuning of the first network.
    """
    validation, photos = context.parts.gradient.validation, len(context.parts.gradient.train)
    share, losses = usual_share(photos), dict[str, float]()
    if validation and probe.oof is not None:
        row_of = {entry.name: row for row, entry in enumerate(entries)}
        frozen = np.asarray(probe.oof, dtype=np.float64)[[row_of[entry.name] for entry in validation]]
        candidate = fine_tuned_candidate(context, "fine-tuned", tuned)
        labels, values = candidate.labels, candidate.predicted
        share = context.decisions.choose(*MIXING_CHOICE, lambda: mixing_share(frozen, values, labels, photos))
        mixed = (1 - share) * frozen + share * values
        for name, probabilities in (("mix", mixed), ("fine_tuned", values)):
            losses[name] = round(float(log_losses(probabilities, labels).mean()), 6)
    joint = probe_classifier(context, probe)
    return ProbeMix(mixed_classifier(joint, tuned, share), share, losses, mixed_ledger(joint, tuned))
