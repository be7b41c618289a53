"""Keras's metric objects and functions, and those of others that work like them, as metrics of `Trainer`."""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regraft.errors import TrainingError
from regraft.training.foreign import for_keras, from_keras, is_keras, keras_backend, unwrapped
from regraft.training.loss_names import KERAS, keras_name
from regraft.training.metric import Direction, Metric, Ratio
from regraft.training.metric_names import direction_of
from regraft.training.plain_state import load_plain_state, plain_state
from regraft.training.reading import Reading, same_rank


def is_keras_metric(given: Any) -> bool:
    """Return whether ``given`` works like Keras's metrics: ``update_state``, ``result`` and ``reset_state``."""
    return all(callable(getattr(given, name, None)) for name in ("update_state", "result")) and any(
        callable(getattr(given, name, None)) for name in ("reset_state", "reset_states")
    )


class KerasMetric(Metric):
    """An object with ``update_state(y_true, y_pred, sample_weight=None)``, ``result()`` and ``reset_state()``.

    Args:
        metric: the object; a copy of it is used.
        weighted: whether it is given the weights of samples.

    Raises:
        TrainingError: the object cannot be copied.
    """

    stateful = True

    def __init__(self, metric: Any, *, weighted: bool = False) -> None:
        name = getattr(metric, "name", None)
        self.kind = type(metric).__name__
        name = name if isinstance(name, str) else self.kind
        super().__init__(name, _no_each, _direction(metric), weighted=weighted)
        self.metric = _copied(metric)
        self.backend = keras_backend(metric) if is_keras(metric) else "torch"
        self._updates = 0
        self._example: list[Any] = []  # shapes of a batch: some objects make their variables of them
        self.reset()

    def reset(self) -> None:
        """Forget the batches."""
        reset = getattr(self.metric, "reset_state", None) or self.metric.reset_states
        reset()
        self._updates = 0

    def update(
        self, output: Tensor, target: Tensor, weight: Tensor | None = None, reading: Reading = Reading()  # noqa: B008
    ) -> None:
        """Add a batch."""
        if not self._updates and reading.logits:
            self._warn()
        self._updates += 1
        output = output.detach()
        self._example = [list(target.shape), list(output.shape)]
        pair = (for_keras(target, self.backend), for_keras(output, self.backend))
        if weight is not None and self.weighted:
            self.metric.update_state(*pair, sample_weight=for_keras(weight, self.backend))
        else:
            self.metric.update_state(*pair)

    def _warn(self) -> None:
        """Warn about a metric that takes probabilities, where the loss says that outputs are logits."""
        of_logits = bool(getattr(self.metric, "_from_logits", False) or getattr(self.metric, "from_logits", False))
        threshold = getattr(self.metric, "threshold", None)
        of_half = hasattr(self.metric, "thresholds") or (isinstance(threshold, float) and 0 < threshold < 1)
        if is_keras(self.metric) and not of_logits and (of_half or "crossentropy" in self.kind.lower()):
            warnings.warn(
                f"the metric {self.name} takes probabilities, and the module gives logits: pass from_logits=True if "
                f"{self.kind} has it, threshold 0, or the metric by name, which reads outputs as the loss does",
                RuntimeWarning,
                stacklevel=2,
            )

    def figures(self) -> dict[str, Ratio | Callable[[], Any]]:
        """Return the figure, computed when it is looked at."""
        return {self.name: self._result} if self._updates else {self.name: (0.0, 0)}

    def _result(self) -> Any:
        return from_keras(self.metric.result())

    def state_dict(self) -> dict[str, Any]:
        """Return what the object keeps between batches."""
        variables = getattr(self.metric, "variables", None)
        if variables is None:
            return {"updates": self._updates, "values": plain_state(self.metric)}
        values = [np.array(_array(one)) for one in variables]
        return {"updates": self._updates, "example": self._example, "variables": values}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it back."""
        self._updates = state["updates"]
        if "values" in state:
            load_plain_state(self.metric, state["values"])
            return
        self._example = list(state["example"])
        if len(self.metric.variables) < len(state["variables"]) and self._example:
            pair = (torch.zeros(shape) for shape in self._example)
            self.metric.update_state(*(for_keras(one, self.backend) for one in pair))
        for variable, value in zip(self.metric.variables, state["variables"], strict=True):
            variable.assign(np.asarray(value.cpu() if isinstance(value, Tensor) else value))


def keras_metric_function(given: Any) -> Callable[..., Tensor] | None:
    """Return a function of Keras, such as ``keras.metrics.mean_absolute_error``, as ``f(output, target)``; else None."""
    if not is_keras(given) or not inspect.isroutine(unwrapped(given)):
        return None
    backend = keras_backend(given)
    named = KERAS.get(keras_name(unwrapped(given).__name__) or "")
    by_class = named is not None and named.form in ("numbers", "hot")

    def each(output: Tensor, target: Tensor) -> Tensor:
        if not by_class:
            output, target = same_rank(output, target)
        value = from_keras(given(for_keras(target, backend), for_keras(output.detach(), backend)))
        return value if isinstance(value, Tensor) else torch.as_tensor(value)

    return each


def _copied(metric: Any) -> Any:
    try:
        return copy.deepcopy(metric)
    except Exception as error:
        try:
            return type(metric).from_config(metric.get_config())
        except Exception:  # noqa: BLE001 (whatever it is: it cannot be copied)
            raise TrainingError(
                f"the metric {type(metric).__name__} cannot be copied, neither by copy.deepcopy nor from its get_config()"
            ) from error


def _direction(metric: Any) -> Direction | None:
    directions: dict[Any, Direction] = {"up": "max", "down": "min"}
    return directions.get(getattr(metric, "_direction", None)) or direction_of(type(metric).__name__)


def _array(variable: Any) -> Any:
    value = variable.numpy()
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else value


def _no_each(output: Tensor, target: Tensor) -> Tensor:
    raise NotImplementedError
