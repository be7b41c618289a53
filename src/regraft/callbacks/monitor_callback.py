"""What callbacks that watch one figure share: finding it, its direction, and whether it improved."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, cast

from regraft.callbacks.callback import Callback, Logs
from regraft.errors import TrainingError, did_you_mean

Mode = Literal["auto", "min", "max"]
MODES = ("auto", "min", "max")
UP = ("accuracy", "acc", "auc", "precision", "recall", "f1", "f1_score", "iou", "r2_score", "cosine_similarity")
DOWN = ("loss", "error", "mse", "mae", "mape", "msle", "rmse", "perplexity")


class MonitorCallback(Callback):
    """Base of callbacks that monitor a figure of the epoch's logs.

    Args:
        monitor: name of the figure, such as ``"val_loss"``.
        mode: ``"min"``, ``"max"``, or ``"auto"``: the direction that the trainer's metric of that name has.
        baseline: value that the first epoch is compared with; None: the first epoch is the best so far.
        min_delta: the least change that counts as an improvement.

    Raises:
        TrainingError: ``mode`` is none of the three.
    """

    def __init__(
        self, monitor: str = "val_loss", mode: Mode = "auto", baseline: float | None = None, min_delta: float = 0
    ) -> None:
        super().__init__()
        if mode not in MODES:
            near = did_you_mean(str(mode), MODES)
            raise TrainingError(f"{type(self).__name__}: mode is {mode!r}; expected 'auto', 'min' or 'max'{near}")
        self.monitor = monitor
        self.mode: Mode = mode
        self.best: float | None = baseline
        self.min_delta = abs(min_delta)
        self._direction: Literal["min", "max"] | None = None

    def needs_validation(self) -> str | None:
        """Return that the monitored figure is one of validation, if it is."""
        return f"monitors {self.monitor!r}" if self.monitor.startswith("val_") else None

    def set_model(self, model: Any) -> None:
        """Take the trainer, whose metrics know their direction."""
        super().set_model(model)
        self._direction = None

    def check_direction(self) -> None:
        """Raise `TrainingError` if it is not known whether less or more is better."""
        _ = self.direction

    @property
    def direction(self) -> Literal["min", "max"]:
        """Whether lower (``"min"``) or higher (``"max"``) is better.

        Raises:
            TrainingError: ``mode`` is ``"auto"`` and nothing says which it is.
        """
        if self._direction is None:
            self._direction = self.mode if self.mode != "auto" else self._find_direction()
        return self._direction

    def _find_direction(self) -> Literal["min", "max"]:
        name = self.monitor.removeprefix("val_")
        directions = getattr(self._model, "metric_directions", None)
        known: dict[str, str] = directions() if callable(directions) else {}
        found = known.get(name)
        if found in ("min", "max"):
            return cast("Literal['min', 'max']", found)
        if name in DOWN or name.endswith("_loss"):
            return "min"
        if name in UP or name.endswith(("_accuracy", "_acc")):
            return "max"
        raise TrainingError(
            f"{type(self).__name__}: cannot tell whether a lower or a higher {self.monitor!r} is better; "
            "pass mode='min' or mode='max'"
        )

    def value(self, logs: Logs | None) -> float | None:
        """Return the monitored figure, or None at an epoch that has no validation (``validation_freq``).

        Raises:
            TrainingError: there is no figure of that name.
        """
        logs = logs or {}
        name = "learning_rate" if self.monitor == "lr" and "lr" not in logs else self.monitor
        found = logs.get(name)
        if found is not None:
            return _number(found)
        if self.monitor.startswith("val_") and not any(name.startswith("val_") for name in logs):
            return None
        raise TrainingError(
            f"{type(self).__name__} monitors {self.monitor!r}, which does not exist; there are {sorted(logs)}"
            f"{did_you_mean(self.monitor, logs)}"
        )

    def improves(self, value: float, reference: float | None) -> bool:
        """Return whether ``value`` is better than ``reference`` by at least ``min_delta``. NaN never is."""
        if math.isnan(value):
            return False
        if reference is None or math.isnan(reference):
            return True
        if self.direction == "min":
            return value + self.min_delta < reference
        return value - self.min_delta > reference


def _number(value: Any) -> float:
    item: Callable[[], Any] | None = getattr(value, "item", None)
    return float(item() if callable(item) else value)
