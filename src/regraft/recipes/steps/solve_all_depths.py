"""The linear probe at all depths as a step: on the top layer and on pooled activations of all blocks."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass

from regraft.context.decisions import Event, Line
from regraft.context.run_context import RunContext
from regraft.data.manifest import Entry
from regraft.probe.depth_probe import DEPTH_SOLVER, DEPTH_STEPS, SCALES, fit_depth_probe
from regraft.probe.linear_probe import Probe
from regraft.process import release_freed_memory
from regraft.recipes.steps.solve_probe import SolvedProbe, digest, probe_key, stored_probe

LABEL = "all depths"


@dataclass(frozen=True)
class SolvedAllDepths:
    """A fitted linear probe at all depths.

    Attributes:
        solved: the probe; it is that of the top layer alone if the scale of the lower blocks is 0.
        context: the run, with the features that the probe was fitted on; `probe_classifier` of it is the classifier.
    """

    solved: SolvedProbe
    context: RunContext

    @property
    def probe(self) -> Probe:
        """The probe."""
        return self.solved.probe

    @property
    def scale(self) -> float:
        """Scale of the lower blocks; 0 leaves them out."""
        return float(self.probe.choice["depth_scale"])

    def event(self) -> Event:
        """Return the event for the journal."""
        return self.solved.event()

    def line(self) -> Line | None:
        """Return the line for the screen: the accuracy out of fold, C, and the scale."""
        line = self.solved.line()
        if line is None:
            return None
        lower = f"lower blocks scaled by {self.scale:g}" if self.scale else "lower blocks left out"
        detail = f"C = {self.probe.C:.2g}, {lower}, both chosen by cross-validation"
        return Line("depths", line.text, detail=detail)


def solve_depth_probe(context: RunContext, entries: Sequence[Entry]) -> SolvedAllDepths:
    """Return the nested linear probe of ``entries`` at all depths, from the cache if it has been solved before.

    If the features of ``context`` are those of the plain network, another pass computes those of all depths.

    Args:
        context: the run.
        entries: photos to fit and cross-validate on; duplicates and groups share a fold.

    Raises:
        NoCutError: the network has no variant that also returns pooled activations.
    """
    context = context.with_all_depths()
    units = context.dataset.units(entries)
    key = all_depths_key(context, entries, units, nested=True)
    keys = [entry.content for entry in entries]
    probe = stored_probe(context, LABEL, key, lambda: asdict(fit_all_depths(context, entries, groups=units, keys=keys)))
    return SolvedAllDepths(SolvedProbe(probe, LABEL, len(entries), 1, nested=True), context)


def fit_all_depths(
    context: RunContext, entries: Sequence[Entry], *, groups: Sequence[Hashable] | None, keys: Sequence[str]
) -> Probe:
    """Return the nested linear probe of ``entries`` at all depths, whose features ``context`` has.

    Args:
        context: the run.
        entries: photos to fit and cross-validate on.
        groups: for each photo, the id of the photos that share its fold.
        keys: identifier of each photo.
    """
    spec = context.features.first.backbone.spec
    with context.screen.progress("probe", DEPTH_STEPS, unit="steps") as bar:
        probe = fit_depth_probe(
            context.features.first.all_depths(entries),
            context.dataset.labels(entries),
            sizes=(spec.top_features, *(2 * channels for channels in spec.pooled)),
            classes=len(context.dataset.classes),
            groups=groups,
            keys=keys,
            class_weight=context.config.class_weight,
            seed=context.config.seed,
            bar=bar,
        )
    release_freed_memory()
    return probe


def all_depths_key(
    context: RunContext, entries: Sequence[Entry], units: Sequence[Hashable] | None, *, nested: bool
) -> str:
    """Return a hash of everything that the probe depends on within a run, in hexadecimal digits; see `probe_key`."""
    return digest([DEPTH_SOLVER, SCALES, probe_key(context, entries, units, nested=nested)])
