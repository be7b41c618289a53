"""The linear probe as a step: every recipe starts with it and is compared with it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from regraft.context.decisions import Event, Line, Report, StepResult
from regraft.context.network_features import NetworkFeatures
from regraft.context.run_context import RunContext
from regraft.data.loading.fixed_views import view_name
from regraft.data.manifest import Entry
from regraft.disk.row_table import stacked
from regraft.features.engines.machine_facts import machine_id
from regraft.measure.paired import Difference, log_loss_difference
from regraft.models.classifier import Classifier
from regraft.models.ensemble import Ensemble
from regraft.probe.feature_bounds import FeatureBounds
from regraft.probe.linear_probe import PROBE_STEPS, SOLVER, Probe, fit_probe
from regraft.probe.model_selection import grouped_standard_error
from regraft.probe.probe_data import STREAMED_BYTES
from regraft.probe.solver import Solution
from regraft.probe.streamed_solver import STREAMED_SOLVER
from regraft.process import release_freed_memory
from regraft.recipes.steps.probe_cache import get_or_solve
from regraft.text import counted


@dataclass(frozen=True)
class SolvedProbe:
    """A fitted linear probe.

    Attributes:
        probe: the probe.
        label: its name in the journal and on the screen.
        photos: number of photos on which it is fitted.
        views: views of each photo that it is fitted on.
        nested: whether it has nested out-of-fold probabilities.
    """

    probe: Probe
    label: str
    photos: int
    views: int
    nested: bool

    def event(self) -> Event:
        """Return the event for the journal."""
        more = {} if self.views == 1 else {"views": self.views}
        accuracy = None if math.isnan(self.probe.cv_accuracy) else round(self.probe.cv_accuracy, 6)
        facts = {"label": self.label, "photos": self.photos, "accuracy": accuracy, **self.probe.choice, **more}
        return Event("probe", facts, ("photos", "label"))

    def line(self) -> Line | None:
        """Return the line for the screen: the accuracy, if no choice has used it."""
        if not self.nested:
            return None
        accuracy = f"{100 * self.probe.cv_accuracy:.1f} % ± {100 * self.probe.cv_accuracy_error:.1f}"
        text = f"{accuracy}, cross-validated on {counted(self.photos, 'photo')}"
        searched = int(self.probe.choice.get("searched", 0))
        if self.views == 1 and 0 < searched < self.photos:
            text = f"{text} by models fitted on {searched:,} of them"
        return Line(self.label, text, detail=f"C = {self.probe.C:.2g}, chosen by cross-validation")


@dataclass(frozen=True)
class PooledProbe:
    """A linear probe that may be fitted on several views of each photo.

    Attributes:
        plain: fitted on the photos themselves.
        pooled: fitted on all views, or None if they were not tried.
        probe: the better one.
        gain: fall of the out-of-fold log-loss of the plain photos through pooling.
    """

    plain: SolvedProbe
    pooled: SolvedProbe | None
    probe: Probe
    gain: Difference | None = None

    def event(self) -> Event | None:
        """Return the event for the journal: the comparison."""
        if self.pooled is None or self.gain is None:
            return None
        facts = {"label": self.plain.label, "views": self.pooled.views, "gain": self.gain.value}
        return Event("views", {**facts, "kept": "pooled" if self.is_pooled else "plain"}, ("label",))

    def line(self) -> Line | None:
        """Return the line for the screen: the comparison."""
        if self.pooled is None or self.gain is None:
            return None
        views = self.pooled.views
        change = f"{'falls' if self.gain.value > 0 else 'rises'} by {abs(self.gain.value):.3f}"
        return Line(
            "views",
            f"pooling {views} views of each photo" if self.is_pooled else "using the original photo only",
            detail=f"out-of-fold log-loss {change} ± {self.gain.standard_error:.3f} with {views}",
        )

    def reports(self) -> list[StepResult]:
        """Return what to journal and print: both probes, the comparison, and the accuracy of the better one."""
        probes = [solved for solved in (self.plain, self.pooled) if solved is not None]
        accuracy = replace(self.plain, probe=self.probe).line()
        return [*(Report(solved.event()) for solved in probes), self, Report(None, accuracy)]

    @property
    def is_pooled(self) -> bool:
        """True if pooling lowered the log-loss by more than a standard error."""
        return self.gain is not None and self.gain.value > self.gain.standard_error


def solve_probe(
    context: RunContext, entries: Sequence[Entry], *, nested: bool, label: str = "probe", views: int = 1
) -> SolvedProbe:
    """Return the linear probe on the frozen features of ``entries``, from the cache if it has been solved before.

    Args:
        context: the run.
        entries: photos to fit and cross-validate on; duplicates and groups share a fold.
        nested: whether to compute nested out-of-fold probabilities, which no choice has used.
        label: its name in the journal and on the screen.
        views: views of each photo; it is fitted on all of them.
    """
    units = context.dataset.units(entries)
    key = probe_key(context, entries, units, nested=nested, views=views)

    def solve() -> dict[str, Any]:
        return asdict(_fit(context, entries, units, nested=nested, views=views))

    return SolvedProbe(stored_probe(context, label, key, solve), label, len(entries), views, nested)


def stored_probe(context: RunContext, label: str, key: str, solve: Callable[[], dict[str, Any]]) -> Probe:
    """Return the probe that this run or an earlier one has solved, or the result of ``solve``.

    Args:
        context: the run.
        label: name of the probe.
        key: hash of everything that it depends on within a run, in hexadecimal digits.
        solve: returns the fields of the probe.
    """
    values = context.decisions.memoized(f"probe-{label}", key, lambda: get_or_solve(cross_run_key(context, key), solve))
    return Probe(**{**values, "solution": Solution(**values["solution"])})


def solve_pooled_probe(context: RunContext, entries: Sequence[Entry], views: int) -> PooledProbe:
    """Return the nested linear probe on several views of each photo, if that is better than on the photos alone.

    Args:
        context: the run.
        entries: photos to fit and cross-validate on.
        views: views of each photo. Pooling them must lower the out-of-fold log-loss of the plain photos by more than a
            standard error; if views were compared, these figures have been used for a choice.
    """
    plain = solve_probe(context, entries, nested=True)
    if views < 2 or plain.probe.oof is None:
        return PooledProbe(plain, None, plain.probe)
    pooled = solve_probe(context, entries, nested=True, label=f"{plain.label}, {views} views", views=views)
    assert pooled.probe.oof is not None
    y, oof = context.dataset.labels(entries), pooled.probe.oof[: len(entries)]
    gain = log_loss_difference(plain.probe.oof, oof, y)
    compared = {"views_compared": views}
    if not gain.value > gain.standard_error:
        return PooledProbe(plain, pooled, replace(plain.probe, choice=plain.probe.choice | compared), gain)
    right = (oof.argmax(axis=1) == y).astype(np.float64)
    unit = np.unique(context.dataset.units(entries), return_inverse=True)[1]
    error = grouped_standard_error(right, np.ones(len(right)), unit)
    choice, accuracy = pooled.probe.choice | compared, float(right.mean())
    probe = replace(pooled.probe, oof=oof, choice=choice, cv_accuracy=accuracy, cv_accuracy_error=error)
    return PooledProbe(plain, pooled, probe, gain)


def _fit(context: RunContext, entries: Sequence[Entry], units: Sequence[str], *, nested: bool, views: int) -> Probe:
    features = stacked([context.features.of(entries, view) for view in range(views)])
    with context.screen.progress("probe", PROBE_STEPS, unit="steps") as bar:
        probe = fit_probe(
            features,
            np.tile(context.dataset.labels(entries), views),
            classes=len(context.dataset.classes),
            groups=list(units) * views,
            keys=[entry.content for entry in entries] * views,
            class_weight=context.config.class_weight,
            seed=context.config.seed,
            nested=nested,
            bar=bar,
        )
    release_freed_memory()
    return probe


def probe_key(
    context: RunContext, entries: Sequence[Entry], units: Sequence[Hashable] | None, *, nested: bool, views: int = 1
) -> str:
    """Return a hash of everything that a probe depends on within a run, in hexadecimal digits.

    Args:
        context: the run.
        entries: photos that it is fitted on.
        units: for each photo, the id of the photos that share its fold.
        nested: whether it has nested out-of-fold probabilities.
        views: views of each photo.
    """
    rows = [[e.content, e.label, str(u)] for e, u in zip(entries, units or [None] * len(entries), strict=True)]
    width = sum(network.backbone.spec.top_features for network in context.features.networks)
    streamed = 4 * width * len(entries) * views >= STREAMED_BYTES
    facts = [
        *([STREAMED_SOLVER] if streamed else []),
        context.features.weights,
        context.features.preprocessing,
        context.dataset.classes,
        context.config.class_weight,
        context.config.seed,
        nested,
        [view_name(view) for view in range(views)],
        rows,
    ]
    return digest(facts)


def cross_run_key(context: RunContext, key: str) -> str:
    """Return a hash of ``key`` and of what may differ between two runs: software, processor, engine."""
    names = [f.name for kind in (Probe, Solution) for f in fields(kind)]
    return digest([SOLVER, np.__version__, machine_id(), names, context.features.numerics, key])


def digest(facts: list[Any]) -> str:
    """Return a hash of JSON values, in hexadecimal digits."""
    return hashlib.sha256(json.dumps(facts).encode("utf-8", "surrogatepass")).hexdigest()


def probe_classifier(context: RunContext, probe: Probe) -> Classifier | Ensemble:
    """Return the run's own frozen networks with the probe as their head; see `head_classifier`."""
    return head_classifier(context, probe.weight, probe.bias, probe.bounds)


