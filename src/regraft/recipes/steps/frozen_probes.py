"""The linear probe of `auto`: one, or the mean of the probabilities of several linear probes on frozen features.

The probe at all depths replaces the plain one where it helps. With a second network, the mean of the probe on the first
and of the probe on both is more robust than the latter alone (`docs/recipes.md`). Each of them is cross-validated, so
that the mean has out-of-fold probabilities too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from regraft.context.run_context import RunContext
from regraft.data.manifest import Entry
from regraft.inference.predictor import Predictor
from regraft.models.classifier import Classifier
from regraft.models.ensemble import Ensemble, members_of
from regraft.probe.linear_probe import Probe
from regraft.recipes.steps.candidates import Candidate
from regraft.recipes.steps.solve_all_depths import solve_depth_probe
from regraft.recipes.steps.solve_probe import probe_classifier, solve_probe

OUT_OF_FOLD_GROWTH = math.log(5 / 4)
"""Logarithm of the photos of a probe over those of its fits in cross-validation with five folds."""

Kind = Literal["plain", "all depths", "two networks"]


@dataclass(frozen=True)
class FrozenProbe:
    """One linear probe on frozen features.

    Attributes:
        kind: its features.
        context: the run, with these features.
        probe: the probe.
    """

    kind: Kind
    context: RunContext
    probe: Probe

    def fitted_on(self, entries: Sequence[Entry], label: str) -> FrozenProbe:
        """Return the probe of the same kind on other photos, cross-validated."""
        if self.kind == "all depths":
            solved = solve_depth_probe(self.context, entries)
            return replace(self, probe=solved.probe)
        solved_probe = solve_probe(self.context, entries, nested=True, label=f"{label}, {self.kind}")
        self.context.report(solved_probe)
        return replace(self, probe=solved_probe.probe)

    def classifier(self) -> Classifier | Ensemble:
        """Return the frozen networks with the probe as their head."""
        return probe_classifier(self.context, self.probe)


@dataclass(frozen=True)
class FrozenMean:
    """The mean of the probabilities of linear probes that were fitted on the same photos.

    Attributes:
        parts: the probes; the first one is on the first network alone.
        entries: the photos that they are fitted on.
    """

    parts: tuple[FrozenProbe, ...]
    entries: Sequence[Entry]

    @property
    def title(self) -> str:
        """Its name in words."""
        depths = " at all depths" if self.parts[0].kind == "all depths" else ""
        networks = " on two networks" if self.parts[-1].kind == "two networks" else ""
        return f"linear probe{depths}{' and' if depths and networks else ''}{networks}"

    @property
    def first(self) -> FrozenMean:
        """The probe on the first network alone."""
        return replace(self, parts=self.parts[:1])

    @property
    def networks(self) -> int:
        """The number of networks that it uses."""
        return max(len(part.context.features.networks) for part in self.parts)

    @cached_property
    def oof(self) -> NDArray[np.float64] | None:
        """Mean of the out-of-fold probabilities of ``entries``, shape (n, k), or None if a probe has none."""
        tables = [part.probe.oof for part in self.parts if part.probe.oof is not None]
        return np.asarray(np.mean(tables, axis=0)) if len(tables) == len(self.parts) else None

    def fitted_on(self, entries: Sequence[Entry], label: str) -> FrozenMean:
        """Return the same probes on other photos."""
        if [entry.name for entry in entries] == [entry.name for entry in self.entries]:
            return self
        return FrozenMean(tuple(part.fitted_on(entries, label) for part in self.parts), entries)

    def classifier(self) -> Classifier | Ensemble:
        """Return the frozen networks with the probes as their heads, one group for each probe."""
        classifiers = [part.classifier() for part in self.parts]
        return classifiers[0] if len(classifiers) == 1 else Ensemble(list(map(members_of, classifiers)), own=True)

    def candidate(self, context: RunContext, entries: Sequence[Entry]) -> Candidate:
        """Return the candidate with the probabilities of ``entries``, out of fold where it was fitted on them."""
        labels, row_of = context.dataset.labels(entries), {entry.name: row for row, entry in enumerate(self.entries)}
        if self.oof is not None and all(entry.name in row_of for entry in entries):
            predicted = self.oof[[row_of[entry.name] for entry in entries]]
            return Candidate(self.title, predicted, labels, growth=OUT_OF_FOLD_GROWTH)
        predictor = Predictor(self.classifier(), device=context.device.type, workers=context.workers, own=True)
        return Candidate(self.title, predictor.scores(entries, store=context.store).values, labels)
