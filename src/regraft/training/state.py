"""Where training is: its place, why it stopped, and all that has to be kept to go on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from regraft.callbacks.callback_list import CallbackList
from regraft.callbacks.history import History
from regraft.errors import TrainingError
from regraft.training.ema import EMA
from regraft.training.meter import Meter
from regraft.training.optimizer_view import OptimizerView
from regraft.training.precision import Precision
from regraft.training.state_tree import read_state, write_state


class TrainingState:
    """The part of a `Trainer` that changes while it trains.

    Attributes:
        epoch: number of the running epoch, counted from 0.
        initial_epoch: number of the first epoch of this ``fit``.
        batch: the batch that is being trained on, as the data gave it.
        stop_reason: why training was stopped, in words; None: it was not.
        history: the `History` of the last ``fit``.
    """

    module: nn.Module
    device: torch.device
    optimizer: OptimizerView | None
    ema: EMA | None
    precision: Precision
    meter: Meter
    screen: Any

    def __init__(self) -> None:
        self.epoch = 0
        self.initial_epoch = 0
        self.history: History | None = None
        self.batch: Any = None
        self.stop_reason: str | None = None
        self.stop_evaluating = self.stop_predicting = False
        self._stop = False
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

    def begin(self, callbacks: CallbackList, initial_epoch: int) -> None:
        """Begin a ``fit``."""
        self._callbacks, self.initial_epoch, self.epoch = callbacks, initial_epoch, initial_epoch
        self._initial_epoch: int | None = None  # where Keras's own BackupAndRestore writes the epoch to go on from
        self._pending = None
        self.stop_training = False

    def epochs(self, end: int) -> range:
        """Return the epochs that ``fit`` has to run up to ``end``, after the callbacks had their chance to go on."""
        if self._pending is not None:
            state, self._pending = self._pending, None
            self.load_state_dict(state)
            self.initial_epoch = int(state["epoch"])
        elif self._initial_epoch:
            self.initial_epoch = self._initial_epoch
        return range(end if self._stop else self.initial_epoch, end)

    def finish(self) -> None:
        """End a ``fit``: the weights become their moving average, and the history keeps why it stopped."""
        if self.ema is not None:
            self.ema.finish()
        if self.history is not None:
            self.history.stop_reason = self.stop_reason

    def training_state(self) -> dict[str, Any]:
        """Return the state of the optimizer, the moving average and the loss scaling; of those that there are."""
        parts = {"optimizer": self.optimizer, "ema": self.ema, "precision": self.precision}
        states = {name: part.state_dict() for name, part in parts.items() if part is not None}
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
            part.load_state_dict(value)

    def state_dict(self) -> dict[str, Any]:
        """Return all that has to be kept to go on: figures, texts, lists, dicts and tensors, nothing else.

        ``epoch`` is the next one to run: inside ``on_epoch_end`` that is the one after it.
        """
        return {
            "module": self.module.state_dict(),
            "training": self.training_state(),
            "meter": self.meter.state_dict(),
            "callbacks": self._callbacks.state_dict() if self._callbacks is not None else {},
            "epoch": self.epoch + 1,
            "stopped": self.stop_reason,
            "random": self._random_state(),
        }

    def _random_state(self) -> dict[str, torch.Tensor]:
        states = {"cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self.device)
        return states

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
        """Take back what `state_dict` returned."""
        self.module.load_state_dict(state["module"])
        self.load_training_state(state["training"])
        self.meter.load_state_dict(state["meter"])
        if self._callbacks is not None:
            self._callbacks.load_state_dict(state["callbacks"])
        torch.set_rng_state(state["random"]["cpu"])
        if "cuda" in state["random"]:
            torch.cuda.set_rng_state(state["random"]["cuda"], self.device)
        if state["stopped"] is not None:
            self.stop(state["stopped"])
