"""A job: what every step of a recipe needs to hand, made once when a training starts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from regraft.audit.photo_stats_store import PhotoStatsStore
from regraft.context.config import TrainConfig
from regraft.context.dataset import Photos, divide, say_aside
from regraft.data.fixed_views import fixed_view_task, view_name
from regraft.data.manifest import Entry, check_usable
from regraft.data.threads import decoding_threads
from regraft.data.worker_processes import WorkerProcesses, running_processes, stop_processes
from regraft.disk.atomic import write_json
from regraft.disk.row_table import take
from regraft.errors import ConfigError, MissingExtraError, ModelFileError, PhotosError
from regraft.features.disk_store import DiskStore
from regraft.features.engine import Engine
from regraft.features.engine_choice import REFERENCE, EngineChoice, choose_engine, make_engine
from regraft.features.engine_costs import PassCost, record_pass
from regraft.features.extract import extract
from regraft.features.store import FeatureStore
from regraft.models.backbone import Backbone
from regraft.run.folder import FORMAT, RunFolder
from regraft.run.lock import RunLock
from regraft.screen import Screen
from regraft.training import Snapshots
from regraft.training.state_format import read_state, write_state

_TELLING = 200
"""Photos of a pass from which on its speed is kept: of fewer, most is set-up."""

DECODING = 0.15
"""Share of a photo's pass that reading and decoding take."""

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
    store: FeatureStore = field(default_factory=DiskStore)
    choices: dict[str, bool | int | float | str] = field(default_factory=dict)
    own_callbacks: Sequence[Any] = ()
    """The user's own callbacks, in the order of the options."""
    replay: dict[str, Any] = field(default_factory=dict)
    """What was chosen before, by the run that this one repeats or goes on with."""
    spent: float = 0.0
    """Seconds that earlier processes spent on this run."""
    epochs: list[dict[str, Any]] = field(default_factory=list)
    """What the stages of training have written down of their epochs so far."""
    earlier: Sequence[Mapping[str, Any]] = ()
    """What the journal held when this process began its work."""
    lock: RunLock | None = None
    """Keeps other processes out of the run folder."""
    decoders: WorkerProcesses | None = None
    """Processes that this run began, to decode photos for a device that threads cannot feed."""
    photo_side: int | None = None
    """Median of the photos' shorter sides in pixels; None before they were looked at."""
    own_pixels: int | None = None
    """Pixels of the network's own input where this job gives it a smaller one."""
    engine_choice: str = "engine"
    """What the choice of the engine is called."""
    known_weights: str = ""
    """Hash of the backbone's weights, once someone has asked for it."""
    _told: set[str] = field(default_factory=set)
    _engine: Engine | None = None
    _table: NDArray[np.float32] | None = None
    _rows: dict[str, int] = field(default_factory=dict)
    """Where in the table the features of a photo are, by its content: they are held once."""

    def __post_init__(self) -> None:
        if isinstance(self.store, DiskStore):
            self.store.warn = self.screen.warn

    @property
    def weights(self) -> str:
        """Hash of the backbone's weights, which stay as they were pretrained: recipes train copies."""
        self.known_weights = self.known_weights or self.backbone.weights_hash()
        return self.known_weights

    @cached_property
    def workers(self) -> int:
        """Threads that decode photos."""
        own, others = self.config.workers, running_processes()
        if own is None and others is not None:
            return others.number
        return decoding_threads([entry.path for entry in self.photos.usable]) if own is None else own

    def choose(self, what: str, why: str, make: Callable[[], T]) -> T:
        """Make a choice that a clock or a measurement decides: replay it, or take it and write it down first."""
        replayed = what in self.replay
        value: T = self.replay[what] if replayed else make()
        if what in self.choices:
            return value
        self.choices[what] = value
        if not self._was_noted("choice", what=what):
            self.keep(self.folder.journal.choice, what, value, "replayed" if replayed else why)
        self.keep(write_json, self.folder.config, {"format": FORMAT, **self.config.as_dict(), "choices": self.choices})
        return value

    def close(self) -> None:
        """Let other processes into the run folder, and end those that decode."""
        if self.decoders is not None:
            stop_processes(self.decoders)
            self.decoders = None
        if self.lock is not None:
            self.lock.release()
            self.lock = None

    def note(self, event: str, **facts: Any) -> None:
        """Write an event into the journal; a disk that refuses is said once and ends nothing."""
        self.keep(self.folder.journal.add, event, **facts)

    def note_once(self, event: str, *keys: str, **facts: Any) -> None:
        """Write an event that a run has once, unless it is there from before an interruption.

        Args:
            event: its name.
            *keys: names of the facts that tell one such event from another.
            **facts: what it says.
        """
        if not self._was_noted(event, **{key: facts[key] for key in keys}):
            self.note(event, **facts)

    def _was_noted(self, event: str, **facts: Any) -> bool:
        return any(e.get("event") == event and all(e.get(k) == v for k, v in facts.items()) for e in self.earlier)

    def keep(self, write: Callable[..., None], *arguments: Any, **more: Any) -> None:
        """Write what the result does not need; a disk that refuses is said once and ends nothing."""
        try:
            write(*arguments, **more)
        except OSError as error:
            why = error.strerror or str(error)
            if why not in self._told:
                self._told.add(why)
                self.screen.warn(f"cannot write to {self.folder.path}: {why}; the run goes on")

    def snapshots(self, stage: str) -> Snapshots:
        """Return the snapshots of one stage of the training."""
        return Snapshots(self.folder.resume / stage, every=self.config.snapshot_every, identity={"stage": stage})

    def remembered(self, name: str, key: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return what ``make`` gives, or gave before an interruption.

        Args:
            name: of the file.
            key: of all that it depends on.
            make: does the work; returns figures, texts, arrays, and lists and dicts of such.
        """
        path = self.folder.resume / f"{name}.safetensors"
        try:
            known = read_state(path)
            if known.get("key") == key:
                return dict(known["value"])
        except ModelFileError:  # not there yet, or damaged: it is made again
            pass
        value = make()
        self.keep(write_state, path, {"key": key, "value": value})
        return value

    def seconds_left(self) -> float | None:
        """Seconds of the budget that are left, or None without a budget."""
        if self.config.budget is None:
            return None
        return self.config.budget - self.spent - (time.time() - self.started)

    def features(self, entries: Sequence[Entry], view: int = 0) -> NDArray[np.float32]:
        """Return the frozen backbone's features of a view of ``entries``, shape (n, D), float32.

        Those of the plain view are held by the run; others come from the store, or are computed.

        Args:
            entries: photos that can be decoded: `first_pass` has put the others aside.
            view: which of the numbered views.
        """
        rows = [self._rows.get(entry.content, -1) for entry in entries] if view == 0 else [-1]
        if self._table is not None and min(rows, default=0) >= 0:
            return take(self._table, np.array(rows, dtype=np.int64))
        p = self.backbone.spec.preprocessing
        with self.screen.progress(f"view {view}", len(entries)) as bar:
            found = extract(
                entries,
                self.backbone,
                self.engine,
                self.store,
                load=fixed_view_task(p, view),
                view=view_name(view),
                weights=self.weights,
                workers=self.workers,
                bar=bar,
            )
        if found.failed:
            position, why = found.failed[0]
            raise PhotosError(f"{entries[position].name} could be read before, but not now: {why}")
        return found.values

    @property
    def engine(self) -> Engine:
        """What runs the frozen backbone, the same throughout a run."""
        if self._engine is None:
            self._engine = self.chosen_engine(self.engine_choice, self.backbone, self._soonest)
        return self._engine

    def chosen_engine(self, what: str, backbone: Backbone, choose: Callable[[], EngineChoice]) -> Engine:
        """Return the engine for ``backbone`` that ``choose`` gives, or gave to the run that this one repeats."""
        made: list[Engine | None] = []

        def title() -> str:
            choice = choose()
            made.append(choice.engine)
            return choice.title

        chosen = self.choose(what, "soonest done, set-up included", title)
        ready = made[0] if made else None
        return self.make_engine(chosen, backbone) if ready is None else ready

    def make_engine(self, title: str, backbone: Backbone) -> Engine:
        """Return the engine called ``title`` for ``backbone``; the reference, which is said, where it is not here."""
        try:
            return make_engine(title, backbone, self.device)
        except (ConfigError, MissingExtraError) as error:  # a run is repeated on another machine
            self.screen.warn(f"{error}; {REFERENCE} runs the network instead, and last bits may differ")
            return make_engine(REFERENCE, backbone, self.device)

    def _soonest(self) -> EngineChoice:
        entries, bf16 = self.photos.usable, self.config.precision != "fp32"
        return choose_engine(
            self.backbone,
            entries,
            self.store,
            device=self.device,
            workers=self.workers,
            bf16=bf16,
            weights=self.weights,
        )

    def hold(self, entries: Sequence[Entry], values: NDArray[np.float32]) -> None:
        """Hold the features of ``entries``, shape (n, D), for `features` to take from."""
        self._table, self._rows = values, {entry.content: row for row, entry in enumerate(entries)}


def first_pass(job: Job, looks: PhotoStatsStore) -> None:
    """Decode every photo once and keep its features; put aside what cannot be decoded, and divide the rest again.

    Args:
        job: the training.
        looks: decodes the photos, some of them before anyone waits for them.

    Raises:
        PhotosError: too little is left.
    """
    entries = job.photos.usable
    engine, p = job.engine, job.backbone.spec.preprocessing
    begun = time.monotonic()
    with job.screen.progress("features", len(entries)) as bar:
        found = extract(
            entries,
            job.backbone,
            engine,
            job.store,
            load=looks.load,
            weights=job.weights,
            workers=job.workers,
            bar=bar,
        )
    spent = time.monotonic() - begun
    unhidden = spent / (1 - DECODING * min(1.0, looks.prefetched / max(1, found.computed)))
    if found.computed >= _TELLING:
        record_pass(job.backbone.spec.name, str(job.device), PassCost(unhidden / found.computed, p.height * p.width))
    job.hold([entries[row] for row in found.rows], found.values)
    job.note(
        "features",
        photos=found.computed,
        from_store=found.from_store,
        seconds=round(spent, 2),
        with_decoding=round(unhidden, 2),
        pixels=p.height * p.width,
        engine=engine.numerics,
    )
    for position, why in found.failed:
        job.photos.manifest.set_aside(entries[position], why)
    if found.failed:
        say_aside([entries[position] for position, _ in found.failed], job.screen)
        for note in (*check_usable(job.photos.manifest), *divide(job.photos, job.config)):
            job.screen.warn(note)
    speed = found.computed / max(spent, 1e-9)
    job.screen.line(
        "features",
        f"{found.computed:,} photos · {speed:,.0f} photos/s · {found.from_store:,} from the store",
        f"({engine.title})",
    )
