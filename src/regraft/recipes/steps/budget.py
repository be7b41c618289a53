"""The rungs that `auto` may try after the linear probe, each with its predicted time on this machine.

The first rung trains the upper blocks from the cut point, the second all blocks. The number of views that the probe
pools is decided here too. The time of a training step is measured once on each machine; that of a pass was measured
when the features of this run were computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from regraft.context.dataset import SMALL
from regraft.context.decisions import Line
from regraft.context.parts import Parts
from regraft.context.run_context import RunContext
from regraft.features.engines.engine_costs import PassCost, last_pass, photos_per_second
from regraft.models.classifier import Classifier
from regraft.models.cut import NoCutError
from regraft.recipes.steps.step_precision import training_step_seconds
from regraft.recipes.steps.tuning_plan import EPOCHS, FEW_BLOCKS, Plan, plan_from_options, upper_half, upper_plan
from regraft.screen import clock

RESERVE = 1.1
"""Safety factor on predicted times."""

SHORTER = ((8, 1.0), (8, 0.875), (8, 0.75), (4, 0.75), (4, 0.5), (2, 0.5), (2, 0.25))
"""Views, and shares of the epochs, to try in this order until a rung fits into the budget."""

LONGER = ((8, 1.25),)
"""The same, to try first for the last rung. There more epochs gain a little, and one or two epochs of all blocks gain
nothing."""

MIN_EPOCHS_SHARE = 0.75
"""Minimum share of its epochs for a rung of more blocks to be worth it."""

VIEW_COST = 0.85
"""Cost of a further view, as a share of a photo's first pass: it ends at the cut, and takes no photo stats."""

POOLING_SHARE = 0.1
"""Share of the budget that may go into pooling views, which seldom gains more than half a point."""

KERNEL_SEARCH_SECONDS = 10.0
"""Seconds to find a GPU's kernels for the shapes of a training, once in each process: 5 in single precision
and 14 in bfloat16 on an H100."""

MIN_STEP_COST = 4.0
"""Minimum cost of a training step of all blocks, in passes of a photo: a rung that does not fit even at this
cost is not measured."""

MIN_TIMED_PHOTOS = 16
"""Minimum photos in a pass for its speed to be used; shorter passes found most features in the store."""


@dataclass(frozen=True)
class Rung:
    """One fine-tuning to try, and its time.

    Attributes:
        title: its name in words.
        seconds: its predicted time, or None if that was not predicted.
        plan: the fine-tuning.
        last: whether it may use all of the budget left, because no other rung follows.
    """

    title: str
    seconds: float | None
    plan: Plan
    last: bool = False


def rungs(context: RunContext, parts: Parts) -> list[Rung]:
    """Return the trainings that may follow the linear probe, the cheapest first.

    With ``--unfreeze``, the only one trains the blocks that it names.

    Args:
        context: the run, at the size of the fine-tuning (`regraft.recipes.steps.input_size`).
        parts: training and validation photos.
    """
    config = context.config
    if config.unfreeze is not None:
        plan = plan_from_options(context.config)
        return [Rung(plan.title, None, plan)]
    upper = _upper(context, parts)
    whole = replace(plan_from_options(context.config), unfreeze="all", epochs=config.epochs or EPOCHS)
    if not _cuttable(context, upper) or config.views == 0:
        return [Rung(whole.title, None, whole)]
    first, then = Rung(upper.title, None, upper), Rung(whole.title, None, whole)
    both = context.decisions.choose(
        f"{whole.title} after {upper.title}", "fits into the budget", lambda: _both_fit(context, first, then, parts)
    )
    return [first, then] if both else [replace(first, last=config.epochs is None)]


def _both_fit(context: RunContext, first: Rung, then: Rung, parts: Parts) -> bool:
    """Return whether enough epochs of ``then`` fit into what ``first`` leaves of the budget."""
    left, fits = budget_left(context, parts), fit_to_budget(context, first, parts)
    if left is None:
        return True
    if fits is None or fits.seconds is None:
        return False
    plan = replace(then.plan, epochs=max(1, round(MIN_EPOCHS_SHARE * then.plan.epochs)))
    per_pass = photo_seconds(context)
    rest = left - RESERVE * fits.seconds
    if MIN_STEP_COST * per_pass * len(parts.train) * plan.epochs > rest:
        return False
    return RESERVE * (_set_up(context) + predicted_seconds(plan, parts, _step_seconds(context, plan), per_pass)) <= rest


