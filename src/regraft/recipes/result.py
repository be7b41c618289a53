"""The result of a recipe, as it is saved, measured and reported."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.context.parts import Parts
from regraft.context.run_context import RunContext
from regraft.data.manifest import Entry
from regraft.models.classifier import Classifier
from regraft.models.ensemble import Ensemble
from regraft.models.freeze_ledger import model_ledger
from regraft.probe.linear_probe import Probe
from regraft.recipes.steps.solve_probe import probe_classifier


@dataclass(frozen=True)
class RecipeResult:
    """A trained classifier, and how it was trained.

    Attributes:
        chosen: the recipe of the classifier: ``linear-probe``, ``feature-extraction`` or ``fine-tune``.
        classifier: the classifier to save, or several as one.
        parts: the photos for its training, its validation and its test.
        probe: the linear probe that it is compared with, fitted without the photos of ``parts.test``.
        cross_validated_probe: the linear probe with out-of-fold probabilities of ``out_of_fold_photos``, or None.
        out_of_fold_photos: the photos that these probabilities belong to, in the same order.
        headline_out_of_fold: whether the out-of-fold figure is the headline.
        freeze: rows of the freeze ledger.
        views: number of views of a photo; a prediction averages their probabilities.
        facts: facts about the training for `metrics.json`, such as the best epoch.
        out_of_fold: out-of-fold probabilities of ``out_of_fold_photos`` by the saved classifier, shape (n, k); None if
            they are those of ``cross_validated_probe``, or unknown.
    """

    chosen: str
    classifier: Classifier | Ensemble
    parts: Parts
    probe: Probe
    cross_validated_probe: Probe | None
    out_of_fold_photos: list[Entry]
    headline_out_of_fold: bool
    freeze: list[dict[str, Any]]
    views: int = 1
    facts: dict[str, Any] = field(default_factory=dict)
    out_of_fold: NDArray[np.float64] | None = None


def probe_result(context: RunContext, probe: Probe, **facts: Any) -> RecipeResult:
    """Return the result that saves ``probe``, which was fitted on all photos of ``parts.linear.refit``."""
    parts = context.parts.linear
    classifier = probe_classifier(context, probe)
    return RecipeResult(
        chosen="linear-probe",
        classifier=classifier,
        parts=parts,
        probe=probe,
        cross_validated_probe=probe,
        out_of_fold_photos=parts.refit,
        headline_out_of_fold=parts.test_side is None,
        freeze=model_ledger(classifier, None, {}),
        facts=dict(facts),
    )
