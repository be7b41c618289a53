"""`auto`: the linear probe first, then rung after rung of the ladder while the budget allows and a gain is seen.

The probe is a candidate like any other. Candidates are compared on a validation part that neither was fitted on, by
log-loss, photo by photo, each at its best temperature: being surer of the same answers is no gain. A difference within
a standard error goes to the cheaper one (Breiman et al. 1984, "Classification and Regression Trees", section 3.4.3),
and within up to two where few photos decide. A rung without a gain ends the climb.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from regraft.context.dataset import Parts, gradient_parts, linear_parts
from regraft.context.run_context import Job
from regraft.data.manifest import Entry
from regraft.errors import PhotosError
from regraft.inference.predictor import Predictor
from regraft.measure.calibration import at_best_temperature
from regraft.measure.paired import log_loss_difference
from regraft.models.classifier import Classifier
from regraft.models.freeze_ledger import block_checksums
from regraft.probe.linear_probe import Probe
from regraft.recipes.fine_tune import Plan, Tuned, starting_point, tune
from regraft.recipes.linear_probe import outcome_of
from regraft.recipes.result import Outcome
from regraft.recipes.steps.budget import Rung, after_seconds, fitted, pooled_views, rungs, said, training_seconds
from regraft.recipes.steps.input_size import for_tuning
from regraft.recipes.steps.solve_probe import probe_classifier, solve_probe

MIN_TRAIN = 100
"""Fewer photos to train on are not worth fine-tuning: the probe is better on them."""

MIN_CHOOSE = 20
"""With fewer validation photos a comparison of two candidates says nothing."""

FEW = 50
"""Photos up to which a gain must exceed two standard errors; with more of them, it comes down to one. The epoch that is
compared was chosen on the same photos, which flatters it the more, the fewer they are."""

EXACT = 0.995
"""Out-of-fold accuracy of the probe above which there is nothing left to gain."""


@dataclass
class _Best:
    """The best candidate so far.

    Attributes:
        title: in words.
        probabilities: of the photos that choices look at, each candidate at its best temperature.
        tuned: how it was trained; None for the probe.
    """

    title: str
    probabilities: NDArray[np.float64]
    tuned: Tuned | None = None


def run(job: Job) -> Outcome:
    """Solve the probe, climb the ladder as long as that pays, and return the best."""
    linear, parts = linear_parts(job.photos), gradient_parts(job.photos, job.config)
    probe = solve_probe(job, linear.refit, nested=True, views=pooled_views(job, linear, parts))
    reason = _not_worth_it(probe, parts)
    if reason:
        job.screen.line("plan", f"linear probe only · {reason}")
        return outcome_of(job, linear, probe, fine_tuning=reason)
    tuning = for_tuning(job)
    ladder = rungs(tuning, parts)
    _say_plan(tuning, ladder, parts)
    best, ended = _climb(job, tuning, ladder, parts)
    if best.tuned is None:
        return outcome_of(job, linear, probe, fine_tuning=ended)
    return _with_tuned(job, parts, best.tuned, probe)


def _not_worth_it(probe: Probe, parts: Parts) -> str:
    if len(parts.train) < MIN_TRAIN:
        return f"{len(parts.train)} training photos are too few to fine-tune on"
    if len(parts.choose) < MIN_CHOOSE:
        return f"{len(parts.choose)} validation photos are too few to choose by"
    if probe.cv_accuracy >= EXACT:
        return f"the probe is right on {100 * probe.cv_accuracy:.1f} % already"
    return ""


def _say_plan(job: Job, ladder: Sequence[Rung], parts: Parts) -> None:
    """Say what may be trained, in which order, and how long each would take; nothing is decided yet."""
    for number, rung in enumerate(ladder, start=2):
        fits = fitted(job, rung, parts)
        text = f"{number}. {rung.title if fits is None else said(fits)}"
        note = "(only after a gain)" if number > 2 else "(after 1., the linear probe)"
        job.screen.line("plan" if number == 2 else "", text, "(does not fit into the budget)" if fits is None else note)


def _climb(job: Job, tuning: Job, ladder: Sequence[Rung], parts: Parts) -> tuple[_Best, str]:
    """Train rung after rung; return the best candidate, and why the climb ended."""
    start = compared = solve_probe(job, parts.train, nested=False, label="start")
    if tuning is not job:
        start = solve_probe(tuning, parts.train, nested=False, label="start of fine-tuning")
    labels = job.photos.labels(parts.choose)
    probe = Predictor(
        probe_classifier(job, compared), device=job.device.type, workers=job.workers, engine=job.engine.title, own=True
    )  # the engine whose features the store has
    best = _Best("linear probe", _calibrated(job, probe, parts.choose))
    pretrained = block_checksums(probe.classifier)
    for rung in ladder:
        plan = _affordable(tuning, replace(rung, plan=_after(rung.plan, best)), parts)
        if plan is None:
            job.screen.line("budget", f"{rung.title} no longer fits", "")
            return best, f"{rung.title} did not fit into the budget"
        began = starting_point(tuning, plan, start) if best.tuned is None else _unfrozen(best.tuned.classifier, plan)
        tuned = tune(
            tuning,
            plan,
            began,
            parts.train,
            parts.choose,
            reserve=after_seconds(job, parts),
            training=0.0 if job.config.budget is None else training_seconds(tuning, plan, parts),
            pretrained=pretrained,
        )
        predictor = Predictor(
            tuned.classifier, device=job.device.type, workers=job.workers, views=tuned.views, own=True
        )
        found = _Best(
            plan.title,
            _calibrated(job, predictor, parts.choose),
            tuned,
        )
        difference = log_loss_difference(best.probabilities, found.probabilities, labels)
        gain, error = difference.value, difference.standard_error
        better = gain > clearly(len(parts.choose)) * error
        kept = found if better else best
        verdict = (
            f"validation log-loss {'falls' if gain > 0 else 'rises'} by {abs(gain):.3f} ± {error:.3f} "
            f"on {len(parts.choose):,} photos"
        )
        job.note_once("compared", "rung", rung=plan.title, gain=gain, standard_error=error, kept=kept.title)
        job.screen.line("kept", f"{kept.title} · {verdict} with {plan.title}")
        if not better:
            return best, f"no clear gain: {verdict}"
        best = found
    return best, ""


def _after(plan: Plan, best: _Best) -> Plan:
    """Return the plan with which a rung goes on from the best candidate so far."""
    return plan if best.tuned is None else replace(plan, goes_on=True)


def clearly(photos: int) -> float:
    """Return how many standard errors a gain on so many photos must exceed."""
    return 1.0 + min(1.0, FEW / photos)


def _affordable(job: Job, rung: Rung, parts: Parts) -> Plan | None:
    """Return the plan of a rung as long as the budget still allows, or None; it is journaled."""
    plan = rung.plan

    def now() -> str:
        fits = fitted(job, rung, parts)
        return "0 0" if fits is None else f"{fits.plan.epochs} {fits.plan.views}"

    chosen = job.choose(f"epochs and views, {plan.stage}", "as many as fit into the budget", now)
    epochs, views = (int(part) for part in chosen.split())
    return replace(plan, epochs=epochs, views=views) if epochs else None


def _unfrozen(classifier: Classifier, plan: Plan) -> Classifier:
    """Return a copy of a trained classifier with the blocks of ``plan`` unfrozen."""
    copied = copy.deepcopy(classifier)
    copied.freeze()
    copied.unfreeze(plan.unfreeze)
    copied.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return copied


def _calibrated(job: Job, predictor: Predictor, entries: Sequence[Entry]) -> NDArray[np.float64]:
    scores = predictor.scores(entries, store=job.store)
    if scores.failed:
        which, why = scores.failed[0]
        raise PhotosError(f"{entries[which].name} could be read before, but not now: {why}")
    return at_best_temperature(scores.values, job.photos.labels(entries))


def _with_tuned(job: Job, parts: Parts, tuned: Tuned, probe: Probe) -> Outcome:
    """Return the fine-tuned classifier beside a probe that has not seen the photos that are reported on."""
    beside = solve_probe(job, parts.seen, nested=False, label="beside") if job.photos.small else probe
    return Outcome(
        chosen="fine-tune",
        classifier=tuned.classifier,
        parts=parts,
        probe=beside,
        cross_validated=probe,
        folded=linear_parts(job.photos).refit,
        headline_out_of_fold=False,
        freeze=tuned.freeze,
        views=tuned.views,
        said=tuned.said,
    )
