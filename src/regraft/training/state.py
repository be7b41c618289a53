"""Where training is: its place, why it stopped, and all that has to be kept to go on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from regraft.callbacks.callback_list import CallbackList
from regraft.callbacks.history import History
from regraft.errors import TrainingError, several
from regraft.screen import Screen
from regraft.tensors import state_dict_mismatches
from regraft.training.ema import EMA
from regraft.training.feed import Feed
from regraft.training.meter import Meter
from regraft.training.modes import TrainModes
from regraft.training.numerics import Precision, generator_states, restore_generators
from regraft.training.optimizer_view import OptimizerView
from regraft.training.state_format import read_state, write_state
from regraft.training.steps import TrainStep
from regraft.training.trainable import Trainables


class TrainingState:
    """The part of a `Trainer` that changes while it trains.

    Attributes:
        epoch: number of the running epoch, counted from 0.
        initial_epoch: number of the first epoch of this ``fit``.
        position: what comes next: the number of the epoch, and of the batch in it.
        going_on: whether this ``fit`` goes on with a training that was interrupted; known when the callbacks begin.
        fixed: names in the module's ``state_dict`` that training never changes, and that are there again when the same
            program runs; snapshots leave them out.
        batch: the batch that is being trained on, as the data gave it.
        fitting: whether a ``fit`` is running.
        stop_reason: why training was stopped, in words; None: it was not.
        has_validation: whether the running or last ``fit`` validates; None before the first.
        epochs_trained: epochs of all calls of ``fit`` together.
        history: the `History` of the last ``fit``.
    """

    module: nn.Module
    device: torch.device
    optimizer: OptimizerView | None
    ema: EMA | None
    precision: Precision
    meter: Meter
    train_modes: TrainModes
    trainables: Trainables

    @property
    def screen(self) -> Screen:
        """The screen that messages go to."""
        raise NotImplementedError

    def __init__(self) -> None:
        self.epoch = 0
        self.initial_epoch = 0
        self.position = (0, 0)
        self.going_on = False
        self.fixed: frozenset[str] = frozenset()
        self.feed: Feed | None = None
        self.step: TrainStep | None = None
        self.logs: dict[str, Any] = {}
        self.history: History | None = None
        self.batch: Any = None
        self.fitting = False
        self.stop_reason: str | None = None
        self.stop_evaluating = self.stop_predicting = False
        self.has_validation: bool | None = None
        self.epochs_trained = 0
        self._stop = self._over = False
        self._begun_with: list[str] = []
        self._initial_epoch: int | None = None  # where Keras's own BackupAndRestore writes the epoch to go on from
        self._callbacks: CallbackList | None = None
        self._pending: Mapping[str, Any] | None = None

    @property
    def stop_training(self) -> bool:
        """Whether ``fit`` ends after this batch. Setting it notes, as `stop_reason`, which callback did so."""
        return self._stop

    @stop_training.setter
    def stop_training(self, value: bool) -> None:
        self._stop = bool(value)
        if not value:
            self.stop_reason = None
        elif self.stop_reason is None:
            running = self._callbacks.running if self._callbacks is not None else None
            self.stop_reason = (
                f"{type(running[0]).__name__} stopped it in {running[1]}" if running else "it was told to"
            )

    def stop(self, reason: str) -> None:
        """End ``fit`` after this batch, and say why."""
        if self.stop_reason is None:
            self.stop_reason = reason
        self._stop = True

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned; inside ``on_train_begin``, as soon as all callbacks have begun."""
        if self._callbacks is not None and self._callbacks.running is not None:
            self._pending = state
        else:
            self.load_state_dict(state)

    def begin(self, callbacks: CallbackList, initial_epoch: int, feed: Feed, step: TrainStep) -> None:
        """Begin a ``fit``."""
        self._callbacks, self.initial_epoch, self.epoch = callbacks, initial_epoch, initial_epoch
        self.feed, self.step = feed, step
        feed.device = self.device
        self.position, self.logs = (initial_epoch, 0), {}
        self._initial_epoch = self._pending = None
        if self.ema is not None:
            self.ema.begin_training()
        self.stop_training = self._over = False
        self._begun_with = self.trainables.names
        self.going_on = any(getattr(callback, "will_restore", False) for callback in callbacks.callbacks)

    def take_up(self, state: Mapping[str, Any] | None) -> None:
        """Go on from ``state``, or from what a callback gave `restore`, after the callbacks have begun."""
        state = self._pending if self._pending is not None else state
        self._pending = None
        if state is not None:
            self.load_state_dict(state)
            self.initial_epoch = self.position[0]
        elif self._initial_epoch:
            self.initial_epoch = self._initial_epoch
            self.position = (self.initial_epoch, 0)

    def epochs(self, end: int) -> range:
        """Return the epochs that ``fit`` has to run up to ``end``."""
        return range(end if self._over else self.initial_epoch, end)

    def begin_epoch(self, epoch: int, hooks: CallbackList) -> int:
        """Begin an epoch, or go on inside it; return the number of its first batch to come."""
        self.epoch = epoch
        start = self.position[1] if self.position[0] == epoch else 0
        self.position = (epoch, start)
        self.train_modes.train()
        if start:
            hooks.on_epoch_taken_up(epoch)
        else:
            self.meter.reset()
            hooks.on_epoch_begin(epoch)
        if self.ema is not None:
            self.ema.begin_epoch()
        self.prepare()
        return start

    def prepare(self) -> None:
        """Bring optimizer, moving average and modes in step with what hooks have frozen or unfrozen.

        Raises:
            TrainingError: nothing is trainable.
        """
        self.trainables.follow()
        self.trainables.require()
        self.train_modes.settle()

    def after_hook(self) -> None:
        """Do as `prepare` inside an epoch, where a hook of a batch changed something."""
        self.train_modes.resume()
        if self.trainables.changed():
            self.trainables.follow()
            self.train_modes.settle()

    def finish(self) -> None:
        """End a ``fit``: the weights become their moving average, and the history keeps why it stopped."""
        if self.ema is not None:
            self.ema.finish()
        if self.history is not None:
            self.history.stop_reason = self.stop_reason

    def training_state(self) -> dict[str, Any]:
        """Return the state of the optimizer, the moving average and the loss scaling; of those that there are."""
        parts = {"ema": self.ema, "precision": self.precision}
        states = {} if self.optimizer is None else {"optimizer": self.trainables.optimizer_state()}
        states |= {name: part.state_dict() for name, part in parts.items() if part is not None}
        return {name: state for name, state in states.items() if state}

    def load_training_state(self, state: Mapping[str, Any]) -> None:
        """Take back what `training_state` returned.

        Raises:
            TrainingError: the state has a part that this trainer has not.
        """
        for name, value in state.items():
            part = getattr(self, name, None)
            if part is None:
                raise TrainingError(f"the saved state has a part {name!r}, but the Trainer was made without it")
            if name == "optimizer":
                self.trainables.load_optimizer_state(value)
            else:
                part.load_state_dict(value)

    def state_dict(self) -> dict[str, Any]:
        """Return all that has to be kept to go on: figures, texts, lists, dicts and tensors, nothing else.

        ``epoch`` and ``batch`` are what comes next: inside ``on_epoch_end`` that is the epoch after it.
        """
        epoch, batch = self.position
        weights = self.module.state_dict()
        return {
            "module": {name: weights[name] for name in weights if name not in self.fixed},
            "training": self.training_state(),
            "trainable": {"begun": self._begun_with, "now": self.trainables.names},
            "meter": self.meter.state_dict(),
            "callbacks": self._callbacks.state_dict() if self._callbacks is not None else {},
            "epoch": epoch,
            "batch": batch,
            "logs": {name: float(value) for name, value in self.logs.items() if np.ndim(value) == 0},
            "stopped": self.stop_reason,
            "step": self.step.state_dict() if self.step is not None else {},
            "data": self.feed.state_dict() if self.feed is not None else {},
            "random": generator_states(self.device),
        }

    def write_state(self, path: str | os.PathLike[str], state: Mapping[str, Any] | None = None) -> None:
        """Write `state_dict`, or ``state``, to a file as safetensors, whole or not at all."""
        write_state(path, self.state_dict() if state is None else state)

    def read_state(self, path: str | os.PathLike[str]) -> dict[str, Any]:
        """Return the state in a file that `write_state` wrote.

        Raises:
            ModelFileError: the file is missing, damaged or foreign.
        """
        return read_state(path)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` returned.

        Raises:
            TrainingError: it is of another module or other callbacks.
        """
        own = {name: value for name, value in self.module.state_dict().items() if name not in self.fixed}
        problems = state_dict_mismatches(own, state["module"])
        if problems:
            raise TrainingError(several("the saved state is of another module", problems))
        self.position, self.logs = (int(state["epoch"]), int(state["batch"])), dict(state["logs"])
        self.module.load_state_dict(state["module"], strict=False)
        self._load_trainable(state.get("trainable"))
        self.load_training_state(state["training"])
        self.meter.load_state_dict(on_device(state["meter"], self.device))
        if self.step is not None and state["step"]:
            self.step.load_state_dict(on_device(state["step"], self.device))
        if self._callbacks is not None:
            self._callbacks.load_state_dict(state["callbacks"])
        restore_generators(state["random"], self.device)
        if self.feed is not None and state["data"]:
            self.feed.load_state_dict(state["data"])
        if state["stopped"] is not None:
            self.stop(state["stopped"])
            self._over = True

    def _load_trainable(self, state: Mapping[str, Any] | None) -> None:
        """Freeze and unfreeze as callbacks did before the snapshot; not where the script itself now trains others."""
        if state is not None and state["begun"] == self._begun_with:
            self.trainables.set_names(state["now"])
        self.trainables.follow()


def on_device(tree: Any, device: torch.device) -> Any:
    """Return ``tree`` with the tensors in its dicts, lists and tuples on ``device``."""
    if isinstance(tree, torch.Tensor):
        return tree.to(device)
    if isinstance(tree, Mapping):
        return {name: on_device(value, device) for name, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(on_device(value, device) for value in tree)
    return tree
