"""The mix of a fine-tuned network with the linear probe on several networks: a weighted mean of their probabilities.

The validation photos choose one of few weights. The probe's probabilities of them are out of fold, and the network was
not trained on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from regraft.context.decisions import Event, Line
from regraft.context.network_features import no_longer_readable
from regraft.context.run_context import RunContext
from regraft.data.manifest import Entry
from regraft.inference.predictor import Predictor
from regraft.measure.metrics import log_losses
from regraft.models.ensemble import Ensemble, members_of
from regraft.models.freeze_ledger import model_ledger
from regraft.probe.linear_probe import Probe
from regraft.recipes.steps.fine_tuning import FineTuned
from regraft.recipes.steps.solve_probe import probe_classifier

SHARES = (0.5, 0.25, 0.75)
"""Weights of the fine-tuned network to choose from; without validation photos, the first."""


@dataclass(frozen=True)
class Mix:
    """A fine-tuned network and a linear probe as one.

    Attributes:
        classifier: both of them.
        share: weight of the fine-tuned network.
        log_losses: log-loss of the validation photos by share, and of the network alone at 1.0; empty without such
            photos.
        freeze: rows of the freeze ledger of all members.
    """

    classifier: Ensemble
    share: float
    log_losses: dict[float, float]
    freeze: list[dict[str, Any]]

    def event(self) -> Event:
        """Return the event for the journal."""
        losses = {str(share): round(loss, 6) for share, loss in self.log_losses.items()}
        return Event("mix", {"share": self.share, "log_losses": losses})

    def line(self) -> Line:
        """Return the line for the screen."""
        text = f"{self.share:.0%} fine-tuned network, {1 - self.share:.0%} linear probe on all networks"
        if not self.log_losses:
            return Line("mix", text)
        alone, mixed = self.log_losses[1.0], self.log_losses[self.share]
        return Line("mix", text, f"(validation log-loss {mixed:.3f}, fine-tuned network alone {alone:.3f})")


def mix_with_probe(context: RunContext, probe: Probe, entries: Sequence[Entry], tuned: FineTuned) -> Mix:
    """Return the mix whose weight has the lowest log-loss on the validation photos.

    Args:
        context: the run, with all of its networks.
        probe: the linear probe on all networks, with out-of-fold probabilities of ``entries``.
        entries: the photos that it is fitted on; the validation photos are among them.
        tuned: the fine-tuning of the first network.
    """
    losses = _log_losses(context, probe, entries, tuned)
    share = min(SHARES, key=lambda share: losses.get(share, 0.0))
    joint = probe_classifier(context, probe)
    ensemble = Ensemble([members_of(joint), tuned.classifier], [1 - share, share], own=True)
    number, name = len(ensemble.members) - 1, tuned.classifier.backbone.spec.name
    rows = [{"member": number, "network": name, **row} for row in tuned.freeze]
    return Mix(ensemble, share, losses, model_ledger(joint, None, {}) + rows)


def _log_losses(context: RunContext, probe: Probe, entries: Sequence[Entry], tuned: FineTuned) -> dict[float, float]:
    validation = context.parts.gradient.validation
    if not validation or probe.oof is None:
        return {}
    row_of = {entry.name: row for row, entry in enumerate(entries)}
    frozen = np.asarray(probe.oof, dtype=np.float64)[[row_of[entry.name] for entry in validation]]
    predictor = Predictor(
        tuned.classifier, device=context.device.type, workers=context.workers, views=tuned.views, own=True
    )
    scores = predictor.scores(validation, store=context.store)
    for row, why in scores.failed:
        raise no_longer_readable(validation[row], why)
    labels = context.dataset.labels(validation)
    return {
        share: float(log_losses((1 - share) * frozen + share * scores.values, labels).mean())
        for share in (*SHARES, 1.0)
    }
