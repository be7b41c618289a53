"""The state of a running ``fit``: its position, its figures, why it stopped and what it resumes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any

from regraft.callbacks.callback_list import CallbackList
from regraft.callbacks.history import History
from regraft.training.batches.epoch_iterator import EpochIterator
from regraft.training.metrics.epoch_metrics import EpochMetrics
from regraft.training.steps import TrainStep


@dataclass
class Stop:
    """A request to end ``fit`` after the current batch.

    Attributes:
        requested: whether ``fit`` ends.
        reason: a text for people; None if no stop was requested.
    """

    requested: bool = False
    reason: str | None = None


@dataclass
class Resuming:
    """The beginning of a ``fit``, and the interrupted training that it continues, if any.

    Attributes:
        active: whether this ``fit`` continues an interrupted training; known when the callbacks begin.
        pending: the state that a callback handed to `Trainer.restore` inside ``on_train_begin``.
        initial_epoch: the epoch that Keras's own ``BackupAndRestore`` resumes from.
        finished: whether the saved training had stopped, so that no epoch is left.
        trainable_names: the parameters that were trainable when ``fit`` began.
    """

    active: bool = False
    pending: Mapping[str, Any] | None = None
    initial_epoch: int | None = None
    finished: bool = False
    trainable_names: list[str] = field(default_factory=list)


@dataclass
class LoopState:
    """The part of a `Trainer` that belongs to one ``fit``.

    Attributes:
        meter: the figures of the current epoch.
        epoch: number of the current epoch, counted from 0.
        initial_epoch: number of the first epoch of this ``fit``.
        position: the next epoch and the next batch in it.
        batch: the current batch, as the data gave it.
        logs: the figures of the last complete epoch.
        history: the `History` of this ``fit``.
        feed: the batches to train on.
        step: the training step.
        callbacks: all callbacks of this ``fit``.
        stop: whether and why ``fit`` ends early.
        resuming: the interrupted training that this ``fit`` continues.
    """

    meter: EpochMetrics
    epoch: int = 0
    initial_epoch: int = 0
    position: tuple[int, int] = (0, 0)
    batch: Any = None
    logs: dict[str, Any] = field(default_factory=dict)
    history: History | None = None
    feed: EpochIterator | None = None
    step: TrainStep | None = None
    callbacks: CallbackList | None = None
    stop: Stop = field(default_factory=Stop)
    resuming: Resuming = field(default_factory=Resuming)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy of the trainer needs; the copy is not running a ``fit``."""
        return vars(self) | {"feed": None, "step": None, "callbacks": None, "batch": None}

    def start_fit(
        self,
        callbacks: CallbackList,
        initial_epoch: int,
        feed: EpochIterator,
        step: TrainStep,
        trainable_names: list[str],
    ) -> None:
        """Start a ``fit`` at ``initial_epoch``."""
        self.callbacks, self.feed, self.step = callbacks, feed, step
        self.epoch = self.initial_epoch = initial_epoch
        self.position, self.logs = (initial_epoch, 0), {}
        restores = any(getattr(callback, "will_restore", False) for callback in callbacks.callbacks)
        self.stop, self.resuming = Stop(), Resuming(restores, trainable_names=trainable_names)

    def enter_epoch(self, epoch: int) -> int:
        """Return the number of the first batch to train on: 0, unless ``epoch`` was interrupted."""
        first_batch = self.position[1] if self.position[0] == epoch else 0
        self.epoch, self.position = epoch, (epoch, first_batch)
        if not first_batch:
            self.meter.reset()
        return first_batch

    def remaining_epochs(self, end: int) -> range:
        """Return the epochs to run up to ``end``."""
        return range(end if self.resuming.finished else self.initial_epoch, end)

    def request_stop(self, reason: str | None = None) -> None:
        """End ``fit`` after the current batch. The first reason counts; by default it names the running callback."""
        self.stop.requested = True
        if self.stop.reason is None:
            running = self.callbacks.running if self.callbacks is not None else None
            by_callback = (
                f"{type(running[0]).__name__} stopped it in {running[1]}" if running else "stop_training was set"
            )
            self.stop.reason = by_callback if reason is None else reason

    def for_nested_training(self, meter: EpochMetrics) -> LoopState:
        """Return a copy with ``meter``, for a training inside a callback; this state stays as it is."""
        return replace(self, meter=meter, stop=replace(self.stop), resuming=replace(self.resuming))


def part(path: str) -> Any:
    """Return a property that reads and sets an attribute of a part, such as ``"loop_state.epoch"``."""
    owner, _, name = path.rpartition(".")
    owner_of = attrgetter(owner)
    return property(attrgetter(path), lambda self, value: setattr(owner_of(self), name, value))
