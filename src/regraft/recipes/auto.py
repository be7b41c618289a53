"""`auto`: the linear probe first, then one fine-tuning after another, while the budget allows and there is a gain.

The probe is a candidate like any other. Two candidates are compared by their log-loss on each validation photo; neither
was fitted on these photos. Each has its best temperature, so that more confidence alone is not a gain. If the
difference is within one standard error, or up to two if there are few photos, the cheaper candidate wins (Breiman et
al. 1984, "Classification and Regression Trees", section 3.4.3). Each fine-tuning is a rung of a ladder; the first rung
without a gain is the last.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch

from regraft.context.decisions import Report
from regraft.context.parts import Parts
from regraft.context.run_context import RunContext
from regraft.models.classifier import Classifier
from regraft.models.ensemble import members_of
from regraft.models.freeze_ledger import block_checksums
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
from regraft.recipes.steps.candidates import Candidate, compare_candidates, fine_tuned_candidate, probe_candidate
from regraft.recipes.steps.fine_tuning import FineTuned, TimeLimits, fine_tune
from regraft.recipes.steps.input_size import SizedContext, at_input_size
from regraft.recipes.steps.solve_probe import probe_classifier, solve_pooled_probe, solve_probe
from regraft.recipes.steps.trainers import pretrained_classifier
from regraft.recipes.steps.tuning_plan import Plan

MIN_TRAIN = 100
"""Minimum training photos for fine-tuning; on fewer the probe is better."""

MIN_VALIDATION = 20
"""Minimum validation photos for a comparison of two candidates."""

GOOD_ENOUGH = 0.995
"""Minimum out-of-fold accuracy of the probe for fine-tuning to be left out."""


def run(context: RunContext) -> RecipeResult:
    """Solve the probe, fine-tune while that brings a gain, and return the best candidate."""
    linear, parts = context.parts.linear, context.parts.gradient
    pooled = solve_pooled_probe(context, linear.refit, pooled_views(context, linear, parts))
    context.report(*pooled.reports())
    probe = pooled.probe
    reason = _why_not_fine_tune(probe, parts)
    if reason:
        context.screen.line("plan", f"linear probe only · {reason}")
        return probe_result(context, probe, fine_tuning=reason)
    sized = at_input_size(context)
    context.report(sized)
    ladder = rungs(sized.context, parts)
    context.report(*(Report(None, line) for line in plan_lines(sized.context, ladder, parts)))
    best, ended = _try_rungs(context, sized, ladder)
    if best.tuned is None:
        return probe_result(context, probe, fine_tuning=ended)
    return _fine_tuned_result(context, best.tuned, probe)


def _why_not_fine_tune(probe: Probe, parts: Parts) -> str:
    """Return why fine-tuning is not tried, or an empty string."""
    if len(parts.train) < MIN_TRAIN:
        return f"{len(parts.train)} training photos are too few to fine-tune on"
    if len(parts.validation) < MIN_VALIDATION:
        return f"{len(parts.validation)} validation photos are too few to compare on"
    if probe.cv_accuracy >= GOOD_ENOUGH:
        return f"the probe is right on {100 * probe.cv_accuracy:.1f} % already"
    return ""


def _try_rungs(context: RunContext, sized: SizedContext, ladder: Sequence[Rung]) -> tuple[Candidate, str]:
    """Train rung after rung; return the best candidate, and why no further rung was tried."""
    parts = context.parts.gradient
    compared = head = solve_probe(context, parts.train, nested=False, label="start")
    context.report(compared)
    if sized.context is not context:
        head = solve_probe(sized.context, parts.train, nested=False, label="start of fine-tuning")
        context.report(head)
    classifier = probe_classifier(context, compared.probe)
    best = probe_candidate(context, classifier)
    pretrained = block_checksums(members_of(classifier)[0])
    for rung in ladder:
        continued = replace(rung, plan=replace(rung.plan, continues=best.tuned is not None))
        plan = affordable_plan(sized.context, continued, parts)
        if plan is None:
            context.screen.line("budget", f"{rung.title} no longer fits", "")
            return best, f"{rung.title} did not fit into the budget"
        epochs = 0.0 if context.config.budget is None else training_seconds(sized.context, plan, parts)
        limits = TimeLimits(reserve=after_seconds(context, parts), epochs=epochs)
        start = _start(sized, plan, best, head.probe)
        tuned = fine_tune(sized, plan, start, parts.train, parts.validation, limits=limits, pretrained=pretrained)
        comparison = compare_candidates(context, best, fine_tuned_candidate(context, plan.title, tuned))
        context.report(comparison)
        if not comparison.is_gain:
            return best, f"no clear gain: {comparison.verdict}"
        best = comparison.winner
    return best, ""


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


def _fine_tuned_result(context: RunContext, tuned: FineTuned, probe: Probe) -> RecipeResult:
    """Return the fine-tuned classifier, and to compare it, a probe that was not fitted on the test photos."""
    parts = context.parts.gradient
    compared = probe
    if context.dataset.small:
        solved = solve_probe(context, parts.train_and_validation, nested=False, label="beside")
        context.report(solved)
        compared = solved.probe
    return RecipeResult(
        chosen="fine-tune",
        classifier=tuned.classifier,
        parts=parts,
        probe=compared,
        cross_validated_probe=probe,
        out_of_fold_photos=context.parts.linear.refit,
        headline_out_of_fold=False,
        freeze=tuned.freeze,
        views=tuned.views,
        facts=tuned.facts,
    )
