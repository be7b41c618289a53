"""The callback that lowers the learning rate when a metric no longer improves."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from regraft.callbacks.callback import Logs, accept_older
from regraft.callbacks.monitor_callback import Mode, MonitorCallback
from regraft.errors import TrainingError


class ReduceLROnPlateau(MonitorCallback):
    """Multiply the learning rate by ``factor`` when a monitored metric has stopped improving.

    Example:
        >>> lower = ReduceLROnPlateau(monitor='val_loss', factor=0.2, patience=2, min_lr=1e-5)
        >>> history = model.fit(x, y, epochs=2, validation_split=0.2, callbacks=[lower], verbose=0)
        >>> history.history['learning_rate']
        [0.001, 0.001]

    Args:
        monitor: name of the metric in the logs.
        factor: factor of a reduction, below 1.
        patience: epochs without improvement after which the rate is reduced.
        verbose: 1 prints each reduction.
        mode: ``"min"``, ``"max"`` or ``"auto"``.
        min_delta: smallest change that counts as an improvement (``epsilon`` in older Keras).
        cooldown: epochs after a reduction that do not count towards ``patience``.
        min_lr: lower bound of the rate.

    Raises:
        TrainingError: ``factor`` is 1 or more, or an argument is unknown.
    """

    saved: ClassVar[tuple[str, ...]] = ("best", "wait", "cooldown_counter")

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: Mode = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        **kwargs: Any,
    ) -> None:
        accept_older("ReduceLROnPlateau", kwargs, {"epsilon": "is used as min_delta"})
        super().__init__(monitor, mode, min_delta=kwargs.get("epsilon", min_delta))
        self.check_numbers(factor=factor, patience=patience, cooldown=cooldown, min_lr=min_lr)
        if factor >= 1.0:
            raise TrainingError(f"ReduceLROnPlateau does not support a factor >= 1.0; factor is {factor}")
        self.factor = factor
        self.min_lr = min_lr
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.cooldown_counter = 0
        self.wait = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Reset, so that one object can be used in several calls of ``fit``."""
        self._reset()

    def _reset(self) -> None:
        """Reset the best value, the wait and the cooldown."""
        self.best = None
        self.cooldown_counter = self.wait = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Add ``learning_rate`` to the logs, compare the epoch with the best one, and reduce the rate if it is time."""
        current = self.get_monitor_value(logs)
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)
        if current is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self._is_improvement(current, self.best):
            self.best = current
            self.wait = 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience and self._reduce(epoch):
                self.cooldown_counter = self.cooldown
                self.wait = 0

    def _reduce(self, epoch: int) -> bool:
        optimizer = self.model.optimizer
        old = float(optimizer.learning_rate)
        if old <= float(np.float32(self.min_lr)):
            return False
        new = max(old * self.factor, self.min_lr)
        optimizer.learning_rate = new
        if self.verbose > 0:
            self.say(f"Epoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {new}.")
        return True

    def in_cooldown(self) -> bool:
        """Return whether the rate was reduced less than ``cooldown`` epochs ago."""
        return self.cooldown_counter > 0
