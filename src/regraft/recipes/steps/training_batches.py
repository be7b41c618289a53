"""What a fine-tuning reads: photos in ever new views, or activations at the cut point where lower blocks are frozen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from regraft.context.run_context import Job
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

HARMLESS = 0.9999
"""Cosine between the features of rounded activations and of exact ones above which they are kept in half precision."""

ROOM = 0.5
"""Share of the store that the activations of one training may take: others' entries should not all have to go."""


FEWEST = 2
"""Views of each photo that are made though the budget is short."""


class Batches(Protocol):
    """Batches of photos or of activations, as `Trainer.fit` takes them."""

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[torch.Tensor, ...]]:
        """Yield the batches of an epoch from batch ``start`` on."""


@dataclass(frozen=True)
class Feed:
    """Where a classifier in training gets its batches from.

    Attributes:
        training: makes the shuffled, augmented batches of some photos.
        plain: makes the batches of some photos as they are evaluated, in order.
        cut: name of the block at the cut point, or None where whole photos go through the whole network.
        views: of each training photo that there are activations of; None without a cut.
    """

    training: Callable[[Sequence[Entry]], Batches]
    plain: Callable[[Sequence[Entry]], Batches]
    cut: str | None = None
    views: int | None = None


@dataclass(frozen=True)
class CutPoint:
    """A frozen lower part, ready to be run.

    Attributes:
        halves: of the classifier's own network.
        activations: at the cut point.
        name: of the lowest block above it.
    """

    halves: Halves
    activations: Activations
    name: str


@contextmanager
def feed(
    job: Job,
    classifier: Classifier,
    train: Sequence[Entry],
    choose: Sequence[Entry],
    *,
    batch_size: int,
    views: int,
    reserve: float = 0.0,
) -> Iterator[Feed]:
    """Yield what ``classifier`` is to be trained with; until the block is left, it takes just that.

    Args:
        job: the training in progress.
        classifier: with the blocks unfrozen that are to be trained.
        train: photos that gradient steps look at.
        choose: photos of the validation.
        batch_size: photos in a batch.
        views: for each training photo, where the lower blocks are frozen and their activations can be kept; 0 for
            photos in ever new views, through the whole network.
        reserve: seconds of the budget to leave for the training itself and what comes after it.
    """
    point = cut_point(job, classifier, train, choose, views) if views else None
    if point is None:
        yield Feed(
            lambda entries: photo_batches(job, entries, batch_size, Augmentation()),
            lambda entries: photo_batches(job, entries, batch_size, None),
        )
        return
    with job.screen.progress("features", views * len(train) + len(choose)) as bar:
        computed = point.activations.fill(choose, [0], bar)
        filled = _fill(job, point, train, views, reserve, bar)
        computed, views = computed + filled[0], filled[1]
    job.note("activations", below=point.name, views=views, photos=len(train) + len(choose), computed=computed)

    def batches(entries: Sequence[Entry], views: int, first: int, *, shuffle: bool) -> ActivationBatches:
        return ActivationBatches(
            point.activations,
            entries,
            job.photos.labels(entries),
            views=views,
            first=first,
            seed=job.config.seed,
            batch_size=batch_size,
            shuffle=shuffle,
        )

    with classifier.backbone.entered_at(point.halves):
        yield Feed(
            lambda entries: batches(entries, views, FIRST_CROP, shuffle=True),
            lambda entries: batches(entries, 1, 0, shuffle=False),
            point.name,
            views,
        )


def _fill(job: Job, point: CutPoint, train: Sequence[Entry], views: int, reserve: float, bar: Bar) -> tuple[int, int]:
    """Compute view after view while the budget allows; return how many activations that were, and of how many views.

    A machine may become slower than it was when the time was predicted. Two views are made in any case, and what an
    interrupted run has made already is taken.
    """
    what = f"views below {point.name}"
    planned, computed, done = int(job.replay.get(what, views)), 0, 0
    takes = 0.0
    for view in _crops(planned):
        left = job.seconds_left()
        short = left is not None and left - takes < reserve and point.activations.missing(train, [view]) > 0
        if short and done >= FEWEST and what not in job.replay:
            job.screen.warn(f"the budget allows {done} views of the {planned} planned: this machine is slower now")
            break
        computed += point.activations.fill(train, [view], bar)
        done += 1
        takes = 0.0 if left is None else left - (job.seconds_left() or 0.0)
    if job.config.budget is None:
        return computed, done
    return computed, job.choose(what, "as many as the budget allows", lambda: done)


