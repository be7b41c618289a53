"""The callback that sets the learning rate by a function of the epoch."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from regraft.callbacks.callback import Callback, Logs
from regraft.errors import TrainingError


class LearningRateScheduler(Callback):
    """Set the learning rate at the beginning of every epoch.

    With several parameter groups, ``learning_rate`` is that of the leading group, as `OptimizerView` defines it; the
    rates of the other groups keep their ratio to it.

    Example:
        >>> halve = LearningRateScheduler(lambda epoch, rate: rate * 0.5 if epoch else rate)
        >>> history = model.fit(x, y, epochs=3, callbacks=[halve], verbose=0)
        >>> history.history['learning_rate']
        [0.001, 0.0005, 0.00025]

    Args:
        schedule: ``f(epoch, learning_rate)`` or ``f(epoch)``, epochs counted from 0; returns a float.
        verbose: 1 prints the rate of each epoch.

    Raises:
        TrainingError: from ``fit``, if ``schedule`` does not return a float.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        self.schedule = schedule
        self.verbose = verbose
        self._arguments = _positional(schedule)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Set the learning rate of this epoch."""
        optimizer = self.model.optimizer
        arguments = (epoch, float(optimizer.learning_rate))[: self._arguments]
        rate: Any = self.schedule(*arguments)
        if not isinstance(rate, (float, np.floating)):
            hint = f"float({rate})" if _is_one_number(rate) else "a float"
            raise TrainingError(
                f"LearningRateScheduler: the function returned {rate!r} at epoch {epoch}; it must return a float: "
                f"return {hint}"
            )
        optimizer.learning_rate = rate
        if self.verbose > 0:
            self.say(f"Epoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate}.")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Add ``learning_rate`` to the logs."""
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


def _positional(function: Callable[..., Any]) -> int:
    """Return the number of arguments, of (epoch, learning_rate), that ``function`` takes."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return 2
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return 2
    return min(2, sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters))


def _is_one_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError, RuntimeError):
        return False
    return True
