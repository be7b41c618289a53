"""What a `Trainer` is made of, and how its steps are put together."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import nn

from regraft.callbacks.callback_list import CallbackList
from regraft.errors import TrainingError
from regraft.screen import Screen, screen_for
from regraft.training.auxiliary import Auxiliary
from regraft.training.class_count import ClassCount
from regraft.training.ema import EMA
from regraft.training.input_types import InputTypes
from regraft.training.lone_sample import LoneSample
from regraft.training.meter import Meter
from regraft.training.modes import TrainModes, modes_kept
from regraft.training.numerics import Precision, PrecisionName, resolve_device
from regraft.training.objective import Objective
from regraft.training.optimizer_view import OptimizerView
from regraft.training.optimizers import as_optimizer
from regraft.training.rehearsal import undone
from regraft.training.state import TrainingState
from regraft.training.steps import ClassWeights, Forward, TrainStep, Update
from regraft.training.surface import KerasSurface
from regraft.training.trainable import Build, Trainables

Verbose = int | str


class Setup(TrainingState, KerasSurface):
    """The parts of a `Trainer`; its arguments are described there."""

    def __init__(
        self,
        module: nn.Module,
        optimizer: Any = None,
        loss: Any = None,
        metrics: Any = None,
        *,
        weighted_metrics: Any = None,
        loss_weights: Any = None,
        learning_rate: float | None = None,
        parameters: Any = None,
        device: str | torch.device | None = None,
        precision: PrecisionName = "fp32",
        accumulate: int = 1,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        ema_overwrite_frequency: int | None = None,
        compile: bool | Mapping[str, Any] = False,  # noqa: A002 (its name in Keras and torch)
        seed: int = 0,
        fixed: Collection[str] = (),
        freeze_normalization: bool = True,
        screen: Screen | None = None,
    ) -> None:
        super().__init__()
        self._screen = screen
        if accumulate < 1:
            raise TrainingError(f"accumulate is {accumulate}; expected 1 batch or more for an update")
        self.device = resolve_device(device, module)
        self.module = module.to(self.device)
        self.optimizer = None if optimizer is None else as_optimizer(optimizer, module, learning_rate, parameters)
        self.loss = loss
        self.objective = None if loss is None else Objective(loss, loss_weights)
        self.precision = Precision(precision, self.device)
        self.ema = None if ema is None else EMA(module, ema, ema_overwrite_frequency)
        self.accumulate, self.clip_norm, self.clip_value = accumulate, clip_norm, clip_value
        self.seed = seed
        self.fixed = frozenset(fixed)
        self._metrics = (metrics, weighted_metrics)
        self.forward: Any = (
            torch.compile(module, **(compile if isinstance(compile, Mapping) else {})) if compile else module
        )
        self.meter = self.new_meter()
        self.train_modes = TrainModes(self.module, freeze_normalization, self.say)
        self.input_types = InputTypes(self.module, self.device, self.say)
        by_output = isinstance(metrics, Mapping) or (self.objective is not None and self.objective.names_outputs)
        hint = self.objective.describe if self.objective is not None else str
        self.auxiliary = Auxiliary(self._outputs_in, by_output, hint, self.say)
        self.class_count = ClassCount(self.warn)
        build = None if parameters is not None else _builder(optimizer, module, learning_rate)
        self.trainables = Trainables(self.module, self.optimizer, self.ema, build, self.say, self.warn)

    @property
    def screen(self) -> Screen:
        """The screen that was given; else the one that suits standard output as it is now."""
        return self._screen or screen_for()

    @screen.setter
    def screen(self, screen: Screen | None) -> None:
        self._screen = screen

    def say(self, label: str, text: str) -> None:
        """Say a fact on the screen."""
        self.screen.line(label, text)

    def warn(self, text: str) -> None:
        """Say a warning on the screen."""
        self.screen.warn(text)

    @property
    def metrics_names(self) -> list[str]:
        """The names of the figures that a batch gives, ``loss`` first."""
        return self.meter.names()

    def names_are_certain(self) -> bool:
        """Return whether no other figures than `metrics_names` can come up: metrics by name, one loss."""
        given = [one for some in self._metrics for one in (some if isinstance(some, list) else [some])]
        return not isinstance(self.loss, (Mapping, list, tuple)) and all(isinstance(g, str | None) for g in given)

    def metric_directions(self) -> dict[str, str]:
        """Return for each figure whether less (``"min"``) or more (``"max"``) is better, where it is known."""
        return self.meter.directions()

    def hooks_of(
        self, callbacks: Any, verbose: Verbose, epochs: int, steps: int | None, *, history: bool = False
    ) -> CallbackList:
        """Return the callbacks of a loop, with a `History` and a `ProgbarLogger` where they belong."""
        if isinstance(callbacks, CallbackList):
            return callbacks
        params = {"verbose": verbose, "epochs": epochs, "steps": steps}
        return CallbackList(callbacks, add_history=history, add_progbar=verbose != 0, model=self, **params)

    def new_meter(self) -> Meter:
        """Return sums for the figures of batches, empty."""
        return Meter(*self._metrics, self.objective.reading if self.objective else None)

    def forward_step(self, class_weight: Mapping[Any, float] | None = None) -> Forward:
        """Return what goes from a batch to its loss and figures.

        Raises:
            TrainingError: there is no loss.
        """
        if self.objective is None:
            raise TrainingError("the Trainer was made without a loss; pass loss=, such as loss='cross_entropy'")
        weights = ClassWeights(class_weight, self.device) if class_weight else None
        self.input_types.refresh()
        common = (self.objective, self.precision, self.device, self.input_types, self.auxiliary)
        return Forward(self.forward, *common, weights)

    def _outputs_in(self, x: Any, training: bool) -> Any:
        """Return the outputs of the module for ``x``, on its device, in one of its modes; leave no trace."""
        with modes_kept(self.module), undone(self.module, self.device), torch.no_grad(), self.precision.autocast():
            self.module.train(training)
            return self.input_types.call(self.module, x)

    def train_step(self, class_weight: Mapping[Any, float] | None, steps: int | None) -> TrainStep:
        """Return what trains on a batch; ``steps`` is the number of batches of an epoch, where it is known.

        Raises:
            TrainingError: there is no optimizer or no loss.
        """
        if self.optimizer is None:
            raise TrainingError("the Trainer was made without an optimizer; pass optimizer=, such as optimizer='adam'")
        self.optimizer.torch.zero_grad()
        if self.ema is not None:
            self.ema.show(False)  # a file of the best epoch's average was loaded
        clip = (self.clip_norm, self.clip_value)
        update = Update(self.optimizer, self.precision, self.ema, self.accumulate, *clip)
        forward = self.forward_step(class_weight)
        forward.module = LoneSample(self.forward, self.module, self.device, lambda: self.meter.size > 1, self.say)
        forward.training = True
        forward.classes = self.class_count if forward.objective.by_class else None
        return TrainStep(forward, update, steps)


def _builder(optimizer: Any, module: nn.Module, learning_rate: float | None) -> Build | None:
    """Return what builds an optimizer for other parameters; None, if the user built the optimizer."""
    if optimizer is None or isinstance(optimizer, (torch.optim.Optimizer, OptimizerView)):
        return None
    return lambda parameters: as_optimizer(optimizer, module, learning_rate, parameters)
