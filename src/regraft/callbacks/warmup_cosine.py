"""Callbacks that set the learning rate at each update of the weights, along a curve."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from regraft.callbacks.callback import Callback, Logs
from regraft.errors import TrainingError


class StepSchedule(Callback):
    """Multiply the initial learning rate of every parameter group by a curve, at each update of the weights.

    The initial rate is the one that the group has when ``fit`` begins, so that layer-wise rates keep their ratio. If
    another callback changes a rate, such as `ReduceLROnPlateau`, the rest of the curve changes by the same factor.

    Example:
        >>> linear = StepSchedule(lambda step, steps: 1 - step / steps)
        >>> history = model.fit(x, y, epochs=2, batch_size=64, callbacks=[linear], verbose=0)
        >>> [round(rate, 6) for rate in history.history['learning_rate']]  # 4 updates per epoch
        [0.000625, 0.000125]

    Args:
        curve: ``f(step, steps)``: the factor for update ``step`` (from 0) of ``steps``.
        steps: number of updates that the curve spans; None: all of ``fit``.

    Raises:
        TrainingError: from ``fit``, if ``steps`` is None and the number of batches is unknown.
    """

    saved: ClassVar[tuple[str, ...]] = ("base", "begun", "total", "_last")

    def __init__(self, curve: Callable[[int, int], float], steps: int | None = None) -> None:
        super().__init__()
        self.curve = curve
        self.steps = steps
        self.total = steps or 0
        self.begun = 0
        self.base: list[float] = []
        self._last: list[float] = []  # the rates that it set at the last update
        self._first: list[float] = []  # those at the beginning of this fit

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Record each group's initial rate and the number of updates to come."""
        self.begun = self.model.optimizer.iterations
        self.base = [float(group["lr"]) for group in self.model.optimizer.param_groups]
        self._last = []
        self._warn_of_low_rates()
        if self.steps is None:
            params = self.params or {}
            if not params.get("steps"):
                raise TrainingError(
                    f"{type(self).__name__}: the number of batches in an epoch is unknown; pass steps=, or "
                    "steps_per_epoch= to fit"
                )
            epochs = params["epochs"] - int(getattr(self.model, "initial_epoch", 0))
            self.total = epochs * math.ceil(params["steps"] / int(getattr(self.model, "accumulate", 1)))

    def _warn_of_low_rates(self) -> None:
        """Warn if the rates are where the curve of an earlier ``fit`` left them."""
        self._first = list(self.base)
        first, left = getattr(self.model.optimizer, "_scheduled", ([], []))
        if left == self.base and max(left) < max(first):
            self.warn(
                f"the learning rate is {max(left):.3g}, where the curve of the last fit ended (it began with "
                f"{max(first):.3g}), and is scaled from there; before fit, set another by model.optimizer.learning_rate"
            )

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Record where the curve ends, for the next ``fit``."""
        optimizer = self.model.optimizer
        optimizer._scheduled = (self._first, [float(group["lr"]) for group in optimizer.param_groups])

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Set the rates of the update that the batch belongs to."""
        groups = self.model.optimizer.param_groups
        self._follow([float(group["lr"]) for group in groups])
        factor = self.curve(self.model.optimizer.iterations - self.begun, self.total)
        self._last = [base * factor for base in self.base]
        for group, rate in zip(groups, self._last, strict=True):
            group["lr"] = rate

    def _follow(self, rates: Sequence[float]) -> None:
        """Scale the initial rates by what others did to the rates since the last update; add those of new groups."""
        for i, (rate, last) in enumerate(zip(rates, self._last, strict=False)):
            if rate != last:
                self.base[i] = self.base[i] * (rate / last) if last else rate
        self.base.extend(rates[len(self.base) :])

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Add ``learning_rate`` to the logs: the rate of the epoch's last update."""
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


class WarmupCosine(StepSchedule):
    """Raise the learning rate linearly to each group's initial rate, then lower it along half a cosine.

    The curve of Loshchilov and Hutter, *SGDR* (https://arxiv.org/abs/1608.03983), without restarts.

    Example:
        >>> schedule = WarmupCosine(warmup=0.25)  # the first quarter of all updates
        >>> history = model.fit(x, y, epochs=4, callbacks=[schedule], verbose=0)
        >>> [f'{rate:.4f}' for rate in history.history['learning_rate']]
        ['0.0010', '0.0008', '0.0003', '0.0000']

    Args:
        warmup: number of updates of the rise; below 1, their share of all updates.
        floor: rate at the end, as a share of the group's initial rate.
        steps: number of updates that the curve spans; None: all of ``fit``.

    Raises:
        TrainingError: ``warmup`` or ``floor`` is out of range.
    """

    def __init__(self, warmup: float = 0.1, floor: float = 0.0, steps: int | None = None) -> None:
        super().__init__(self._curve, steps)
        if warmup < 0:
            raise TrainingError(f"WarmupCosine: warmup is {warmup}; expected updates (1, 2, ...) or a share below 1")
        if not 0 <= floor <= 1:
            raise TrainingError(f"WarmupCosine: floor is {floor}; expected a share between 0 and 1")
        self.warmup = warmup
        self.floor = floor

    def _curve(self, step: int, steps: int) -> float:
        rise = round(self.warmup * steps) if self.warmup < 1 else round(self.warmup)
        if step < rise:
            return (step + 1) / rise
        along = min(1.0, (step - rise) / max(1, steps - rise))
        return self.floor + (1 - self.floor) * 0.5 * (1 + math.cos(math.pi * along))
