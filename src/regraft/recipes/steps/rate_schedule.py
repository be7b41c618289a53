"""The schedule of the learning rate in a training in epochs, and a watch for callbacks that disturb it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from regraft.callbacks import Callback, ReduceLROnPlateau, StepSchedule, WarmupCosine
from regraft.callbacks.user_callbacks import sets_rate
from regraft.context.config import TrainConfig
from regraft.context.decisions import Line

PLATEAU_FACTOR, PLATEAU_PATIENCE = 0.1, 2
"""After 2 epochs without a better val_loss the learning rate becomes a tenth. Keras waits for 10 epochs,
which is more than most fine-tunings have."""


def rate_schedules(
    config: TrainConfig, user_callbacks: Sequence[Any], warmup: float
) -> tuple[list[Callback], Line | None]:
    """Return the callbacks that set the learning rate (none if one of the user does) and a line for the screen."""
    names = [type(callback).__name__ for callback in user_callbacks if sets_rate(callback)]
    if names:
        return [], Line("schedule", f"{' and '.join(names)} of your own", detail="in place of the half cosine")
    schedule, line = _schedule(config, warmup)
    if user_callbacks and isinstance(schedule, StepSchedule):
        return [RateWatch(schedule), schedule], line
    return [schedule], line


def _schedule(config: TrainConfig, warmup: float) -> tuple[Callback, Line | None]:
    """Return the schedule of the learning rate: half a cosine unless the options say otherwise."""
    if config.reduce_lr_on_plateau:
        text = "lower the learning rate at a plateau of val_loss"
        plateau = ReduceLROnPlateau(factor=PLATEAU_FACTOR, patience=PLATEAU_PATIENCE)
        return plateau, Line("schedule", text, detail="in place of the half cosine")
    if config.lr_schedule == "constant":
        return StepSchedule(rate_after_warmup(warmup, falls=False)), None
    if config.lr_schedule == "linear":
        return StepSchedule(rate_after_warmup(warmup, falls=True)), None
    return WarmupCosine(warmup=warmup), None


def rate_after_warmup(warmup: float, *, falls: bool) -> Callable[[int, int], float]:
    """Return a factor that rises linearly over a share of the steps, and then stays at 1 or falls linearly to 0."""

    def factor(step: int, steps: int) -> float:
        rise = round(warmup * steps)
        if step < rise:
            return (step + 1) / rise
        return 1.0 - min(1.0, (step - rise) / max(1, steps - rise)) if falls else 1.0

    return factor


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
                "a callback changes the learning rate, and the recipe's schedule sets it again at every step: the "
                "change is lost. LearningRateScheduler and ReduceLROnPlateau replace the schedule"
            )
