"""The batches of a fine-tuning: photos in new views each epoch, or cached activations if lower blocks are frozen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from regraft.context.decisions import Event, Line
from regraft.context.frozen_features import recorded_engine
from regraft.context.run_context import RunContext
from regraft.data.augmentation import Augmentation
from regraft.data.fixed_views import FIRST_CROP
from regraft.data.loader import PhotoBatches
from regraft.data.manifest import Entry
from regraft.features.activations import ActivationBatches, Activations, channels_last
from regraft.features.certification import real_photos, run_all
from regraft.features.engine import Engine
from regraft.features.engine_choice import EngineChoice, choose_engine
from regraft.features.machine_facts import read_fact, write_fact
from regraft.models.backbone import Backbone
from regraft.models.classifier import Classifier
from regraft.models.cut import Halves, NoCutError
from regraft.screen import Bar

MIN_COSINE = 0.9999
"""Minimum cosine between the features of rounded and of exact activations for them to be cached in half precision."""

STORE_SHARE = 0.5
"""Share of the store that the activations of one training may take, so that other entries stay."""

MIN_VIEWS = 2
"""Minimum views of each photo, computed even if the budget is short."""


class Batches(Protocol):
    """Batches of photos or of activations, as `Trainer.fit` takes them."""

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[torch.Tensor, ...]]:
        """Yield the batches of an epoch from batch ``start`` on."""


@dataclass(frozen=True)
class ActivationCache:
    """The cached activations of a training, at the cut below its lowest trained block.

    Attributes:
        below: name of the block.
        views: views of each training photo.
        photos: training and validation photos.
        computed: activations that were not in the store.
    """

    below: str
    views: int
    photos: int
    computed: int


@dataclass(frozen=True)
class BatchFactory:
    """The batches of a fine-tuning.

    Attributes:
        training: makes the shuffled, augmented batches of some photos.
        plain: makes the batches of some photos for evaluation, in order.
        cache: the activations that the batches consist of, or None if they consist of photos.
        no_cache: why there is none, if the user should know.
    """

    training: Callable[[Sequence[Entry]], Batches]
    plain: Callable[[Sequence[Entry]], Batches]
    cache: ActivationCache | None = None
    no_cache: str = ""

    def event(self) -> Event | None:
        """Return the event for the journal."""
        return None if self.cache is None else Event("activations", vars(self.cache), each_process=True)

    def line(self) -> Line | None:
        """Return the line for the screen."""
        if not self.no_cache:
            return None
        return Line("cut", "none: every epoch runs the whole network", f"({self.no_cache})")

    def facts(self) -> dict[str, Any]:
        """Return the facts for ``metrics.json``; None if there is no cut point."""
        cache = self.cache
        return {"cut_point": None if cache is None else cache.below, "views": None if cache is None else cache.views}


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


@contextmanager
def training_batches(
    context: RunContext,
    classifier: Classifier,
    train: Sequence[Entry],
    validation: Sequence[Entry],
    *,
    batch_size: int,
    views: int,
    reserve: float = 0.0,
) -> Iterator[BatchFactory]:
    """Yield the batches to train on; inside the ``with`` block, ``classifier`` takes exactly these.

    Args:
        context: the run.
        classifier: with the blocks unfrozen that are to be trained.
        train: training photos.
        validation: validation photos.
        batch_size: photos in a batch.
        views: of each training photo, if the lower blocks are frozen and their activations can be cached; 0 for
            photos in new views each epoch, through the whole network.
        reserve: seconds of the budget to leave for the training itself and what comes after it.
    """
    point, reason = _find_cut_point(context, classifier, train, validation, views) if views else (None, "")
    if point is None:
        yield BatchFactory(
            lambda entries: photo_batches(context, entries, batch_size, Augmentation()),
            lambda entries: photo_batches(context, entries, batch_size, None),
            no_cache=reason,
        )
        return
    with context.screen.progress("features", views * len(train) + len(validation)) as bar:
        computed = point.activations.fill(validation, [0], bar)
        more, views = _fill_views(context, point, train, views, reserve, bar)
    cache = ActivationCache(point.name, views, len(train) + len(validation), computed + more)

    def batches(entries: Sequence[Entry], views: int, first: int, *, shuffle: bool) -> ActivationBatches:
        return ActivationBatches(
            point.activations,
            entries,
            context.dataset.labels(entries),
            views=views,
            first=first,
            seed=context.config.seed,
            batch_size=batch_size,
            shuffle=shuffle,
        )

    with classifier.backbone.entered_at(point.halves):
        yield BatchFactory(
            lambda entries: batches(entries, views, FIRST_CROP, shuffle=True),
            lambda entries: batches(entries, 1, 0, shuffle=False),
            cache,
        )


def _fill_views(
    context: RunContext, point: CutPoint, train: Sequence[Entry], views: int, reserve: float, bar: Bar
) -> tuple[int, int]:
    """Compute view after view while the budget allows; return the numbers of activations and of views.

    The machine may be slower than it was when the time was predicted. `MIN_VIEWS` are computed in any case, and views
    that an interrupted run has computed are used.
    """
    decisions = context.decisions
    name = f"views below {point.name}"
    planned, computed, done = int(decisions.replay.get(name, views)), 0, 0
    last = 0.0
    for view in _crops(planned):
        left = decisions.seconds_left()
        short = left is not None and left - last < reserve and point.activations.missing(train, [view]) > 0
        if short and done >= MIN_VIEWS and name not in decisions.replay:
            context.screen.warn(f"the budget allows {done} views of the {planned} planned: this machine is slower now")
            break
        computed += point.activations.fill(train, [view], bar)
        done += 1
        last = 0.0 if left is None else left - (decisions.seconds_left() or 0.0)
    if context.config.budget is None:
        return computed, done
    return computed, decisions.choose(name, "as many as the budget allows", lambda: done)


def _find_cut_point(
    context: RunContext, classifier: Classifier, train: Sequence[Entry], validation: Sequence[Entry], views: int
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
    room = int(STORE_SHARE * getattr(context.store, "bound", 2**62))
    if not context.decisions.choose(f"cut below {name}", "room for the activations", lambda: needed <= room):
        takes = f"{views} views of {len(train):,} photos take {needed / 1e9:.1f} GB"
        return None, f"{takes}, and there is room for {room / 1e9:.1f}"
    engine = _engine(context, lower, train, validation, views, name)
    rounding = context.decisions.choose(
        f"rounding below {name}",
        "tried on photos",
        lambda: "half" if _rounding_is_harmless(context, engine, lower, halves, train) else "single",
    )
    activations = Activations(lower, engine, context.store, half=rounding == "half", workers=context.workers)
    return CutPoint(halves, activations, name), ""


def _crops(views: int) -> range:
    """Return the numbers of the views for training, all of them random crops."""
    return range(FIRST_CROP, FIRST_CROP + views)


def photo_batches(
    context: RunContext, entries: Sequence[Entry], batch_size: int, augmentation: Augmentation | None
) -> PhotoBatches:
    """Return the batches of ``entries``: shuffled views where there is an augmentation, else as they are, in order."""
    return PhotoBatches(
        entries,
        context.dataset.labels(entries).tolist(),
        context.backbone.spec.preprocessing,
        augmentation=augmentation,
        seed=context.config.seed,
        batch_size=batch_size,
        shuffle=augmentation is not None,
        workers=context.workers,
    )


def _engine(
    context: RunContext, lower: Backbone, train: Sequence[Entry], validation: Sequence[Entry], views: int, name: str
) -> Engine:
    def missing(engine: Engine) -> int:
        cached = Activations(lower, engine, context.store)
        return cached.missing(train, _crops(views)) + cached.missing(validation, [0])

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
