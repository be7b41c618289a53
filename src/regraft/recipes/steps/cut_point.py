"""The cut point of a fine-tuning: the lower part of its network, ready to run, and the activations that it computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from regraft.context.network_features import recorded_engine
from regraft.context.run_context import RunContext
from regraft.data.loading.fixed_views import FIRST_CROP
from regraft.data.loading.reduced_views import ReducedViews
from regraft.data.manifest import Entry
from regraft.features.activations import Activations, channels_last
from regraft.features.engines.certification import real_photos, run_all
from regraft.features.engines.engine_choice import EngineChoice, choose_engine
from regraft.features.engines.engine_interface import Engine
from regraft.features.engines.machine_facts import read_fact, write_fact
from regraft.features.stores.open_store import local_store
from regraft.models.backbone import Backbone
from regraft.models.classifier import Classifier
from regraft.models.cut import Halves, NoCutError

MIN_COSINE = 0.9999
"""Minimum cosine between the features of rounded and of exact activations for them to be cached in half precision."""

STORE_SHARE = 0.5
"""Share of the store that the activations of one training may take, so that other entries stay."""


@dataclass(frozen=True)
class CutPoint:
    """A frozen lower part, ready to run.

    Attributes:
        halves: the two parts of the classifier's own network.
        activations: those at the cut point.
        name: of the lowest block above it.
    """

    halves: Halves
    activations: Activations
    name: str


def find_cut_point(
    context: RunContext,
    classifier: Classifier,
    train: Sequence[Entry],
    validation: Sequence[Entry],
    views: int,
    reduced: ReducedViews | None,
) -> tuple[CutPoint | None, str]:
    """Return the cut point below the lowest trained block, or None and the reason if the user should know it."""
    backbone = classifier.backbone
    at = backbone.lowest_trained
    if not 0 < at < len(backbone.blocks):
        return None, ""
    name = backbone.blocks[at].name
    try:
        halves, lower = backbone.halves(at), backbone.lower(at)
    except NoCutError as error:
        return None, str(error)
    photos = views * len(train) + len(validation)
    needed = photos * 2 * int(np.prod(halves.shape))
    store = local_store(context.store, warn=context.screen.warn)
    room = int(STORE_SHARE * getattr(store, "bound", 2**62))
    if not context.decisions.choose(f"cut below {name}", "room for the activations", lambda: needed <= room):
        takes = f"{views} views of {len(train):,} photos take {needed / 1e9:.1f} GB"
        return None, f"{takes}, and there is room for {room / 1e9:.1f}"
    cached = partial(Activations, lower, store=store, workers=context.workers, reduced=reduced)
    engine = _engine(context, lower, train, validation, views, name, cached)
    rounding = context.decisions.choose(
        f"rounding below {name}",
        "tried on photos",
        lambda: "half" if _rounding_is_harmless(context, engine, lower, halves, train) else "single",
    )
    return CutPoint(halves, cached(engine, half=rounding == "half"), name), ""


def crops(views: int) -> range:
    """Return the numbers of the views for training, all of them random crops."""
    return range(FIRST_CROP, FIRST_CROP + views)


def _engine(
    context: RunContext,
    lower: Backbone,
    train: Sequence[Entry],
    validation: Sequence[Entry],
    views: int,
    name: str,
    cached: Callable[[Engine], Activations],
) -> Engine:
    def missing(engine: Engine) -> int:
        activations = cached(engine)
        return activations.missing(train, crops(views)) + activations.missing(validation, [0])

    def fastest() -> EngineChoice:
        entries, bf16 = [*train, *validation], context.config.precision != "fp32"
        return choose_engine(
            lower, entries, context.store, device=context.device, workers=context.workers, bf16=bf16, missing=missing
        )

    return recorded_engine(f"engine below {name}", lower, context.decisions, context.device, fastest)


def _rounding_is_harmless(
    context: RunContext, engine: Engine, lower: Backbone, halves: Halves, entries: Sequence[Entry]
) -> bool:
    """Return whether rounding the activations of real photos hardly changes the features of the upper part."""
    key = f"rounding / {engine.numerics} / {lower.spec.name} / {context.features.weights}"
    stored = read_fact(key)
    if isinstance(stored, (int, float)):
        return stored >= MIN_COSINE
    exact = run_all(engine, real_photos(entries, lower))
    cosine = 0.0
    if np.abs(exact).max() <= np.finfo(np.float16).max:
        rounded, expected = (
            _features(halves, x, context.device) for x in (exact.astype(np.float16).astype(np.float32), exact)
        )
        cosine = float(torch.nn.functional.cosine_similarity(rounded, expected, dim=1).min())
    write_fact(key, round(cosine, 7))
    return cosine >= MIN_COSINE


@torch.inference_mode()
def _features(halves: Halves, activations: NDArray[np.float32], device: torch.device) -> torch.Tensor:
    x = channels_last(torch.from_numpy(activations)).to(device)
    features: torch.Tensor = halves.upper.to(device)(x)
    return features.flatten(1).double()