def head_classifier(
    context: RunContext,
    weight: NDArray[np.floating],
    bias: NDArray[np.floating],
    bounds: FeatureBounds | None = None,
) -> Classifier | Ensemble:
    """Return the run's own frozen networks with a linear head on their joined features.

    One network gives a classifier; several give an ensemble of one group, whose logits are a sum over the networks. The
    bias is in the first one.

    Args:
        context: the run.
        weight: shape (C, D), where D is the sum over all networks.
        bias: shape (C,).
        bounds: lowest and highest value of each feature, (D,) and (D,); None clips no feature.
    """
    members = list[Classifier]()
    start = 0
    for network in context.features.networks:
        width = weight.shape[1] if len(context.features.networks) == 1 else network.backbone.spec.top_features
        end = start + width
        own_bias = np.zeros_like(bias) if members else bias
        own_bounds = None if bounds is None else FeatureBounds(bounds.lower[start:end], bounds.upper[start:end])
        members.append(_classifier_of_network(context, network, weight[:, start:end], own_bias, own_bounds))
        start = end
    return members[0] if len(members) == 1 else Ensemble([members], own=True)


def first_network_classifier(context: RunContext, probe: Probe) -> Classifier:
    """Return the first frozen network with the probe as its head.

    Args:
        context: the run.
        probe: fitted on the features of the first network alone.
    """
    return _classifier_of_network(context, context.features.first, probe.weight, probe.bias, probe.bounds)


def _classifier_of_network(
    context: RunContext,
    network: NetworkFeatures,
    weight: NDArray[np.floating],
    bias: NDArray[np.floating],
    bounds: FeatureBounds | None,
) -> Classifier:
    plain = weight.shape[1] < network.backbone.spec.num_features  # pooled activations that the probe does not use
    backbone = context.backbone if plain else network.backbone
    classifier = Classifier(backbone, context.dataset.classes, own=True)
    limits = None if bounds is None else (torch.from_numpy(bounds.lower.copy()), torch.from_numpy(bounds.upper.copy()))
    classifier.set_head(torch.from_numpy(np.array(weight)), torch.from_numpy(np.array(bias)), limits)
    classifier.facts["engine"] = network.engine.title  # the features of this engine are in the store
    return classifier
