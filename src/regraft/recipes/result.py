"""What a recipe hands over to be saved, measured and reported."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from regraft.context.dataset import Parts
from regraft.data.manifest import Entry
from regraft.models.classifier import Classifier
from regraft.probe.linear_probe import Probe


@dataclass
class Outcome:
    """A trained classifier and how it came about.

    Attributes:
        chosen: the recipe whose classifier this is: ``linear-probe``, ``feature-extraction`` or ``fine-tune``.
        classifier: the classifier to ship.
        parts: which photos were fitted, chosen by, and are to be reported on.
        probe: the linear probe that the classifier is compared with, fitted without looking at ``parts.report``.
        cross_validated: the linear probe with out-of-fold probabilities over ``folded``, or None.
        folded: photos of the out-of-fold probabilities.
        headline_out_of_fold: whether the figure to show first is the out-of-fold one.
        freeze: rows of the freeze ledger.
        views: of each photo, whose probabilities predictions average.
        said: facts about the training for `metrics.json`, such as the best epoch.
    """

    chosen: str
    classifier: Classifier
    parts: Parts
    probe: Probe
    cross_validated: Probe | None
    folded: list[Entry]
    headline_out_of_fold: bool
    freeze: list[dict[str, Any]]
    views: int = 1
    said: dict[str, Any] = field(default_factory=dict)
