"""The batches of a fine-tuning: photos in new views each epoch, or cached activations if lower blocks are frozen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from regraft.context.decisions import Event, Line
from regraft.context.run_context import RunContext
from regraft.data.augmentation import Augmentation
from regraft.data.loading.fixed_views import FIRST_CROP
from regraft.data.loading.loader import PhotoBatches
from regraft.data.loading.reduced_views import ReducedViews
from regraft.data.manifest import Entry
from regraft.features.activations import ActivationBatches
from regraft.models.classifier import Classifier
from regraft.recipes.steps.cut_point import CutPoint, crops, find_cut_point
from regraft.recipes.steps.view_source import photos_are_large, reduced_line, reduced_views
from regraft.screen import Bar

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
        return Line("cut", "", detail=f"none: every epoch runs the whole network ({self.no_cache})")

    def facts(self) -> dict[str, Any]:
        """Return the facts for ``metrics.json``; None if there is no cut point."""
        cache = self.cache
        return {"cut_point": None if cache is None else cache.below, "views": None if cache is None else cache.views}


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
    with reduced_views(context, len(train) + len(validation)) as reduced:
        cacheable = reduced if photos_are_large(context) else None
        point, reason = None, ""
        if views:
            point, reason = find_cut_point(context, classifier, train, validation, views, cacheable)
        if (reduced if point is None else cacheable) is not None:
            context.report(reduced_line(context))
        if point is None:
            yield BatchFactory(
                lambda entries: photo_batches(context, entries, batch_size, Augmentation(), reduced),
                lambda entries: photo_batches(context, entries, batch_size, None, reduced),
                no_cache=reason,
            )
            return
        cache = _fill(context, point, train, validation, views, reserve)
        with classifier.backbone.entered_at(point.halves):
            yield BatchFactory(
                lambda entries: _activation_batches(context, point, entries, batch_size, cache.views),
                lambda entries: _activation_batches(context, point, entries, batch_size, None),
                cache,
            )


def _activation_batches(
    context: RunContext, point: CutPoint, entries: Sequence[Entry], batch_size: int, views: int | None
) -> ActivationBatches:
    """Return the batches of ``entries``: shuffled, each photo in one of ``views`` crops; or in order, as they are."""
    return ActivationBatches(
        point.activations,
        entries,
        context.dataset.labels(entries),
        views=1 if views is None else views,
        first=0 if views is None else FIRST_CROP,
        seed=context.config.seed,
        batch_size=batch_size,
        shuffle=views is not None,
    )


def _fill(
    context: RunContext,
    point: CutPoint,
    train: Sequence[Entry],
    validation: Sequence[Entry],
    views: int,
    reserve: float,
) -> ActivationCache:
    """Compute the activations that are not in the store."""
    with context.screen.progress("features", views * len(train) + len(validation)) as bar:
        computed = point.activations.fill(validation, [0], bar)
        more, views = _fill_views(context, point, train, views, reserve, bar)
    return ActivationCache(point.name, views, len(train) + len(validation), computed + more)


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
    for view in crops(planned):
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


def photo_batches(
    context: RunContext,
    entries: Sequence[Entry],
    batch_size: int,
    augmentation: Augmentation | None,
    reduced: ReducedViews | None = None,
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
        reduced=reduced,
    )
