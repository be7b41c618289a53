"""The parts that a `Trainer` computes with, put together into meters, forward passes and training steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from regraft.distributed.shards import Sharding
from regraft.errors import TrainingError
from regraft.training.auxiliary import Auxiliary
from regraft.training.class_count import ClassCount
from regraft.training.counts import whole_number
from regraft.training.input_types import InputTypes
from regraft.training.lone_sample import LoneSample
from regraft.training.losses.class_weights import ClassWeights
from regraft.training.losses.objective import Objective
from regraft.training.metrics.epoch_metrics import EpochMetrics, with_output_names
from regraft.training.modes import Say, modes_kept, undone
from regraft.training.numerics import Precision, PrecisionName
from regraft.training.optimizers.ema import EMA
from regraft.training.optimizers.optimizer_view import OptimizerView
from regraft.training.optimizers.optimizers import as_optimizer
from regraft.training.optimizers.trainable import Build
from regraft.training.sharding.sharded_forward import ShardedForward
from regraft.training.steps import Forward, TrainStep, Update


@dataclass
class UpdateOptions:
    """The arguments of `Trainer` that control how gradients become an update.

    Attributes:
        accumulate: batches per update.
        clip_norm: maximum norm of all gradients together; None: no limit.
        clip_value: maximum absolute value of a gradient; None: no limit.
        sharding: the way in which batches are cut into virtual shards; None: each batch is computed as one.

    Raises:
        TrainingError: ``accumulate`` is below 1, or a limit is not above 0.
    """

    accumulate: int = 1
    clip_norm: float | None = None
    clip_value: float | None = None
    sharding: Sharding | None = None

    def __post_init__(self) -> None:
        if whole_number("accumulate", self.accumulate) < 1:
            raise TrainingError(f"accumulate is {self.accumulate}; expected 1 batch or more for an update")
        for name, limit in (("clip_norm", self.clip_norm), ("clip_value", self.clip_value)):
            if limit is not None and not limit > 0:
                raise TrainingError(f"{name} is {limit!r}; expected a number above 0, or None for no limit")


class Components:
    """The parts of a `Trainer` that turn batches into outputs, losses, figures and updates.

    Args:
        module: the module, on its device.
        device: where it runs.
        loss: ``loss`` and ``loss_weights`` of `Trainer`.
        metrics: ``metrics`` and ``weighted_metrics`` of `Trainer`.
        precision: name of the precision.
        update: how gradients become an update.
        compile_options: options of ``torch.compile``; None: the module is not compiled.
        say: prints a label and a text on the screen.
        warn: prints a warning.
    """

    def __init__(
        self,
        module: nn.Module,
        device: torch.device,
        *,
        loss: tuple[Any, Any],
        metrics: tuple[Any, Any],
        precision: PrecisionName,
        update: UpdateOptions,
        compile_options: Mapping[str, Any] | None,
        say: Say,
        warn: Callable[[str], None],
    ) -> None:
        metrics = with_output_names(metrics[0]), with_output_names(metrics[1])
        self.module, self.device, self.metrics, self.update, self._say = module, device, metrics, update, say
        self.objective = None if loss[0] is None else Objective(*loss)
        self.precision = Precision(precision, device)
        self.forward: Any = module if compile_options is None else torch.compile(module, **compile_options)
        self.input_types = InputTypes(module, device, say)
        by_output = isinstance(metrics[0], Mapping) or (self.objective is not None and self.objective.names_outputs)
        describe = self.objective.describe if self.objective is not None else str
        self.auxiliary = Auxiliary(self._outputs_in_mode, by_output, describe, say)
        self.class_count = ClassCount(warn)

    def new_meter(self) -> EpochMetrics:
        """Return an empty meter for the loss and the metrics."""
        return EpochMetrics(*self.metrics, self.objective.reading if self.objective else None)

    def forward_step(self, class_weight: Any = None) -> Forward:
        """Return the step from a batch to its loss and figures.

        Raises:
            TrainingError: there is no loss.
        """
        if self.objective is None:
            raise TrainingError("the Trainer was made without a loss; pass loss=, such as loss='cross_entropy'")
        empty = class_weight is None or (isinstance(class_weight, Mapping) and not class_weight)
        weights = None if empty else ClassWeights(class_weight, self.device)
        self.input_types.refresh()
        common = (self.objective, self.precision, self.device, self.input_types, self.auxiliary)
        return Forward(self.forward, *common, weights)

    def evaluation_step(self) -> Callable[[Any, EpochMetrics], Tensor]:
        """Return the step from a batch to its loss and figures, shard by shard if batches are cut into shards."""
        forward, sharding = self.forward_step(), self.update.sharding
        return forward if sharding is None else ShardedForward(forward, self.module, sharding, list)

    def train_step(
        self,
        optimizer: OptimizerView | None,
        ema: EMA | None,
        class_weight: Any,
        steps: int | None,
        saw_larger_batch: Callable[[], bool],
    ) -> TrainStep:
        """Return the step that trains on a batch.

        Args:
            optimizer: the optimizer.
            ema: the moving average, or None.
            class_weight: weights of samples by class number.
            steps: batches of an epoch, if known.
            saw_larger_batch: returns whether this epoch already had a batch of several samples.

        Raises:
            TrainingError: there is no optimizer or no loss.
        """
        if optimizer is None:
            raise TrainingError("the Trainer was made without an optimizer; pass optimizer=, such as optimizer='adam'")
        optimizer.torch.zero_grad()
        if ema is not None:
            ema.show(False)  # a file of the best epoch's average was loaded
        options = self.update
        update = Update(optimizer, self.precision, ema, options.accumulate, options.clip_norm, options.clip_value)
        forward = self.forward_step(class_weight)
        forward.module = LoneSample(self.forward, self.module, self.device, saw_larger_batch, self._say)
        forward.training = True
        forward.classes = self.class_count if forward.objective.by_class else None
        if options.sharding is None:
            return TrainStep(forward, update, steps)
        sharded = ShardedForward(forward, self.module, options.sharding, optimizer.trainable)
        return TrainStep(sharded, update, steps, sharded.backward)

    def _outputs_in_mode(self, x: Any, training: bool) -> Any:
        """Return the module's outputs for ``x`` in train or inference mode, without changing the module."""
        with modes_kept(self.module), undone(self.module, self.device), torch.no_grad(), self.precision.autocast():
            self.module.train(training)
            return self.input_types.call(self.module, x)


def optimizer_builder(optimizer: Any, module: nn.Module, learning_rate: float | None) -> Build | None:
    """Return a function that builds an optimizer for other parameters; None if the user built the optimizer."""
    if optimizer is None or isinstance(optimizer, (torch.optim.Optimizer, OptimizerView)):
        return None
    return partial(as_optimizer, optimizer, module, learning_rate)