def cut_point(
    job: Job, classifier: Classifier, train: Sequence[Entry], choose: Sequence[Entry], views: int
) -> CutPoint | None:
    """Return the cut point below the lowest trained block, or None where there is none or the store has no room."""
    backbone = classifier.backbone
    at = backbone.lowest_trained
    if not 0 < at < len(backbone.blocks):
        return None
    name = backbone.blocks[at].name
    try:
        halves, lower = backbone.halves(at), backbone.lower(at)
    except NoCutError as error:
        job.screen.line("cut", "none: every epoch runs the whole network", f"({error})")
        return None
    photos = views * len(train) + len(choose)
    needed = photos * 2 * int(np.prod(halves.shape))
    room = int(ROOM * getattr(job.store, "bound", 2**62))
    if not job.choose(f"cut below {name}", "room for the activations", lambda: needed <= room):
        kept = (
            f"{views} views of {len(train):,} photos take {needed / 1e9:.1f} GB, and there is room for {room / 1e9:.1f}"
        )
        job.screen.line("cut", "none: every epoch runs the whole network", f"({kept})")
        return None
    engine = _engine(job, lower, train, choose, views, name)
    half = job.choose(
        f"rounding below {name}",
        "tried on photos",
        lambda: "half" if _harmless(job, engine, lower, halves, train) else "single",
    )
    activations = Activations(lower, engine, job.store, half=half == "half", workers=job.workers)
    return CutPoint(halves, activations, name)


def _crops(views: int) -> range:
    """Return the numbers of the views that are trained on: all are random crops."""
    return range(FIRST_CROP, FIRST_CROP + views)


def photo_batches(
    job: Job, entries: Sequence[Entry], batch_size: int, augmentation: Augmentation | None
) -> PhotoBatches:
    """Return the batches of ``entries``: shuffled views where there is an augmentation, else as they are, in order."""
    return PhotoBatches(
        entries,
        job.photos.labels(entries).tolist(),
        job.backbone.spec.preprocessing,
        augmentation=augmentation,
        seed=job.config.seed,
        batch_size=batch_size,
        shuffle=augmentation is not None,
        workers=job.workers,
    )


def _engine(
    job: Job, lower: Backbone, train: Sequence[Entry], choose: Sequence[Entry], views: int, name: str
) -> Engine:
    def missing(engine: Engine) -> int:
        kept = Activations(lower, engine, job.store)
        return kept.missing(train, _crops(views)) + kept.missing(choose, [0])

    def soonest() -> EngineChoice:
        entries, bf16 = [*train, *choose], job.config.precision != "fp32"
        return choose_engine(
            lower, entries, job.store, device=job.device, workers=job.workers, bf16=bf16, missing=missing
        )

    return job.chosen_engine(f"engine below {name}", lower, soonest)


def _harmless(job: Job, engine: Engine, lower: Backbone, halves: Halves, entries: Sequence[Entry]) -> bool:
    """Return whether rounding the activations of real photos changes what the upper part makes of them."""
    key = f"rounding / {engine.numerics} / {lower.spec.name} / {job.weights}"
    known = read_fact(key)
    if isinstance(known, (int, float)):
        return known >= HARMLESS
    exact = run_all(engine, real_photos(entries, lower))
    cosine = 0.0
    if np.abs(exact).max() <= np.finfo(np.float16).max:
        found, expected = (
            _features(halves, x, job.device) for x in (exact.astype(np.float16).astype(np.float32), exact)
        )
        cosine = float(torch.nn.functional.cosine_similarity(found, expected, dim=1).min())
    write_fact(key, round(cosine, 7))
    return cosine >= HARMLESS


@torch.inference_mode()
def _features(halves: Halves, activations: NDArray[np.float32], device: torch.device) -> torch.Tensor:
    x = channels_last(torch.from_numpy(activations)).to(device)
    features: torch.Tensor = halves.upper.to(device)(x)
    return features.flatten(1).double()
