"""`auto`: the linear probe first, then one fine-tuning after another, while the budget allows and a gain is expected.

The probe is a candidate like any other. Two candidates are compared on the validation photos, on which neither was
fitted, and the one of the higher expected accuracy is kept. The expectation combines this measurement with gains on
other folders (`regraft.recipes.steps.prior_gain`), because few validation photos cannot tell two candidates apart. Each
fine-tuning is a rung of a ladder. A rung that is not expected to pay is skipped, and so is all that would follow it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from regraft.context.decisions import Report
from regraft.context.parts import Parts
from regraft.context.run_context import RunContext
from regraft.models.classifier import Classifier
from regraft.models.freeze_ledger import block_checksums, model_ledger
from regraft.probe.linear_probe import Probe
from regraft.recipes.result import RecipeResult, probe_result
from regraft.recipes.steps.budget import (
    Rung,
    affordable_plan,
    after_seconds,
    plan_lines,
    pooled_views,
    rungs,
    training_seconds,
)
from regraft.recipes.steps.candidates import (
    Candidate,
    Comparison,
    compare_candidates,
    fine_tuned_candidate,
)
from regraft.recipes.steps.evidence import fine_tuning_step, mixing_step
from regraft.recipes.steps.fine_tuning import FineTuned, TimeLimits, fine_tune
from regraft.recipes.steps.frozen_probes import FrozenMean, FrozenProbe
from regraft.recipes.steps.input_size import SizedContext, at_input_size
from regraft.recipes.steps.mixing import Mix, compare_mix, mixed_classifier, mixed_ledger
from regraft.recipes.steps.more_features import Base, with_all_depths
from regraft.recipes.steps.no_gain_end import Baseline
from regraft.recipes.steps.outlook import Outlook, outlook_after_probe
from regraft.recipes.steps.solve_probe import solve_pooled_probe, solve_probe
from regraft.recipes.steps.trainers import pretrained_classifier
from regraft.recipes.steps.tuning_plan import Plan

MIN_TRAIN, MIN_PER_CLASS = 30, 6
"""Minimum training photos for fine-tuning, in all and on average over the classes: the evidence has none with fewer."""

MIN_VALIDATION = 5
"""Minimum validation photos for a comparison of two candidates."""


@dataclass(frozen=True)
class Climb:
    """The rungs that were tried.

    Attributes:
        probe: the linear probe as a candidate.
        best: the best candidate.
        outlook: the outlook of the next step.
        tuned: the best fine-tuning, even if the probe is better.
        comparisons: all comparisons, in their order.
        ended: why no further rung was tried; "" after the last one.
    """

    probe: Candidate
    best: Candidate
    outlook: Outlook
    tuned: Candidate | None = None
    comparisons: tuple[Comparison | Mix, ...] = ()
    ended: str = ""

    def after(self, rung: Candidate, comparison: Comparison) -> Climb:
        """Return the climb with one more rung."""
        comparisons = (*self.comparisons, comparison)
        if comparison.is_gain:
            outlook = self.outlook.after(comparison.expected, "all blocks")
            return replace(self, best=rung, outlook=outlook, tuned=rung, comparisons=comparisons)
        ended = replace(self, comparisons=comparisons, ended=f"no gain is expected: {comparison.verdict}")
        return ended if self.tuned is not None else replace(ended, tuned=rung)


def run(context: RunContext) -> RecipeResult:
    """Solve the probe, fine-tune while a gain is expected, and return the best candidate."""
    linear, parts = context.parts.linear, context.parts.gradient
    pooled = solve_pooled_probe(context, linear.refit, pooled_views(context, linear, parts))
    context.report(*pooled.reports())
    plain = pooled.probe
    first = outlook_after_probe(context, plain.oof, parts).out_of_fold(len(linear.refit))
    base = Base(FrozenMean((FrozenProbe("plain", context, plain),), linear.refit))
    if plain.oof is not None:
        base = Base(with_all_depths(context, base.probe, first, parts))
        base = base.with_second_network(context, first, parts, "before fine-tuning")
    outlook = outlook_after_probe(context, base.probe.oof, parts).of(fine_tuning_step(base.probe.networks))
    mixing = outlook.of(mixing_step(base.probe.networks))
    reason = _incomparable(parts, base, len(context.dataset.classes)) or skip_reason(context, mixing, "fine-tuning")
    if reason:
        context.screen.line("plan", f"linear probe only · {reason}")
        return _probe_result(context, base, plain, reason)
    sized = at_input_size(context)
    context.report(sized)
    ladder = rungs(sized.context, parts)
    context.report(*(Report(None, line) for line in plan_lines(sized.context, ladder, parts)))
    climb = _try_rungs(context, base, sized, ladder, outlook)
    if not base.comparisons and plain.oof is not None:
        later = base.with_second_network(context, first, parts, "after fine-tuning")
        if later.probe is not base.probe:
            outlook = outlook_after_probe(context, later.probe.oof, parts).of(fine_tuning_step(later.probe.networks))
            climb = replace(climb, probe=_comparable(context, later).candidate(context, parts.validation))
        base = later
    return _best(context, base, plain, climb, outlook)


def _best(context: RunContext, base: Base, plain: Probe, climb: Climb, outlook: Outlook) -> RecipeResult:
    """Return the mix of the best fine-tuning and the probe, or the probe."""
    tuned = climb.tuned
    if tuned is None:
        return _probe_result(context, base, plain, climb.ended, climb)
    mix = compare_mix(context, climb.probe, tuned, outlook.of(mixing_step(base.probe.networks)))
    context.report(mix)
    climb = replace(climb, comparisons=(*climb.comparisons, mix))
    if not mix.is_kept or tuned.tuned is None:
        return _probe_result(context, base, plain, climb.ended or f"{mix.title} is not expected to gain", climb)
    return _fine_tuned_result(context, base, plain, climb, tuned.tuned, mix)


def _probe_result(
    context: RunContext, base: Base, plain: Probe, reason: str, climb: Climb | None = None
) -> RecipeResult:
    """Return the result that saves the linear probe; ``reason`` is why nothing else is saved."""
    result = probe_result(context, plain, fine_tuning=reason, **_facts(base, climb))
    if base.probe.parts[0].kind == "plain" and len(base.probe.parts) == 1:
        return result
    classifier = base.probe.classifier()
    freeze = model_ledger(classifier, None, {})
    return replace(result, classifier=classifier, freeze=freeze, out_of_fold=base.probe.oof)


def _facts(base: Base, climb: Climb | None) -> dict[str, object]:
    """Return the facts for ``metrics.json``: all comparisons."""
    comparisons = (*base.comparisons, *(() if climb is None else climb.comparisons))
    return {"choices": [comparison.facts() for comparison in comparisons]} if comparisons else {}


def _incomparable(parts: Parts, base: Base, classes: int) -> str:
    """Return why a fine-tuning cannot be trained or compared with the probe, or an empty string."""
    if base.probe.oof is None:
        return "photos in fewer than three groups are too few to compare on"
    if len(parts.train) < max(MIN_TRAIN, MIN_PER_CLASS * classes):
        return f"{len(parts.train)} training photos are too few to fine-tune on"
    if len(parts.validation) < MIN_VALIDATION:
        return f"{len(parts.validation)} validation photos are too few to compare on"
    return ""


def skip_reason(context: RunContext, outlook: Outlook, title: str) -> str:
    """Return why a rung is not expected to pay, or an empty string; with ``--unfreeze``, it is tried in any case."""
    if context.config.unfreeze is not None:
        return ""
    pays = context.decisions.choose(f"{title} is expected to pay", "gains on other folders", lambda: outlook.pays)
    return "" if pays else f"{title} is expected to add {outlook.points:.1f} points, {outlook.why}"


def _try_rungs(context: RunContext, base: Base, sized: SizedContext, ladder: Sequence[Rung], outlook: Outlook) -> Climb:
    """Train rung after rung, and return the best candidate."""
    parts = context.parts.gradient
    probe = _comparable(context, base)
    candidate, start = (one.candidate(context, parts.validation) for one in (probe, probe.first))
    head = solve_probe(sized.context, parts.train, nested=False, label="start of fine-tuning")
    context.report(head)
    climb = Climb(candidate, candidate, outlook)
    pretrained = block_checksums(pretrained_classifier(sized.context, head.probe))
    for rung in ladder:
        reason = skip_reason(context, climb.outlook, rung.title) if climb.comparisons else ""
        if reason:
            context.screen.line("skipped", reason)
            return replace(climb, ended=reason)
        continued = replace(rung, plan=replace(rung.plan, continues=climb.best.tuned is not None))
        plan = affordable_plan(sized.context, continued, parts)
        if plan is None:
            context.screen.line("budget", f"{rung.title} no longer fits", "")
            return replace(climb, ended=f"{rung.title} did not fit into the budget")
        behind = start if climb.best.tuned is None else climb.best
        candidate = _fine_tune(sized, context, plan, climb.best, head.probe, pretrained, behind.baseline)
        comparison = compare_candidates(context, climb.best, candidate, climb.outlook)
        context.report(comparison)
        climb = climb.after(candidate, comparison)
        if not comparison.is_gain:
            return climb
    return climb


def _comparable(context: RunContext, base: Base) -> FrozenMean:
    """Return the probe, fitted without the test photos."""
    photos = context.parts.gradient.train_and_validation
    return base.probe.fitted_on(photos, "beside") if context.dataset.small else base.probe


def _fine_tune(
    sized: SizedContext,
    context: RunContext,
    plan: Plan,
    best: Candidate,
    head: Probe,
    pretrained: Mapping[str, str],
    baseline: Baseline,
) -> Candidate:
    """Train as a rung plans, from the best candidate so far."""
    parts, asked_for = context.parts.gradient, context.config.unfreeze is not None
    epochs = 0.0 if context.config.budget is None else training_seconds(sized.context, plan, parts)
    tuned = fine_tune(
        sized,
        plan,
        _start(sized, plan, best, head),
        parts.train,
        parts.validation,
        limits=TimeLimits(reserve=after_seconds(context, parts), epochs=epochs),
        pretrained=pretrained,
        baseline=None if asked_for else baseline,
    )
    return fine_tuned_candidate(context, plan.title, tuned)


def _start(sized: SizedContext, plan: Plan, best: Candidate, head: Probe) -> Classifier:
    """Return the classifier that a rung starts from: the best so far, or the pretrained network with the probe."""
    if best.tuned is None:
        classifier = pretrained_classifier(sized.context, head)
    else:
        classifier = copy.deepcopy(best.tuned.classifier)
        classifier.freeze()
    classifier.unfreeze(plan.unfreeze)
    classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return classifier


def _fine_tuned_result(
    context: RunContext, base: Base, plain: Probe, climb: Climb, tuned: FineTuned, mix: Mix
) -> RecipeResult:
    """Return the mix of a fine-tuned network with a probe that was not fitted on the test photos."""
    parts = context.parts.gradient
    without_test = plain
    if context.dataset.small:
        solved = solve_probe(context, parts.train_and_validation, nested=False, label="beside")
        context.report(solved)
        without_test = solved.probe
    joint = _comparable(context, base).classifier()
    return RecipeResult(
        chosen="fine-tune",
        classifier=mixed_classifier(joint, tuned, mix.share),
        parts=parts,
        probe=without_test,
        cross_validated_probe=plain,
        out_of_fold_photos=context.parts.linear.refit,
        headline_out_of_fold=False,
        freeze=mixed_ledger(joint, tuned),
        views=tuned.views,
        facts=tuned.facts | _facts(base, climb) | {"share_of_fine_tuned": mix.share},
    )
