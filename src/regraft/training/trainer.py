"""`Trainer`: any torch module, with ``fit``, ``evaluate`` and ``predict`` as Keras has them."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from inspect import signature
from typing import Any

import torch
from torch import nn

from regraft.callbacks.history import History
from regraft.distributed.shards import sharding_for
from regraft.screen import Screen
from regraft.training.argument_checks import check_agreement, check_callbacks, validates
from regraft.training.batches.epoch_iterator import EpochIterator, feed_of, validation_feed, with_validation
from regraft.training.components import Components, UpdateOptions, optimizer_builder
from regraft.training.evaluation import as_keras_result
from regraft.training.fit_loop import FitLoop, one_training, prepare_modules
from regraft.training.keras_api import KerasApi, Verbose
from regraft.training.loop_state import LoopState, part
from regraft.training.lr_finder import LearningRateCurve, find_learning_rate
from regraft.training.metrics.epoch_metrics import EpochMetrics
from regraft.training.modes import TrainModes, modes_kept
from regraft.training.numerics import PrecisionName, resolve_device
from regraft.training.optimizers.ema import EMA
from regraft.training.optimizers.optimizers import as_optimizer
from regraft.training.optimizers.trainable import Trainables
from regraft.training.saving.saved_state import load_state, state_of
from regraft.training.saving.snapshots import Snapshots
from regraft.training.sharding.sharded_fit import sharded_fit
from regraft.training.state_format import read_state, write_state
from regraft.training.steps import TrainStep
from regraft.training.unlike_keras import reject_unknown_arguments


class Trainer(KerasApi):
    """Trains, evaluates and runs a torch module.

    Example:
        >>> net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 3))
        >>> model = Trainer(net, optimizer='adam', loss='cross_entropy', metrics=['accuracy'])
        >>> history = model.fit(x, y, epochs=2, validation_split=0.2, verbose=0)
        >>> sorted(history.history)
        ['accuracy', 'loss', 'val_accuracy', 'val_loss']
        >>> model.predict(x[:4], verbose=0).shape
        (4, 3)

    Args:
        module: any ``torch.nn.Module``. A tuple of inputs becomes its arguments, a dict its keyword arguments; its
            output may be a tensor, a tuple or a dict.
        optimizer: a name, a torch optimizer, or a function that builds one from the parameters (`as_optimizer`).
        loss: a name, a torch loss, or a function of (output, target); a list or dict of them by output (`Objective`).
        metrics: names, torchmetrics objects, functions of (output, target), ``(name, any of these)``; a dict by output.
        weighted_metrics: metrics in which samples count by their weight.
        loss_weights: factors of the losses of several outputs.
        learning_rate: of an optimizer given by name or function.
        parameters: parameters or parameter groups to optimize, in place of those that need a gradient.
        device: where to run; None: where the module is; ``"auto"``: CUDA, Apple's MPS or the processor.
        precision: ``"fp32"``, ``"bf16"`` or, on CUDA, ``"fp16"``.
        accumulate: batches for one update.
        clip_norm: largest norm of all gradients together.
        clip_value: largest absolute value of a gradient.
        ema: momentum of a moving average of the weights, such as 0.999; None: none. See `EMA`.
        ema_overwrite_frequency: updates after which the weights become their average.
        compile: run the module through ``torch.compile``; a dict contains its options.
        seed: determines, with the epoch, the order of the samples.
        fixed: names in the module's ``state_dict`` that training never changes and that are there again when the same
            program runs, such as frozen pretrained weights: snapshots and kept best weights leave them out.
        freeze_normalization: frozen normalization layers stay in inference mode, as in Keras. See `TrainModes`.
        screen: receives messages; None: standard output.
        shards: virtual shards of a batch, 0 for none; None: 8 in processes of ``torchrun``, see ``docs/scale.md``.
        fast_reduce: whether processes add gradients in any order.

    Attributes:
        optimizer: the optimizer as an `OptimizerView`.
        history: the `History` of the last ``fit``.
        stop_reason: why training was stopped, in words.

    Raises:
        TrainingError: an argument is none of the above; the message says what is expected.
    """

    # The state of the running or last ``fit``, see `LoopState`.
    epoch: int = part("loop_state.epoch")
    initial_epoch: int = part("loop_state.initial_epoch")
    position: tuple[int, int] = part("loop_state.position")
    batch: Any = part("loop_state.batch")
    logs: dict[str, Any] = part("loop_state.logs")
    meter: EpochMetrics = part("loop_state.meter")
    history: History | None = part("loop_state.history")
    feed: EpochIterator | None = part("loop_state.feed")
    step: TrainStep | None = part("loop_state.step")
    stop_reason: str | None = part("loop_state.stop.reason")
    resuming: bool = part("loop_state.resuming.active")
    going_on: bool = resuming  # the older name
    _initial_epoch: int | None = part("loop_state.resuming.initial_epoch")  # set by Keras's own BackupAndRestore
    objective = part("components.objective")
    precision = part("components.precision")
    accumulate: int = part("components.update.accumulate")
    clip_norm: float | None = part("components.update.clip_norm")
    clip_value: float | None = part("components.update.clip_value")

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
        shards: int | None = None,
        fast_reduce: bool = False,
    ) -> None:
        self._screen = screen
        update = UpdateOptions(accumulate, clip_norm, clip_value, sharding_for(shards, fast=fast_reduce))
        self.device = resolve_device(device, module)
        self.module = module.to(self.device)
        self.optimizer = None if optimizer is None else as_optimizer(optimizer, module, learning_rate, parameters)
        self.loss, self.seed, self.fixed = loss, seed, frozenset(fixed)
        self.components = Components(
            self.module,
            self.device,
            loss=(loss, loss_weights),
            metrics=(metrics, weighted_metrics),
            precision=precision,
            update=update,
            compile_options=compile if isinstance(compile, Mapping) else {} if compile else None,
            say=self.say,
            warn=self.warn,
        )
        self.ema = None if ema is None else EMA(module, ema, ema_overwrite_frequency)
        self.loop_state = LoopState(self.new_meter())
        self.train_modes = TrainModes(self.module, freeze_normalization, self.say)
        build = None if parameters is not None else optimizer_builder(optimizer, module, learning_rate)
        self.trainables = Trainables(self.module, self.optimizer, self.ema, build, self.say, self.warn)
        self.fitting = self.stop_evaluating = self.stop_predicting = False
        self.has_validation: bool | None = None
        self.epochs_trained = 0

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Verbose = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool | str = True,
        class_weight: Any = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Sequence[int] = 1,
        resume: str | os.PathLike[str] | Snapshots | None = None,
        **unknown: Any,
    ) -> History:
        """Train the module.

        Args:
            x: tensors or arrays (in tuples or dicts where there are several), a ``Dataset``, a ``DataLoader``, an
                iterable or generator of batches ``(x, y)`` or ``(x, y, weight)``, or a `BatchSource`. A data set with
                an attribute ``validation`` has its own validation data.
            y: targets, where ``x`` is tensors or arrays.
            batch_size: 32 if None, where ``x`` is not batches already.
            epochs: the number of the last epoch, counted from 1.
            verbose: 0 silent, 1 or ``"auto"`` a bar, 2 a line per epoch.
            callbacks: callbacks of regraft or Keras, or torch schedulers.
            validation_split: share at the end of ``x`` for validation.
            validation_data: ``(x, y)`` or ``(x, y, weight)``, or anything else that ``x`` may be.
            shuffle: a new order of the samples each epoch; ``"batch"``: only inside the batches.
            class_weight: weights of samples by class number, a dict or an array; multiplied with ``sample_weight``.
            sample_weight: weights of the samples (n,).
            initial_epoch: number of the first epoch, counted from 0.
            steps_per_epoch: batches of an epoch; None: all.
            validation_steps: batches of a validation; None: all.
            validation_batch_size: as ``batch_size``, for validation.
            validation_freq: validate every this many epochs, or after those listed, counted from 1.
            resume: a folder for snapshots of the whole state, or `Snapshots`. If it contains some, training resumes
                from the newest, inside its epoch, and ends with the same weights; see ``docs/resume.md``.
            **unknown: refused, with a hint to what replaces an argument of older Keras.

        Returns: the metrics of each epoch, and why training stopped.

        Raises:
            TrainingError: an argument is invalid, or a callback needs something that is missing; before the first step.
            TypeError: an unknown argument.
        """
        reject_unknown_arguments("fit", unknown, signature(Trainer.fit).parameters)
        (x, y, sample_weight), held_out = with_validation(x, y, sample_weight, validation_split, validation_data)
        check_agreement(self.module, self.screen, x, held_out)
        training = feed_of(x, y, sample_weight, batch_size, steps_per_epoch, shuffle=shuffle, seed=self.seed)
        planned = training.planned_epochs(initial_epoch, epochs)
        validation_size = batch_size if validation_batch_size is None else validation_batch_size
        validation = validation_feed(held_out, validation_size, validation_steps)
        validates(0, validation_freq)
        with sharded_fit(self.components, training, validation, resumes=resume is not None), one_training(self):
            hooks = self.callback_list(callbacks, verbose, planned.stop, training.num_batches, history=True)
            check_callbacks(self, hooks, training, held_out, planned, validation_freq)
            step = self.train_step(class_weight, training.num_batches)
            FitLoop(self, hooks, step, training, validation, validation_freq).run(planned.start, planned.stop, resume)
        return hooks.history or History()

    def train_step(self, class_weight: Any, steps: int | None) -> TrainStep:
        """Return the step that trains on a batch; ``steps`` is the number of batches of an epoch, if known."""
        return self.components.train_step(self.optimizer, self.ema, class_weight, steps, self._saw_larger_batch)

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Train on one batch; return its loss and metrics, before the update, as `evaluate` does."""
        with one_training(self), modes_kept(self.module):
            self.train_modes.train()
            prepare_modules(self)
            self.meter.reset()
            step = self.train_step(class_weight, 1)
            step((x, y, sample_weight), 0, self.meter)
            return as_keras_result(self.meter.logs(), return_dict)

    def find_lr(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        start: float = 1e-6,
        end: float = 10.0,
        steps: int = 100,
    ) -> LearningRateCurve:
        """Return the loss while the learning rate grows from ``start`` to ``end``; the trainer's state is restored.

        Args:
            x: as in `fit`.
            y: as in `fit`.
            batch_size: as in `fit`.
            start: first learning rate.
            end: last learning rate, if the loss has not diverged before.
            steps: number of learning rates, each one batch.
        """
        check_agreement(self.module, self.screen, x)
        feed = feed_of(x, y, None, batch_size, None, shuffle=True, seed=self.seed)
        return find_learning_rate(self, feed, start, end, steps)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned; inside ``on_train_begin``, as soon as all callbacks have begun."""
        callbacks = self.loop_state.callbacks
        if callbacks is not None and callbacks.running is not None:
            self.loop_state.resuming.pending = state
        else:
            self.load_state_dict(state)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that an interrupted training needs to continue, see `state_of`."""
        return state_of(self)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned.

        Raises:
            TrainingError: the state belongs to another module or to other callbacks.
        """
        load_state(self, state)

    def write_state(self, path: str | os.PathLike[str], state: Mapping[str, Any] | None = None) -> None:
        """Write `state_dict`, or ``state``, to a safetensors file, completely or not at all."""
        write_state(path, self.state_dict() if state is None else state)

    def read_state(self, path: str | os.PathLike[str]) -> dict[str, Any]:
        """Return the state in a file that `write_state` wrote.

        Raises:
            ModelFileError: the file is missing, damaged or foreign.
        """
        return read_state(path)
