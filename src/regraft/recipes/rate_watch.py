"""A watch for callbacks that change the learning rate while the recipe's schedule sets it at every step."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from regraft.callbacks import Callback, StepSchedule


class RateWatch(Callback):
    """Warns, once, that a change of the learning rate by another callback does not last; it is called first.

    Args:
        schedule: the recipe's schedule.
    """

    display: ClassVar[bool] = True

    def __init__(self, schedule: StepSchedule) -> None:
        super().__init__()
        self._schedule = schedule
        self._warned = False

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Compare the rates with those that the schedule set for the update before."""
        schedule, optimizer = self._schedule, self.model.optimizer
        step = optimizer.iterations - schedule.begun - 1
        if self._warned or step < 0 or not schedule.base:
            return
        factor = schedule.curve(step, schedule.total)
        rates = [float(group["lr"]) for group in optimizer.param_groups]
        if not all(math.isclose(rate, base * factor) for rate, base in zip(rates, schedule.base, strict=True)):
            self._warned = True
            self.warn(
                "a callback changes the learning rate, and the recipe's schedule sets it anew at every step: the "
                "change is lost. LearningRateScheduler and ReduceLROnPlateau replace the schedule"
            )
