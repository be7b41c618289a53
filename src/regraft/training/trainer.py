"""`Trainer`: any torch module, with ``fit``, ``evaluate`` and ``predict`` as Keras has them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Any

from regraft.callbacks.history import History
from regraft.training.agreement import check_agreement
from regraft.training.checks import validates
from regraft.training.evaluation import Evaluation, listed
from regraft.training.feed import feed_of, validation_feed, with_validation
from regraft.training.lr_finder import LearningRateCurve, find_learning_rate
from regraft.training.modes import modes_kept
from regraft.training.monitors import check_callbacks
from regraft.training.nesting import one_training
from regraft.training.numerics import reproducible
from regraft.training.resumption import Resumption
from regraft.training.setup import Verbose
from regraft.training.snapshots import Snapshots


class Trainer(Evaluation):
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
        accumulate: batches whose gradients make one update.
        clip_norm: largest norm of all gradients together.
        clip_value: largest absolute value of a gradient.
        ema: momentum of a moving average of the weights, such as 0.999; None: none. See `EMA`.
        ema_overwrite_frequency: updates after which the weights become their average.
        compile: run the module through ``torch.compile``; a dict holds its options.
        seed: what the order of the samples depends on, beside the epoch.
        fixed: names in the module's ``state_dict`` that training never changes and that are there again when the same
            program runs, such as frozen pretrained weights: snapshots and kept best weights leave them out.
        freeze_normalization: normalisation layers whose parameters are all frozen stay in inference mode while the
            module is trained, as in Keras; False: their running statistics follow the batches. See `TrainModes`.
        screen: receives messages; None: standard output.

    Attributes:
        optimizer: the optimizer as an `OptimizerView`.
        history: the `History` of the last ``fit``.
        stop_reason: why training was stopped, in words.

    Raises:
        TrainingError: an argument is none of the above; the message says what is expected.
    """

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
        class_weight: Mapping[Any, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Sequence[int] = 1,
        resume: str | os.PathLike[str] | Snapshots | None = None,
    ) -> History:
        """Train the module.

        Args:
            x: tensors or arrays (in tuples or dicts where there are several), a ``Dataset``, a ``DataLoader``, an
                iterable or generator of batches ``(x, y)`` or ``(x, y, weight)``, or a `BatchSource`. A data set with
                an attribute ``validation`` brings its own validation data.
            y: targets, where ``x`` is tensors or arrays.
            batch_size: 32 if None, where ``x`` is not batches already.
            epochs: the number of the last epoch, counted from 1.
            verbose: 0 silent, 1 or ``"auto"`` a bar, 2 a line per epoch.
            callbacks: callbacks of regraft or Keras, or torch schedulers.
            validation_split: share at the end of ``x`` that is kept for validation.
            validation_data: ``(x, y)`` or ``(x, y, weight)``, or anything else that ``x`` may be.
            shuffle: a new order of the samples each epoch; ``"batch"``: only inside the batches.
            class_weight: weights of samples by class number; multiplied with ``sample_weight``.
            sample_weight: weights of the samples (n,).
            initial_epoch: number of the first epoch, counted from 0.
            steps_per_epoch: batches of an epoch; None: all.
            validation_steps: batches of a validation; None: all.
            validation_batch_size: as ``batch_size``, for validation.
            validation_freq: validate every so many epochs, or after those listed, counted from 1.
            resume: a folder for snapshots of the whole state, or `Snapshots`. If it holds some, training goes on from
                the newest, inside its epoch, and ends with the weights that it would have had. The first Ctrl-C or
                SIGTERM finishes the step and writes one; see ``docs/resume.md``.

        Returns:
            What each epoch gave, and why training stopped.

        Raises:
            TrainingError: an argument is wrong, or a callback needs what is not there; before the first step.
        """
        (x, y, sample_weight), held_out = with_validation(x, y, sample_weight, validation_split, validation_data)
        check_agreement(self.module, self.screen, x, held_out)
        training = feed_of(x, y, sample_weight, batch_size, steps_per_epoch, shuffle=shuffle, seed=self.seed)
        training.check_epochs(epochs - initial_epoch)
        validation = validation_feed(held_out, validation_batch_size or batch_size, validation_steps)
        validates(0, validation_freq)
        with one_training(self), ExitStack() as stack:
            hooks = self.hooks_of(callbacks, verbose, epochs, training.num_batches, history=True)
            check_callbacks(self, hooks, training, held_out, range(initial_epoch, epochs), validation_freq)
            step = self.train_step(class_weight, training.num_batches)
            stack.enter_context(reproducible(self.device))
            stack.enter_context(closing(hooks))
            resumption = stack.enter_context(Resumption(self, resume))
            self.begin(hooks, initial_epoch, training, step)
            state = resumption.look()
            hooks.on_train_begin()
            self.take_up(state)
            resumption.begin()
            begins, ends = hooks.wants("on_train_batch_begin"), hooks.wants("on_train_batch_end")
            for epoch in self.epochs(epochs):
                for number, batch in training.epoch(epoch, self.begin_epoch(epoch, hooks)):
                    self.batch = batch
                    if begins:
                        hooks.on_train_batch_begin(number)
                        self.after_hook()
                    step(batch, number, self.meter)
                    self.position = (epoch, number + 1)
                    if ends:
                        hooks.on_train_batch_end(number, self.meter.logs())
                        self.after_hook()
                    if self.stop_training:
                        break
                    resumption.after_batch()
                step.flush()
                self.class_count.report()
                self.logs = dict(self.meter.logs())
                self.module.eval()
                if validation is not None and validates(epoch, validation_freq):
                    resumption.before_test()
                    figures = self._test(validation, hooks, resumption)
                    self.logs |= {f"val_{name}": value for name, value in figures.items()}
                self.position = (epoch + 1, 0)
                hooks.on_epoch_end(epoch, self.logs)
                resumption.after_epoch(last=self.stop_training or epoch + 1 == epochs)
                if self.stop_training:
                    break
            self.finish()
            hooks.on_train_end(self.logs)
        return hooks.history or History()

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[Any, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Train on one batch; return its loss and metrics, before the update, as `evaluate` does."""
        with one_training(self), modes_kept(self.module):
            self.train_modes.train()
            self.prepare()
            self.meter.reset()
            step = self.train_step(class_weight, 1)
            step((x, y, sample_weight), 0, self.meter)
            logs = dict(self.meter.logs())
        return logs if return_dict else listed(logs)

    def find_lr(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        start: float = 1e-6,
        end: float = 10.0,
        steps: int = 100,
    ) -> LearningRateCurve:
        """Return how the loss goes while the learning rate grows from ``start`` to ``end``; nothing is changed by it.

        Args:
            x: as in `fit`.
            y: as in `fit`.
            batch_size: as in `fit`.
            start: first learning rate.
            end: last learning rate, if the loss has not exploded before.
            steps: number of learning rates, each one batch.
        """
        check_agreement(self.module, self.screen, x)
        feed = feed_of(x, y, None, batch_size, None, shuffle=True, seed=self.seed)
        return find_learning_rate(self, feed, start, end, steps)
