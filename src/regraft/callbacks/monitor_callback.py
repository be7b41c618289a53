"""The base class of callbacks that monitor a metric: its value, its better direction, the test for an improvement."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, Literal, cast

from regraft.callbacks.callback import Callback, Logs
from regraft.errors import TrainingError, did_you_mean

Mode = Literal["auto", "min", "max"]
MODES = ("auto", "min", "max")
UP = ("accuracy", "acc", "auc", "precision", "recall", "f1", "f1_score", "iou", "r2_score", "cosine_similarity")
DOWN = ("loss", "error", "mse", "mae", "mape", "msle", "rmse", "perplexity")


class Comparison:
    """The comparison ``less`` or ``greater``; equal to NumPy's, Keras's and torch's functions of that name.

    Args:
        name: ``"less"`` or ``"greater"``.
    """

    def __init__(self, name: Literal["less", "greater"]) -> None:
        self.__name__: str = name
        self._compare = operator.lt if name == "less" else operator.gt

    def __call__(self, value: Any, reference: Any) -> Any:
        """Return whether ``value`` is less (greater) than ``reference``."""
        return self._compare(value, reference)

    def __eq__(self, other: object) -> bool:
        return callable(other) and getattr(other, "__name__", None) == self.__name__

    def __hash__(self) -> int:
        return hash(self.__name__)


class MonitorCallback(Callback):
    """The base class of callbacks that monitor a metric in the logs of the epoch.

    Args:
        monitor: name of the metric, such as ``"val_loss"``.
        mode: ``"min"``, ``"max"``, or ``"auto"``: the better direction of the trainer's metric of that name.
        baseline: value that the first epoch is compared with; None: the first epoch is the best so far.
        min_delta: smallest change that counts as an improvement.

    Attributes:
        monitor_op: equal to ``np.less`` or ``np.greater``, or set by a subclass; None until the direction is known.
        min_delta: with the sign that Keras gives it once the direction is known: negative if less is better, so that
            ``monitor_op(value - min_delta, best)`` is the test for an improvement.

    Raises:
        TrainingError: ``mode`` is not one of the three.
    """

    def __init__(
        self, monitor: str = "val_loss", mode: Mode = "auto", baseline: float | None = None, min_delta: float = 0
    ) -> None:
        super().__init__()
        if mode not in MODES:
            near = did_you_mean(str(mode), MODES)
            raise TrainingError(f"{type(self).__name__}: mode is {mode!r}; expected 'auto', 'min' or 'max'{near}")
        if not isinstance(monitor, str):
            raise TrainingError(f"{type(self).__name__}: monitor is {monitor!r}; expected the name of one metric")
        self.check_numbers(baseline=baseline, min_delta=min_delta)
        self.monitor = monitor
        self.mode: Mode = mode
        self.best: float | None = baseline
        self.min_delta = abs(min_delta)
        self.monitor_op: Callable[[Any, Any], Any] | None = None
        self._own_op: Any = None  # the comparison that `_set_monitor_op` chose
        if mode != "auto":
            self._set_monitor_op()

    def check_numbers(self, **given: Any) -> None:
        """Raise `TrainingError` if one of some arguments, by name, is neither a number nor None."""
        for name, value in given.items():
            if isinstance(value, str) or not (value is None or hasattr(value, "__float__")):
                raise TrainingError(f"{type(self).__name__}: {name} is {value!r}; expected a number")

    def needs_validation(self) -> str | None:
        """Return ``"monitors 'val_...'"`` if the monitored metric is one of validation; otherwise None."""
        return f"monitors {self.monitor!r}" if self.monitor.startswith("val_") else None

    def set_model(self, model: Any) -> None:
        """Store the trainer, whose metrics have a better direction."""
        super().set_model(model)
        if self.mode == "auto" and self.monitor_op is self._own_op:
            self.monitor_op = self._own_op = None

    def check_direction(self) -> None:
        """Warn if ``mode`` contradicts the better direction of the metric.

        Raises:
            TrainingError: the better direction is unknown.
        """
        if self.monitor_op is None:
            self._set_monitor_op()
        better = self._known_direction()
        if self.mode != "auto" and better is not None and better != self.mode:
            words = {"min": "lower", "max": "higher"}
            self.warn(
                f"mode is {self.mode!r}, and a {words[better]} {self.monitor!r} is better: the worst epoch counts as "
                f"the best; pass mode={better!r}"
            )

    def _set_monitor_op(self) -> None:
        """Choose the comparison, and set the sign of ``min_delta``.

        Raises:
            TrainingError: ``mode`` is ``"auto"`` and the better direction is unknown.
        """
        less = (self.mode if self.mode != "auto" else self._find_direction()) == "min"
        self.monitor_op = self._own_op = Comparison("less" if less else "greater")
        self.min_delta = -abs(self.min_delta) if less else abs(self.min_delta)

    def _known_direction(self) -> Literal["min", "max"] | None:
        """Return the better direction of the metric; None if it is unknown."""
        name = self.monitor.removeprefix("val_")
        directions = getattr(self._model, "metric_directions", None)
        known_directions: dict[str, str] = directions() if callable(directions) else {}
        direction = known_directions.get(name)
        if direction in ("min", "max"):
            return cast("Literal['min', 'max']", direction)
        if name in DOWN or name.endswith("_loss"):
            return "min"
        if name in UP or name.endswith(("_accuracy", "_acc")):
            return "max"
        return None

    def _find_direction(self) -> Literal["min", "max"]:
        direction = self._known_direction()
        if direction is not None:
            return direction
        raise TrainingError(
            f"{type(self).__name__}: cannot tell whether a lower or a higher {self.monitor!r} is better; "
            "pass mode='min' or mode='max'"
        )

    def get_monitor_value(self, logs: Logs | None) -> float | None:
        """Return the value of the monitored metric, or None in an epoch without validation (``validation_freq``).

        Raises:
            TrainingError: the logs have no value of that name, or it is not a single number.
        """
        logs = logs or {}
        name = "learning_rate" if self.monitor == "lr" and "lr" not in logs else self.monitor
        value = logs.get(name)
        if value is not None:
            return _number(f"{type(self).__name__} monitors {self.monitor!r}", value)
        is_validation = self.monitor.startswith("val_") and not any(name.startswith("val_") for name in logs)
        if is_validation and getattr(self._model, "has_validation", None) is not False:
            return None
        raise TrainingError(
            f"{type(self).__name__} monitors {self.monitor!r}, which does not exist; there are {sorted(logs)}"
            f"{did_you_mean(self.monitor, [*logs, *(f'val_{name}' for name in logs if is_validation)])}"
            + (" fit has no validation data: pass validation_data or validation_split" if is_validation else "")
        )

    def _is_improvement(self, monitor_value: float, reference_value: float | None) -> bool:
        """Return whether a value is better than the reference by at least ``min_delta``. NaN never is."""
        if math.isnan(monitor_value):
            return False
        if reference_value is None or math.isnan(reference_value):
            return True
        if self.monitor_op is None:
            self._set_monitor_op()
        assert self.monitor_op is not None
        return bool(self.monitor_op(monitor_value - self.min_delta, reference_value))


def _number(subject: str, value: Any) -> float:
    item: Callable[[], Any] | None = getattr(value, "item", None)
    try:
        return float(item() if callable(item) else value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TrainingError(f"{subject}, which is not one number: {str(value)[:80]}") from error