def _upper(context: RunContext, parts: Parts) -> Plan:
    """Return the plan of the upper half of the blocks, or of `FEW_BLOCKS` if the budget would cut its epochs."""
    photos = len(parts.train)
    half = upper_plan(context.config, photos, upper_half(context.backbone))

    def in_time() -> bool:
        fits = fit_to_budget(context, Rung(half.title, None, half), parts) if _cuttable(context, half) else None
        return fits is not None and fits.plan.epochs >= MIN_EPOCHS_SHARE * half.epochs

    if context.decisions.choose(half.title, "fits into the budget", in_time):
        return half
    return upper_plan(context.config, photos, FEW_BLOCKS)


def fit_to_budget(context: RunContext, rung: Rung, parts: Parts) -> Rung | None:
    """Return the rung, shortened to the budget, with its time; None if it does not fit."""
    plan = rung.plan
    left = budget_left(context, parts)
    per_pass = photo_seconds(context)
    if left is not None and plan.unfreeze == "all" and MIN_STEP_COST * per_pass * len(parts.train) > left:
        return None
    step = _step_seconds(context, plan)
    shares = (*(LONGER if rung.last else ()), *SHORTER)
    for views, share in shares if left is not None else SHORTER[:1]:
        shorter = replace(
            plan,
            epochs=max(1, round(share * plan.epochs)),
            views=min(views, plan.views) if plan.unfreeze != "all" else plan.views,
        )
        seconds = _set_up(context) + predicted_seconds(shorter, parts, step, per_pass)
        if left is None or RESERVE * seconds <= left:
            return replace(rung, plan=shorter, seconds=seconds)
    return None


def predicted_seconds(plan: Plan, parts: Parts, step: float, per_pass: float) -> float:
    """Return the seconds that a fine-tuning takes.

    Args:
        plan: the plan.
        parts: the photos.
        step: seconds of training on one photo, above the cut point if there is one.
        per_pass: seconds of one photo's pass through the frozen network.
    """
    cut = plan.unfreeze != "all" and plan.views
    below = VIEW_COST * per_pass * (plan.cached_views * len(parts.train) + len(parts.validation)) if cut else 0.0
    return below + _epochs_seconds(plan, parts, step)


def training_seconds(context: RunContext, plan: Plan, parts: Parts) -> float:
    """Return the seconds that the epochs of a fine-tuning take, without its activations."""
    return RESERVE * (_set_up(context) + _epochs_seconds(plan, parts, _step_seconds(context, plan)))


def _set_up(context: RunContext) -> float:
    return 0.0 if context.device.type == "cpu" else KERNEL_SEARCH_SECONDS


def _epochs_seconds(plan: Plan, parts: Parts, step: float) -> float:
    forward = step / 3 * len(parts.validation)  # validation has no backward pass
    return plan.epochs * (step * len(parts.train) + forward) + len(plan.interpolation_steps) * forward


def after_seconds(context: RunContext, parts: Parts) -> float:
    """Return the seconds to reserve for the work after a training: comparing, saving, measuring."""
    whole = 4 * photo_seconds(context)  # by torch, which is slower than the engine of the first pass
    return 2.0 + RESERVE * whole * (len(parts.test) + len(parts.validation))


def photo_seconds(context: RunContext) -> float:
    """Return the seconds that a photo took in the first pass with decoding, scaled to the input size of ``context``.

    If the store had all features, it is the time of the last long pass of the network on this machine.
    """
    events = context.folder.journal.events()
    passes = [e for e in events if _is_long_pass(e)]
    p = context.backbone.spec.preprocessing
    pixels = p.height * p.width
    cost = last_pass(context.backbone.spec.name, str(context.device))
    if passes:
        last = passes[-1]
        seconds = float(last.get("with_decoding", last["seconds"]))
        cost = PassCost(seconds / int(last["photos"]), int(last.get("pixels", pixels)))
    if cost is None:
        return 1 / max(photos_per_second(context.features.engine.title, context.backbone), 1e-3)
    return cost.at(pixels)


