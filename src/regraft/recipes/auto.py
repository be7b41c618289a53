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
from regraft.models.ensemble import Ensemble, members_of
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
from regraft.recipes.steps.candidates import (
    Candidate,
    Comparison,
    compare_candidates,
    fine_tuned_candidate,
    probe_candidate,
)
from regraft.recipes.steps.fine_tuning import FineTuned, TimeLimits, fine_tune
from regraft.recipes.steps.gain import NO_GAIN, Gain
from regraft.recipes.steps.input_size import SizedContext, at_input_size
from regraft.recipes.steps.mixing import Mix, compare_mix, mixed_classifier, mixed_ledger
from regraft.recipes.steps.outlook import Outlook, outlook_after_probe
from regraft.recipes.steps.solve_probe import probe_classifier, solve_pooled_probe, solve_probe
from regraft.recipes.steps.trainers import pretrained_classifier
from regraft.recipes.steps.tuning_plan import Plan

MIN_TRAIN = 100
"""Minimum training photos for fine-tuning; on fewer the probe is better."""

MIN_VALIDATION = 20
"""Minimum validation photos for a comparison of two candidates."""


@dataclass(frozen=True)
class Climb:
    """The rungs that were tried.

    Attributes:
        probe: the linear probe as a candidate.
        best: the best candidate.
        outlook: the outlook of the next step.
        tuned: the best fine-tuning, even if the probe is better.
        lead: its expected gain over ``best``.
        comparisons: all comparisons, in their order.
        ended: why no further rung was tried; "" after the last one.
    """

    probe: Candidate
    best: Candidate
    outlook: Outlook
    tuned: Candidate | None = None
    lead: Gain = NO_GAIN
    comparisons: tuple[Comparison | Mix, ...] = ()
    ended: str = ""

    def after(self, rung: Candidate, comparison: Comparison) -> Climb:
        """Return the climb with one more rung."""
        comparisons = (*self.comparisons, comparison)
        if comparison.is_gain:
            outlook = self.outlook.after(comparison.expected, "all blocks")
            return replace(self, best=rung, outlook=outlook, tuned=rung, comparisons=comparisons)
        ended = replace(self, comparisons=comparisons, ended=f"no gain is expected: {comparison.verdict}")
        return ended if self.tuned is not None else replace(ended, tuned=rung, lead=comparison.expected)

    def facts(self) -> dict[str, object]:
        """Return the facts for ``metrics.json``."""
        return {"choices": [comparison.facts() for comparison in self.comparisons]} if self.comparisons else {}


def run(context: RunContext) -> RecipeResult:
    """Solve the probe, fine-tune while a gain is expected, and return the best candidate."""
    linear, parts = context.parts.linear, context.parts.gradient
    pooled = solve_pooled_probe(context, linear.refit, pooled_views(context, linear, parts))
    context.report(*pooled.reports())
    probe = pooled.probe
    outlook = outlook_after_probe(context, probe, parts)
    reason = _too_few_photos(parts) or skip_reason(context, outlook, "fine-tuning")
    if reason:
        context.screen.line("plan", f"linear probe only · {reason}")
        return probe_result(context, probe, fine_tuning=reason)
    sized = at_input_size(context)
    context.report(sized)
    ladder = rungs(sized.context, parts)
    context.report(*(Report(None, line) for line in plan_lines(sized.context, ladder, parts)))
    climb = _try_rungs(context, sized, ladder, outlook)
    mix = None
    if climb.tuned is not None:
        mix = compare_mix(context, climb.probe, climb.tuned, climb.best, climb.lead, outlook.of("mixing"))
        context.report(mix)
        climb = replace(climb, comparisons=(*climb.comparisons, mix))
    kept = climb.tuned if mix is not None and mix.is_kept else climb.best
    if kept is None or kept.tuned is None:
        return probe_result(context, probe, fine_tuning=climb.ended, **climb.facts())
    return _fine_tuned_result(context, climb, kept.tuned, probe, mix)


def _too_few_photos(parts: Parts) -> str:
    """Return why there are too few photos for fine-tuning, or an empty string."""
    if len(parts.train) < MIN_TRAIN:
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


def _try_rungs(context: RunContext, sized: SizedContext, ladder: Sequence[Rung], outlook: Outlook) -> Climb:
    """Train rung after rung, and return the best candidate."""
    parts = context.parts.gradient
    compared = head = solve_probe(context, parts.train, nested=False, label="start")
    context.report(compared)
    if sized.context is not context:
        head = solve_probe(sized.context, parts.train, nested=False, label="start of fine-tuning")
        context.report(head)
    classifier = probe_classifier(context, compared.probe)
    candidate = probe_candidate(context, classifier)
    climb = Climb(candidate, candidate, outlook)
    pretrained = block_checksums(members_of(classifier)[0])
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
        candidate = _fine_tune(sized, context, plan, climb.best, head.probe, pretrained)
        comparison = compare_candidates(context, climb.best, candidate, climb.outlook)
        context.report(comparison)
        climb = climb.after(candidate, comparison)
        if not comparison.is_gain:
            return climb
    return climb


def _fine_tune(
    sized: SizedContext,
    context: RunContext,
    plan: Plan,
    best: Candidate,
    head: Probe,
    pretrained: Mapping[str, str],
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
        baseline=None if asked_for else best.baseline,
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
    context: RunContext, climb: Climb, tuned: FineTuned, probe: Probe, mix: Mix | None
) -> RecipeResult:
    """Return the fine-tuned classifier, or its mix with a probe that was not fitted on the test photos."""
    parts = context.parts.gradient
    compared = probe
    if context.dataset.small:
        solved = solve_probe(context, parts.train_and_validation, nested=False, label="beside")
        context.report(solved)
        compared = solved.probe
    classifier: Classifier | Ensemble = tuned.classifier
    facts, freeze = tuned.facts | climb.facts(), tuned.freeze
    if mix is not None and mix.is_kept:
        joint = probe_classifier(context, compared)
        classifier, freeze = mixed_classifier(joint, tuned, mix.share), mixed_ledger(joint, tuned)
        facts["share_of_fine_tuned"] = mix.share
    return RecipeResult(
        chosen="fine-tune",
        classifier=classifier,
        parts=parts,
        probe=compared,
        cross_validated_probe=probe,
        out_of_fold_photos=context.parts.linear.refit,
        headline_out_of_fold=False,
        freeze=freeze,
        views=tuned.views,
        facts=facts,
    )
