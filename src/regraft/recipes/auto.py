"""`auto`: the linear probe first, then fine-tuning where it is worth trying and the budget allows; the better is kept.

The probe is a candidate like any other. Candidates are compared on a validation part that neither was fitted on, by
log-loss, photo by photo, each at its best temperature: being surer of the same answers is no gain. A difference within
two standard errors goes to the probe, which is the cheaper (as in Breiman et al. 1984, "Classification and Regression
Trees", section 3.4.3, where one is enough: there nothing was chosen on the photos that decide).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from regraft.data.manifest import Entry
from regraft.inference.predictor import Predictor
from regraft.measure.calibration import at_best_temperature
from regraft.measure.paired import log_loss_difference
from regraft.models.classifier import Classifier
from regraft.probe.probe import Probe
from regraft.recipes.fine_tune import Plan, Tuned, plan_of, tune
from regraft.recipes.interpolation import SHARES
from regraft.recipes.job import Job
from regraft.recipes.linear_probe import outcome_of
from regraft.recipes.outcome import Outcome
from regraft.recipes.photos import Parts, gradient_parts, linear_parts
from regraft.recipes.precision import step_seconds
from regraft.recipes.probing import probe_classifier, solve_probe
from regraft.screen import clock

MIN_TRAIN = 100
"""Fewer photos to train on are not worth fine-tuning: the probe is better on them."""

MIN_CHOOSE = 20
"""With fewer validation photos a comparison of two candidates says nothing."""

CLEARLY = 2.0
"""Standard errors that a gain must exceed. One is not enough: the epoch compared was chosen on the same photos."""

EXACT = 0.995
"""Out-of-fold accuracy of the probe above which there is nothing left to gain."""

A_SAMPLE = 16
"""Photos of a feature pass from which on its speed says something; the others were in the store."""

RESERVE = 1.15
"""How much longer than measured things may take before they break the budget."""


def run(job: Job) -> Outcome:
    """Solve the probe, fine-tune where that can pay, and return the better one."""
    linear, parts = linear_parts(job.photos), gradient_parts(job.photos, job.config)
    probe = solve_probe(job, linear.refit, nested=True)
    reason = _not_worth_it(probe, parts)
    plan = None if reason else _affordable(job, parts)
    if plan is None:
        job.screen.line("plan", f"linear probe only · {reason or 'fine-tuning does not fit into the budget'}")
        return outcome_of(job, linear, probe, fine_tuning=reason or "did not fit into the budget")
    start = solve_probe(job, parts.train, nested=False, label="start")
    tuned = tune(job, plan, start, parts.train, parts.choose, reserve=_after_seconds(job, parts))
    gain, error = _gain(job, tuned, start, parts.choose)
    better = gain > CLEARLY * error
    verdict = (
        f"validation log-loss {'falls' if gain > 0 else 'rises'} by {abs(gain):.3f} ± {error:.3f} "
        f"on {len(parts.choose):,} photos"
    )
    job.note_once("compared", gain=gain, standard_error=error, kept=tuned.said["trained"] if better else "probe")
    job.screen.line("kept", f"{plan.title if better else 'linear probe'} · {verdict}")
    if not better:
        return outcome_of(job, linear, probe, fine_tuning=f"no clear gain: {verdict}")
    return _with_tuned(job, parts, tuned, probe)


def _not_worth_it(probe: Probe, parts: Parts) -> str:
    if len(parts.train) < MIN_TRAIN:
        return f"{len(parts.train)} training photos are too few to fine-tune on"
    if len(parts.choose) < MIN_CHOOSE:
        return f"{len(parts.choose)} validation photos are too few to choose by"
    if probe.cv_accuracy >= EXACT:
        return f"the probe is right on {100 * probe.cv_accuracy:.1f} % already"
    return ""


def _affordable(job: Job, parts: Parts) -> Plan | None:
    """Return the plan that fits into the budget by measured speed, or None; without a budget, the full plan."""
    plan = plan_of(job)
    if job.config.budget is None:
        job.screen.line("plan", f"linear probe · {plan.title}, {plan.epochs} epochs", "no budget given")
        return plan
    per_epoch = job.choose(
        "seconds per epoch", "timed training steps", lambda: round(_epoch_seconds(job, plan, parts), 2)
    )

    def fitting() -> int:
        left = (job.seconds_left() or 0.0) - _after_seconds(job, parts)
        return min(plan.epochs, int(left / (RESERVE * per_epoch)))

    epochs = job.choose("epochs", "as many as fit into the budget", fitting)
    spent = clock(epochs * per_epoch)
    if epochs < 1:
        return None
    job.screen.line("plan", f"linear probe · {plan.title}, {epochs} epochs, about {spent}", "within the budget")
    return replace(plan, epochs=epochs)


def _epoch_seconds(job: Job, plan: Plan, parts: Parts) -> float:
    classifier = Classifier(job.backbone, job.photos.classes)
    classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    classifier.unfreeze(plan.unfreeze)
    step = step_seconds(classifier, plan.batch_size)
    return step * len(parts.train) / plan.batch_size + len(parts.choose) * _photo_seconds(job)


def _after_seconds(job: Job, parts: Parts) -> float:
    passes = len(parts.report) + len(SHARES) * len(parts.choose)
    return 2.0 + RESERVE * _photo_seconds(job) * passes


def _photo_seconds(job: Job) -> float:
    passes = [e for e in job.folder.journal.events() if e.get("event") == "features" and e["photos"] >= A_SAMPLE]
    return float(passes[-1]["seconds"]) / int(passes[-1]["photos"]) if passes else 0.05


def _gain(job: Job, tuned: Tuned, start: Probe, choose: Sequence[Entry]) -> tuple[float, float]:
    """Return by how much fine-tuning lowers the calibrated log-loss on ``choose``, and the standard error of that."""
    y = job.photos.labels(choose)
    ours = _probabilities(job, Predictor(tuned.classifier, device=job.device.type, workers=job.workers), choose)
    settings = {"device": job.device.type, "engine": job.engine.title}  # whose features the store has
    probes = _probabilities(job, Predictor(probe_classifier(job, start), workers=job.workers, **settings), choose)
    difference = log_loss_difference(at_best_temperature(probes, y), at_best_temperature(ours, y), y)
    return difference.value, difference.standard_error


def _probabilities(job: Job, predictor: Predictor, entries: Sequence[Entry]) -> NDArray[np.float64]:
    return predictor.scores(entries, store=job.store).values


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
        said=tuned.said,
    )
