"""The rungs that `auto` may climb after the linear probe, each with the time that it will take on this machine.

The upper blocks from the cut point; all blocks. How many views the probe pools is found here too. What a training step
takes is measured, once on each machine; what a pass takes was measured by the first pass of this very run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from regraft.context.dataset import SMALL, Parts
from regraft.context.run_context import Job
from regraft.features.engine_costs import PassCost, last_pass, photos_per_second
from regraft.models.classifier import Classifier
from regraft.models.cut import NoCutError
from regraft.recipes.fine_tune import EPOCHS, FEW_BLOCKS, Plan, plan_of, upper_half, upper_plan
from regraft.recipes.steps.step_precision import measured_step_seconds
from regraft.screen import clock

RESERVE = 1.1
"""How much longer than measured things may take before they break the budget."""

SHORTER = ((8, 1.0), (8, 0.875), (8, 0.75), (4, 0.75), (4, 0.5), (2, 0.5), (2, 0.25))
"""Views, and shares of the epochs, that are tried in turn until a rung fits into the budget."""

LONGER = ((8, 1.25),)
"""Likewise, before those, where nothing comes after the rung: more epochs gain a little, one or two of all blocks
nothing."""

ENOUGH = 0.75
"""Share of its epochs with which training more blocks is still worth it."""

BELOW = 0.85
"""Share of a photo's first pass that a further view takes: it stops at the cut, and nothing else is looked at."""

VIEWS_SHARE = 0.1
"""Share of the budget that may go into pooling views: it seldom gains more than half a point."""

NEW_SHAPES = 10.0
"""Seconds in which a graphics processor's kernels for the shapes of a training are found, once in each process: 5 in
single precision and 14 in bfloat16 on an H100."""

AT_LEAST = 4.0
"""How many times a photo's pass a training step of all blocks takes at least: a rung that does not fit even so need
not be measured."""

A_SAMPLE = 16
"""Photos of a feature pass from which on its speed says something; the others were in the store."""


@dataclass(frozen=True)
class Rung:
    """One thing to try, and what it takes.

    Attributes:
        title: in words.
        seconds: that it will take, or None where that was not worth measuring.
        plan: the fine-tuning.
        last: whether it may take what the budget leaves, for nothing comes after it.
    """

    title: str
    seconds: float | None
    plan: Plan
    last: bool = False


def rungs(job: Job, parts: Parts) -> list[Rung]:
    """Return the trainings that may follow the linear probe, the cheapest first.

    With ``--unfreeze`` a person has said what to train, and that is the only one.

    Args:
        job: the training in progress, as it is for fine-tuning (`regraft.recipes.steps.input_size`).
        parts: what is trained on, and what choices look at.
    """
    config = job.config
    if config.unfreeze is not None:
        plan = plan_of(job)
        return [Rung(plan.title, None, plan)]
    upper = _upper(job, parts)
    whole = replace(plan_of(job), unfreeze="all", epochs=config.epochs or EPOCHS)
    if not _cuttable(job, upper) or config.views == 0:
        return [Rung(whole.title, None, whole)]
    first, then = Rung(upper.title, None, upper), Rung(whole.title, None, whole)
    both = job.choose(
        f"{whole.title} after {upper.title}", "fits into the budget", lambda: _room(job, first, then, parts)
    )
    return [first, then] if both else [replace(first, last=config.epochs is None)]


def _room(job: Job, first: Rung, then: Rung, parts: Parts) -> bool:
    """Return whether enough epochs of ``then`` fit into what ``first`` leaves of the budget."""
    left, fits = _left(job, parts), fitted(job, first, parts)
    if left is None:
        return True
    if fits is None or fits.seconds is None:
        return False
    plan = replace(then.plan, epochs=max(1, round(ENOUGH * then.plan.epochs)))
    per_pass = photo_seconds(job)
    rest = left - RESERVE * fits.seconds
    if AT_LEAST * per_pass * len(parts.train) * plan.epochs > rest:
        return False
    return RESERVE * (_set_up(job) + predicted(plan, parts, _step_seconds(job, plan), per_pass)) <= rest


def _upper(job: Job, parts: Parts) -> Plan:
    """Return the plan of the upper half of the blocks, or of the upper few where the budget would cut its epochs."""
    photos = len(parts.train)
    half = upper_plan(job, photos, upper_half(job.backbone))

    def in_time() -> bool:
        fits = fitted(job, Rung(half.title, None, half), parts) if _cuttable(job, half) else None
        return fits is not None and fits.plan.epochs >= ENOUGH * half.epochs

    return half if job.choose(half.title, "fits into the budget", in_time) else upper_plan(job, photos, FEW_BLOCKS)


def fitted(job: Job, rung: Rung, parts: Parts) -> Rung | None:
    """Return the rung as long as the budget allows, with the time that it will take; None where it does not fit."""
    plan = rung.plan
    left = _left(job, parts)
    per_pass = photo_seconds(job)
    if left is not None and plan.unfreeze == "all" and AT_LEAST * per_pass * len(parts.train) > left:
        return None
    step = _step_seconds(job, plan)
    shares = (*(LONGER if rung.last else ()), *SHORTER)
    for views, share in shares if left is not None else SHORTER[:1]:
        shorter = replace(
            plan,
            epochs=max(1, round(share * plan.epochs)),
            views=min(views, plan.views) if plan.unfreeze != "all" else plan.views,
        )
        seconds = _set_up(job) + predicted(shorter, parts, step, per_pass)
        if left is None or RESERVE * seconds <= left:
            return replace(rung, plan=shorter, seconds=seconds)
    return None


