"""A job: what every step of a recipe needs to hand, made once when a training starts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from regraft.data.loader import default_workers
from regraft.data.manifest import Entry, check_usable
from regraft.disk.atomic import write_json
from regraft.features.engine import EagerEngine
from regraft.features.extract import extract
from regraft.features.store import FeatureStore, MemoryStore
from regraft.models.backbone import Backbone
from regraft.recipes.config import TrainConfig
from regraft.recipes.photos import Photos, divide, say_aside
from regraft.run.folder import FORMAT, RunFolder
from regraft.screen import Screen

T = TypeVar("T", bool, int, float, str)


@dataclass
class Job:
    """One training in progress."""

    config: TrainConfig
    folder: RunFolder
    screen: Screen
    photos: Photos
    backbone: Backbone
    device: torch.device
    started: float
    store: FeatureStore = field(default_factory=MemoryStore)
    choices: dict[str, bool | int | float | str] = field(default_factory=dict)
    own_callbacks: Sequence[Any] = ()
    """The user's own callbacks, in the order of the options."""

    @property
    def workers(self) -> int:
        """Threads that decode photos."""
        return default_workers() if self.config.workers is None else self.config.workers

    def choose(self, what: str, why: str, make: Callable[[], T]) -> T:
        """Make a choice that a clock or a measurement decides: replay it, or take it and write it down first."""
        replayed = what in self.config.choices
        value: T = self.config.choices[what] if replayed else make()
        self.choices[what] = value
        self.folder.journal.choice(what, value, "replayed" if replayed else why)
        write_json(self.folder.config, {"format": FORMAT, **self.config.as_dict(), "choices": self.choices})
        return value

    def seconds_left(self) -> float | None:
        """Seconds of the budget that are left, or None without a budget."""
        if self.config.budget is None:
            return None
        return self.config.budget - (time.time() - self.started)

    def features(self, entries: Sequence[Entry], label: str = "features") -> NDArray[np.float32]:
        """Return the frozen backbone's features of ``entries``, shape (n, D), float32; each is computed once per run.

        Photos must be decodable: `first_pass` has put the others aside.
        """
        engine = EagerEngine(self.backbone, device=self.device)
        found = extract(entries, self.backbone, engine, self.store, workers=self.workers)
        assert not found.failed, f"decoded before, but not now: {found.failed}"
        return found.values


def first_pass(job: Job, load: Callable[[Entry], NDArray[np.uint8]] | None = None) -> None:
    """Decode every photo once and keep its features; put aside what cannot be decoded, and divide the rest again.

    Args:
        job: the training.
        load: gives the pixels of a photo; those that are evaluated if None.

    Raises:
        PhotosError: too little is left.
    """
    entries = job.photos.usable
    engine = EagerEngine(job.backbone, device=job.device)
    begun = time.monotonic()
    with job.screen.progress("features", len(entries)) as bar:
        found = extract(entries, job.backbone, engine, job.store, load=load, workers=job.workers, bar=bar)
    spent = time.monotonic() - begun
    job.folder.journal.add(
        "features", photos=found.computed, from_store=found.from_store, seconds=round(spent, 2), engine=engine.numerics
    )
    for position, why in found.failed:
        job.photos.manifest.set_aside(entries[position], why)
    if found.failed:
        say_aside([entries[position] for position, _ in found.failed], job.screen)
        for note in (*check_usable(job.photos.manifest), *divide(job.photos, job.config)):
            job.screen.warn(note)
    speed = found.computed / max(spent, 1e-9)
    job.screen.line(
        "features", f"{found.computed:,} photos · {speed:,.0f} photos/s · {found.from_store:,} from the store"
    )
