"""The fit loop: the order of events in a training, and trainings inside its callbacks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Any

import torch

from regraft.callbacks.callback_list import CallbackList
from regraft.distributed.shards import Part
from regraft.training.argument_checks import validates
from regraft.training.batches.epoch_iterator import EpochIterator
from regraft.training.evaluation import run_test
from regraft.training.losses.loss_parameters import warn_of_loss_parameters
from regraft.training.modes import modes_kept
from regraft.training.numerics import reproducible
from regraft.training.saving.resume import FitSnapshots
from regraft.training.saving.snapshots import Snapshots
from regraft.training.sharding.replica import check_replicas, share_result, share_start
from regraft.training.steps import TrainStep

if TYPE_CHECKING:
    from regraft.training.trainer import Trainer


class FitLoop:
    """One run of the fit loop.

    Args:
        trainer: the trainer.
        callbacks: its callbacks.
        step: the training step.
        training: the batches to train on.
        validation: the batches to validate on, or None.
        validation_freq: validate every this many epochs, or after those listed, counted from 1.
    """

    def __init__(
        self,
        trainer: Trainer,
        callbacks: CallbackList,
        step: TrainStep,
        training: EpochIterator,
        validation: EpochIterator | None,
        validation_freq: int | Sequence[int],
    ) -> None:
        self.trainer, self.callbacks, self.step = trainer, callbacks, step
        self.training, self.validation, self.validation_freq = training, validation, validation_freq
        self.state = trainer.loop_state

    def run(self, initial_epoch: int, epochs: int, resume: str | os.PathLike[str] | Snapshots | None) -> None:
        """Train from ``initial_epoch`` up to ``epochs``; this method defines the order of all events."""
        trainer, callbacks, state = self.trainer, self.callbacks, self.state
        with reproducible(trainer.device), closing(callbacks), FitSnapshots(trainer, resume) as snapshots:
            self._start_fit(initial_epoch)
            saved = snapshots.load()
            callbacks.on_train_begin()
            self._resume_from(saved)
            share_start(trainer)
            snapshots.first()
            for epoch in state.remaining_epochs(epochs):
                first_batch = state.enter_epoch(epoch)
                trainer.train_modes.train()  # module.train(), but frozen normalization layers stay in inference mode
                if first_batch:
                    callbacks.on_epoch_resumed(epoch)
                else:
                    callbacks.on_epoch_begin(epoch)
                self._train_epoch(epoch, first_batch, snapshots)
                trainer.module.eval()
                if self.validation is not None and validates(epoch, self.validation_freq):
                    snapshots.before_validation()
                    state.logs |= self._validate(self.validation, snapshots)
                state.position = (epoch + 1, 0)
                check_replicas(trainer)
                callbacks.on_epoch_end(epoch, state.logs)
                snapshots.after_epoch(last=state.stop.requested or epoch + 1 == epochs)
                if state.stop.requested:
                    break
            self._end_fit()
            callbacks.on_train_end(state.logs)
            share_result(trainer)

    def _train_epoch(self, epoch: int, first_batch: int, snapshots: FitSnapshots) -> None:
        """Train on the batches of an epoch from ``first_batch`` on."""
        trainer, callbacks, state, step = self.trainer, self.callbacks, self.state, self.step
        begins, ends = callbacks.wants("on_train_batch_begin"), callbacks.wants("on_train_batch_end")
        if trainer.ema is not None:
            trainer.ema.begin_epoch()
        prepare_modules(trainer)
        meter = state.meter
        for number, batch in self.training.epoch(epoch, first_batch):
            state.batch = batch.batch if isinstance(batch, Part) else batch
            if begins:
                callbacks.on_train_batch_begin(number)
                follow_hook(trainer)
            step(batch, number, meter)
            state.position = (epoch, number + 1)
            if ends:
                callbacks.on_train_batch_end(number, meter.logs())
                follow_hook(trainer)
            if state.stop.requested:
                break
            snapshots.after_batch()
        step.flush()
        trainer.components.class_count.report()
        state.logs = dict(meter.logs())

    def _validate(self, validation: EpochIterator, snapshots: FitSnapshots) -> dict[str, Any]:
        """Return the figures of the validation data, by names that begin with ``val_``."""
        figures = run_test(self.trainer, validation, self.callbacks, snapshots.after_validation_batch)
        return {f"val_{name}": value for name, value in figures.items()}

    def _start_fit(self, initial_epoch: int) -> None:
        trainer = self.trainer
        self.training.device = trainer.device
        if trainer.ema is not None:
            trainer.ema.begin_training()
        groups = trainer.optimizer.param_groups if trainer.optimizer is not None else ()
        warn_of_loss_parameters(trainer.loss, trainer.module, groups, trainer.warn)
        self.state.start_fit(self.callbacks, initial_epoch, self.training, self.step, trainer.trainables.names)

    def _resume_from(self, saved: Mapping[str, Any] | None) -> None:
        """Restore ``saved``, or the state that a callback gave to `Trainer.restore`, if there is one."""
        state, resuming = self.state, self.state.resuming
        saved, resuming.pending = saved if resuming.pending is None else resuming.pending, None
        if saved is not None:
            self.trainer.load_state_dict(saved)
            state.initial_epoch = state.position[0]
        elif resuming.initial_epoch:
            state.initial_epoch = resuming.initial_epoch
            state.position = (state.initial_epoch, 0)

    def _end_fit(self) -> None:
        """Replace the weights by their moving average, and record in the history why training stopped."""
        if self.trainer.ema is not None:
            self.trainer.ema.finish()
        if self.state.history is not None:
            self.state.history.stop_reason = self.state.stop.reason


def prepare_modules(trainer: Trainer) -> None:
    """Update optimizer, moving average and modes after callbacks may have frozen or unfrozen parameters.

    Raises:
        TrainingError: the optimizer contains none of the trainable parameters.
    """
    trainer.trainables.follow()
    trainer.trainables.check()
    trainer.train_modes.update()


def follow_hook(trainer: Trainer) -> None:
    """Do the same as `prepare_modules` inside an epoch, if a hook changed a parameter or a mode."""
    trainer.train_modes.resume()
    if trainer.trainables.changed():
        prepare_modules(trainer)


@contextmanager
def one_training(trainer: Trainer) -> Iterator[None]:
    """Train with gradients enabled; inside a running ``fit``, with a separate `LoopState`.

    Weights, optimizer and moving average are shared with the running ``fit``. Its position, figures, accumulated
    gradients and the modes of the submodules are restored at the end.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        if trainer.fitting:
            stack.enter_context(_nested(trainer))
        else:
            trainer.fitting = True
            stack.callback(setattr, trainer, "fitting", False)
        yield


@contextmanager
def _nested(trainer: Trainer) -> Iterator[None]:
    outer = trainer.loop_state
    gradients = [(p, p.grad) for p in trainer.module.parameters()]
    for parameter, _ in gradients:
        parameter.grad = None
    trainer.loop_state = outer.for_nested_training(trainer.new_meter())
    try:
        with modes_kept(trainer.module):
            yield
    finally:
        trainer.loop_state = outer
        for parameter, gradient in gradients:
            parameter.grad = gradient