def predicted(plan: Plan, parts: Parts, step: float, per_pass: float) -> float:
    """Return the seconds that a fine-tuning takes.

    Args:
        plan: what is trained.
        parts: on which photos.
        step: seconds of training on one photo, above the cut point where there is one.
        per_pass: seconds of one photo's pass through the frozen network.
    """
    cut = plan.unfreeze != "all" and plan.views
    below = BELOW * per_pass * (plan.shown * len(parts.train) + len(parts.choose)) if cut else 0.0
    return below + _epochs_seconds(plan, parts, step)


def training_seconds(job: Job, plan: Plan, parts: Parts) -> float:
    """Return the seconds that the epochs of a fine-tuning take, its activations aside."""
    return RESERVE * (_set_up(job) + _epochs_seconds(plan, parts, _step_seconds(job, plan)))


def _set_up(job: Job) -> float:
    return 0.0 if job.device.type == "cpu" else NEW_SHAPES


def _epochs_seconds(plan: Plan, parts: Parts, step: float) -> float:
    forward = step / 3 * len(parts.choose)  # validation goes forward only
    return plan.epochs * (step * len(parts.train) + forward) + len(plan.shares) * forward


def after_seconds(job: Job, parts: Parts) -> float:
    """Return the seconds to keep for what comes after a training: comparing, saving, measuring."""
    whole = 4 * photo_seconds(job)  # by torch, which is slower than the engine of the first pass
    return 2.0 + RESERVE * whole * (len(parts.report) + len(parts.choose))


def photo_seconds(job: Job) -> float:
    """Return the seconds that a photo took in the first pass, decoding included, scaled to the size of ``job``.

    Where the store had all features, it is what the last long pass of the network on this machine took.
    """
    passes = [e for e in job.folder.journal.events() if e.get("event") == "features" and e["photos"] >= A_SAMPLE]
    p = job.backbone.spec.preprocessing
    pixels = p.height * p.width
    known = last_pass(job.backbone.spec.name, str(job.device))
    if passes:
        last = passes[-1]
        seconds = float(last.get("with_decoding", last["seconds"]))
        known = PassCost(seconds / int(last["photos"]), int(last.get("pixels", pixels)))
    return 1 / max(photos_per_second(job.engine.title, job.backbone), 1e-3) if known is None else known.at(pixels)


def said(rung: Rung) -> str:
    """Return a rung in words, with its time."""
    plan = rung.plan
    about = "" if rung.seconds is None else f" · about {clock(rung.seconds)}"
    epochs = f"{plan.epochs} epoch{'s' if plan.epochs != 1 else ''}"
    views = f" on {plan.shown} views" if plan.unfreeze != "all" and plan.views else ""
    return f"{rung.title}, {epochs}{views}{about}"


def pooled_views(job: Job, linear: Parts, parts: Parts) -> int:
    """Return how many views to pool in the probe: several where asked for, or cheap, with photos to report on."""
    return job.choose("views pooled", "cheap, and likely to help", lambda: _pooled_views(job, linear, parts))


def _pooled_views(job: Job, linear: Parts, parts: Parts) -> int:
    number = 4 if job.config.views is None else job.config.views
    seconds = photo_seconds(job) * (number - 1) * len(linear.refit)
    left = _left(job, parts)
    worth_it = linear.report_side is not None and len(linear.refit) < SMALL
    if number < 2 or (job.config.views is None and not worth_it):
        return 1
    if left is not None and seconds > VIEWS_SHARE * left:
        return 1
    return number


def _left(job: Job, parts: Parts) -> float | None:
    left = job.seconds_left()
    return None if left is None else left - after_seconds(job, parts)


def _cuttable(job: Job, plan: Plan) -> bool:
    assert isinstance(plan.unfreeze, int)
    at = len(job.backbone.blocks) - plan.unfreeze
    if at < 1:
        return False
    try:
        job.backbone.halves(at)
    except NoCutError:
        return False
    return True


def _step_seconds(job: Job, plan: Plan) -> float:
    """Return the seconds of training on one photo, timed once and journaled."""
    return job.choose(
        f"seconds per photo, {plan.stage}",
        "timed training steps",
        lambda: round(_photo_step_seconds(job, plan), 5),
    )


def _photo_step_seconds(job: Job, plan: Plan) -> float:
    classifier = Classifier(job.backbone, job.photos.classes)
    classifier.to(job.device)
    classifier.unfreeze(plan.unfreeze)
    backbone = classifier.backbone
    at = backbone.lowest_trained
    key = f"{job.backbone.spec.name} {job.backbone.spec.preprocessing.id} {plan.batch_size} {job.device.type}"
    if at == 0 or not plan.views:
        return measured_step_seconds(f"{key} whole", classifier, plan.batch_size) / plan.batch_size
    what = f"{key} from {backbone.blocks[at].name}"
    with backbone.entered_at(backbone.halves(at)):
        return measured_step_seconds(what, classifier, plan.batch_size) / plan.batch_size