def _is_long_pass(event: Mapping[str, Any]) -> bool:
    """Return whether an event is a pass of the first network over enough photos to time it."""
    return event.get("event") == "features" and "network" not in event and event["photos"] >= MIN_TIMED_PHOTOS


def affordable_plan(context: RunContext, rung: Rung, parts: Parts) -> Plan | None:
    """Return the plan of a rung, shortened to the budget left, or None; the choice is journaled."""
    plan = rung.plan

    def shortened() -> str:
        fits = fit_to_budget(context, rung, parts)
        return "0 0" if fits is None else f"{fits.plan.epochs} {fits.plan.views}"

    chosen = context.decisions.choose(f"epochs and views, {plan.stage}", "as many as fit into the budget", shortened)
    epochs, views = (int(part) for part in chosen.split())
    return replace(plan, epochs=epochs, views=views) if epochs else None


def plan_lines(context: RunContext, ladder: Sequence[Rung], parts: Parts) -> list[Line]:
    """Return lines for the screen: what may be trained, in which order, and how long each rung would take."""
    lines = []
    for number, rung in enumerate(ladder, start=2):
        fits = fit_to_budget(context, rung, parts)
        text = f"{number}. {rung.title if fits is None else describe_rung(fits)}"
        when = "(only after a gain)" if number > 2 else "(after 1., the linear probe)"
        note = "(does not fit into the budget)" if fits is None else when
        lines.append(Line("plan" if number == 2 else "", text, note))
    return lines


def describe_rung(rung: Rung) -> str:
    """Return a rung in words, with its time."""
    plan = rung.plan
    about = "" if rung.seconds is None else f" · about {clock(rung.seconds)}"
    epochs = f"{plan.epochs} epoch{'s' if plan.epochs != 1 else ''}"
    views = f" on {plan.cached_views} views" if plan.unfreeze != "all" and plan.views else ""
    return f"{rung.title}, {epochs}{views}{about}"


def pooled_views(context: RunContext, linear: Parts, parts: Parts) -> int:
    """Return how many views the probe should pool: several if the options say so, or if cheap and there is a test."""
    return context.decisions.choose(
        "views pooled", "cheap, and likely to help", lambda: _pooled_views(context, linear, parts)
    )


def _pooled_views(context: RunContext, linear: Parts, parts: Parts) -> int:
    number = 4 if context.config.views is None else context.config.views
    seconds = photo_seconds(context) * (number - 1) * len(linear.refit)
    left = budget_left(context, parts)
    worth_it = linear.test_side is not None and len(linear.refit) < SMALL
    if number < 2 or (context.config.views is None and not worth_it):
        return 1
    if left is not None and seconds > POOLING_SHARE * left:
        return 1
    return number


def budget_left(context: RunContext, parts: Parts) -> float | None:
    """Return the seconds of the budget that are left before the work after a training, or None without a budget."""
    left = context.decisions.seconds_left()
    return None if left is None else left - after_seconds(context, parts)


def _cuttable(context: RunContext, plan: Plan) -> bool:
    assert isinstance(plan.unfreeze, int)
    at = len(context.backbone.blocks) - plan.unfreeze
    if at < 1:
        return False
    try:
        context.backbone.halves(at)
    except NoCutError:
        return False
    return True


def _step_seconds(context: RunContext, plan: Plan) -> float:
    """Return the seconds of training on one photo, timed once and journaled."""
    return context.decisions.choose(
        f"seconds per photo, {plan.stage}",
        "timed training steps",
        lambda: round(_photo_step_seconds(context, plan), 5),
    )


def _photo_step_seconds(context: RunContext, plan: Plan) -> float:
    classifier = Classifier(context.backbone, context.dataset.classes)
    classifier.to(context.device)
    classifier.unfreeze(plan.unfreeze)
    backbone, photos = classifier.backbone, len(context.parts.gradient.train) * plan.epochs
    at = backbone.lowest_trained
    p = context.backbone.spec
    key = f"{p.name} {p.preprocessing.id} {plan.batch_size} {context.device.type}"
    if at == 0 or not plan.views:
        return training_step_seconds(context, f"{key} whole", classifier, plan.batch_size, photos) / plan.batch_size
    what = f"{key} from {backbone.blocks[at].name}"
    with backbone.entered_at(backbone.halves(at)):
        return training_step_seconds(context, what, classifier, plan.batch_size, photos) / plan.batch_size
