"""More frozen features for the linear probe of `auto`: all depths of the network, and a second network.

Both cost a pass of every photo. The comparison is cheap and precise: the probes have out-of-fold probabilities of all
training photos. A step is skipped if it is not expected to pay, or if its pass is too long for the budget.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Literal

from regraft.context.decisions import Event, Line, Report
from regraft.context.frozen_features import FrozenFeatures
from regraft.context.parts import Parts
from regraft.context.run_context import RunContext
from regraft.features.engines.engine_costs import PassCost, last_pass, photos_per_second, record_pass
from regraft.models.backbone import Backbone
from regraft.models.cut import NoCutError
from regraft.models.pretrained import packaged_file
from regraft.models.weights import has_weights_of
from regraft.models.zoo import build_backbone
from regraft.recipes.steps.budget import MIN_TIMED_PHOTOS, RESERVE, budget_left, photo_seconds
from regraft.recipes.steps.candidates import Candidate, choice_facts, measured_gain
from regraft.recipes.steps.frozen_probes import FrozenMean, FrozenProbe
from regraft.recipes.steps.gain import Gain
from regraft.recipes.steps.outlook import Outlook
from regraft.recipes.steps.solve_all_depths import solve_depth_probe
from regraft.recipes.steps.solve_probe import solve_probe

COMPANIONS = {"tf_efficientnet_lite0": "tf_efficientnet_lite2"}
"""The second network for a first one."""

FIRST_SHARE, LATER_SHARE = 0.15, 1.0
"""Maximum share of the budget left for a pass, before fine-tuning and after it."""

SET_UP_SECONDS = 5.0
"""Seconds to choose and check an engine."""

WORTHWHILE = 0.3
"""Minimum points of accuracy that a step must be expected to gain to be tried, and a second network to be kept, because
predictions take its pass too."""

Moment = Literal["before fine-tuning", "after fine-tuning"]


@dataclass(frozen=True)
class FrozenComparison:
    """A linear probe on more frozen features, compared with the one before.

    Attributes:
        before: the probe before.
        after: the probe on more features.
        expected: its expected gain.
        error: expected error of ``before``, which the gain is a share of.
        is_gain: whether ``after`` is kept.
    """

    before: FrozenMean
    after: FrozenMean
    expected: Gain
    error: float
    is_gain: bool

    @property
    def winner(self) -> FrozenMean:
        """The probe that is kept."""
        return self.after if self.is_gain else self.before

    def facts(self) -> dict[str, object]:
        """Return the facts for ``metrics.json``, as `Comparison.facts` does."""
        points = self.expected.points(self.error)
        facts = choice_facts(self.before.title, self.after.title, points, is_gain=self.is_gain)
        return {**facts, "photos": len(self.before.entries)}

    def event(self) -> Event:
        """Return the event for the journal."""
        return Event("compared", {"rung": self.after.title, **self.facts()}, ("rung",))

    def line(self) -> Line:
        """Return the line for the screen."""
        mean, low, high = self.expected.points(self.error)
        text = f"{self.winner.title} · {mean:+.1f} points expected ({low:+.1f} to {high:+.1f}) with {self.after.title}"
        return Line("kept", text, f"(out of fold, {len(self.before.entries):,} photos)")


@dataclass(frozen=True)
class Base:
    """The linear probe that fine-tuning is compared and mixed with.

    Attributes:
        probe: the probe, which may be the mean of several.
        comparisons: that of the probe on two networks with the one before, if there was one.
    """

    probe: FrozenMean
    comparisons: tuple[FrozenComparison, ...] = ()

    def with_second_network(self, context: RunContext, outlook: Outlook, parts: Parts, moment: Moment) -> Base:
        """Return the base with a second network, if there is an affordable one and it is expected to gain."""
        comparison = add_second_network(context, self.probe, outlook, parts, moment)
        return self if comparison is None else Base(comparison.winner, (comparison,))


def with_all_depths(context: RunContext, base: FrozenMean, outlook: Outlook, parts: Parts) -> FrozenMean:
    """Return the probe at all depths, or ``base`` if it is skipped or cross-validation leaves out the lower blocks.

    Args:
        context: the run, with one network.
        base: the plain linear probe.
        outlook: the outlook of a step that is compared out of fold.
        parts: photos of a training in epochs, whose end the budget must allow.
    """
    if len(context.features.networks) > 1 or context.config.views not in (None, 1):
        return base

    def wanted() -> bool:
        return outlook.of("all depths").expects(WORTHWHILE) and _fits(context, context.backbone, parts, FIRST_SHARE)

    if not context.decisions.choose("probe at all depths", "expected gain and budget", wanted):
        return base
    try:
        deep = _with_table(context.with_all_depths())
    except NoCutError:
        return base
    solved = solve_depth_probe(deep, base.entries)
    context.report(solved)
    return FrozenMean((FrozenProbe("all depths", deep, solved.probe),), base.entries) if solved.scale else base


def add_second_network(
    context: RunContext, base: FrozenMean, outlook: Outlook, parts: Parts, moment: Moment
) -> FrozenComparison | None:
    """Return the probe that also uses a second network compared with ``base``; None if there is no affordable network.

    Args:
        context: the run, with one network.
        base: the linear probe on it.
        outlook: the outlook of a step that is compared out of fold.
        parts: photos of a training in epochs, whose end the budget must allow.
        moment: when this is tried; more of the budget may be spent after fine-tuning.
    """
    backbone = _second_backbone(context, outlook, parts, moment)
    if backbone is None:
        return None
    two = _with_table(base.parts[0].context.with_network(backbone))
    solved = solve_probe(two, base.entries, nested=True, label="two networks")
    context.report(Report(solved.event()), Report(None, solved.line()))
    joint = FrozenProbe("two networks", two, solved.probe)
    after = FrozenMean((base.parts[0], joint), base.entries)
    return _compared(context, base, after, outlook.of("second network"))


def _compared(context: RunContext, before: FrozenMean, after: FrozenMean, outlook: Outlook) -> FrozenComparison:
    """Return the comparison of two probes."""
    assert before.oof is not None
    assert after.oof is not None
    labels = context.dataset.labels(before.entries)
    first, second = Candidate(before.title, before.oof, labels), Candidate(after.title, after.oof, labels)
    expected, error = outlook.prior.updated(measured_gain(first, second, outlook)), outlook.situation.error
    is_gain = context.decisions.choose(
        f"{after.title} instead of {before.title}", "expected accuracy", lambda: expected.points(error)[0] > WORTHWHILE
    )
    comparison = FrozenComparison(before, after, expected, error, is_gain)
    context.report(comparison)
    return comparison


def _second_backbone(context: RunContext, outlook: Outlook, parts: Parts, moment: Moment) -> Backbone | None:
    """Return the second network if it is expected to pay, its weights are here, and its pass fits; it is recorded."""
    config = context.config
    name = COMPANIONS.get(config.networks[0].partition(".")[0])
    if name is None or len(context.features.networks) > 1:
        return None
    share = FIRST_SHARE if moment == "before fine-tuning" else LATER_SHARE
    built: list[Backbone] = []

    def wanted() -> str:
        present = has_weights_of(config.weights, name) if config.weights else packaged_file(name) is not None
        if not present or not outlook.of("second network").expects(WORTHWHILE):
            return "none"
        built.append(build_backbone(name, weights=config.weights, size=config.size))
        return name if _fits(context, built[0], parts, share) else "none"

    chosen = context.decisions.choose(f"second network {moment}", "expected gain, its weights and the budget", wanted)
    if chosen == "none":
        return None
    return built[0] if built else build_backbone(chosen, weights=config.weights, size=config.size)


def _fits(context: RunContext, backbone: Backbone, parts: Parts, share: float) -> bool:
    """Return whether a pass of all photos through a network takes at most a share of the budget left."""
    left = budget_left(context, parts)
    if left is None:
        return True
    cost, p = last_pass(backbone.spec.name, str(context.device)), backbone.spec.preprocessing
    if cost is not None:
        per_photo = cost.at(p.height * p.width)
    else:
        speeds = [photos_per_second("eager fp32", one) for one in (context.backbone, backbone)]
        per_photo = photo_seconds(context) * max(1.0, speeds[0] / speeds[1])
    return RESERVE * (SET_UP_SECONDS + per_photo * len(context.dataset.usable)) <= share * left


def _with_table(context: RunContext) -> RunContext:
    """Return the context with the features of all photos by its last network in memory."""
    entries, network = context.dataset.usable, context.features.networks[-1]
    spec, begun = network.backbone.spec, time.monotonic()
    result = network.extract(entries)
    seconds = time.monotonic() - begun
    if result.computed >= MIN_TIMED_PHOTOS and not spec.pooled:
        pixels = spec.preprocessing.height * spec.preprocessing.width
        record_pass(spec.name, str(context.device), PassCost(seconds / result.computed, pixels))
    context.decisions.note(
        "features",
        photos=result.computed,
        from_store=result.from_store,
        seconds=round(seconds, 2),
        engine=network.engine.numerics,
        network=f"{spec.name}, all depths" if spec.pooled else spec.name,
    )
    table = network.with_table([entries[row] for row in result.rows], result.values)
    return replace(context, features=FrozenFeatures((*context.features.networks[:-1], table)))
