"""Metrics of `Trainer` from Keras's metric objects and functions, and from objects that work like them."""

from __future__ import annotations

import copy
import inspect
import warnings
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regraft.errors import TrainingError
from regraft.training.losses.loss_names import KERAS, keras_name
from regraft.training.losses.reading import Reading, same_rank
from regraft.training.metrics.metric import Direction, Metric, Ratio, no_sample_values
from regraft.training.metrics.metric_names import direction_of
from regraft.training.state_format import load_plain_state, plain_state
from regraft.training.third_party import for_keras, from_keras, is_keras, keras_backend, unwrapped


def is_keras_metric(user_metric: Any) -> bool:
    """Return whether ``user_metric`` works like Keras's metrics: ``update_state``, ``result`` and ``reset_state``."""
    return all(callable(getattr(user_metric, name, None)) for name in ("update_state", "result")) and any(
        callable(getattr(user_metric, name, None)) for name in ("reset_state", "reset_states")
    )


class KerasMetric(Metric):
    """A metric from an object with ``update_state(y_true, y_pred, sample_weight)``, ``result`` and ``reset_state``.

    An object with ``variables``, as all of Keras have, is not copied, because its copy may differ: Keras copies by
    ``get_config()``, which many classes do not define. Training and validation use the same object in turns, and swap
    the values of its variables. Any other object is copied.

    Args:
        metric: the object.
        weighted: whether ``update_state`` gets the weights of the samples.
    """

    stateful = True

    def __init__(self, metric: Any, *, weighted: bool = False) -> None:
        name = getattr(metric, "name", None)
        self.kind = type(metric).__name__
        if _takes_values(metric):
            raise TrainingError(
                f"metrics contains Keras's {self.kind}, which takes values, not targets and outputs: pass a function "
                "of (output, target), whose mean is taken"
            )
        name = name if isinstance(name, str) else self.kind
        super().__init__(name, no_sample_values, _direction(metric), weighted=weighted)
        self.shared = hasattr(metric, "variables")
        self.metric = metric if self.shared else copy.deepcopy(metric)
        self.backend = keras_backend(metric) if is_keras(metric) else "torch"
        self._updates = 0
        self._values: list[Any] | None = None  # values of the variables, while another metric uses the object
        self._example: list[Any] = []  # shapes of a batch; some objects create their variables from them

    def _use(self) -> Any:
        """Return the object, after putting the values of this metric into its variables."""
        if not self.shared:
            return self.metric
        other = _USERS.get(self.metric)
        user = other() if other is not None else None
        if user is self:
            return self.metric
        if user is not None:
            user._values = user._read()
        _USERS[self.metric] = weakref.ref(self)
        self._write(self._values)
        return self.metric

    def _read(self) -> list[Any]:
        return [np.array(_array(one)) for one in self.metric.variables]

    def _write(self, values: list[Any] | None) -> None:
        if values is None:
            _reset(self.metric)
            return
        if len(self.metric.variables) < len(values) and self._example:
            pair = (torch.zeros(shape) for shape in self._example)
            self.metric.update_state(*(for_keras(one, self.backend) for one in pair))
        for variable, value in zip(self.metric.variables, values, strict=True):
            variable.assign(np.asarray(value.cpu() if isinstance(value, Tensor) else value))

    def reset(self) -> None:
        """Reset the metric."""
        self._updates, self._values = 0, None
        if not self.shared:
            _reset(self.metric)
        elif self.metric in _USERS and _USERS[self.metric]() is self:
            del _USERS[self.metric]  # the next use resets it

    def update(
        self,
        output: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        reading: Reading = Reading(),  # noqa: B008
    ) -> None:
        """Add a batch."""
        if not self._updates and reading.logits:
            self._warn()
        metric = self._use()
        self._updates += 1
        output = output.detach()
        self._example = [list(target.shape), list(output.shape)]
        pair = (for_keras(target, self.backend), for_keras(output, self.backend))
        if weight is not None and self.weighted:
            # a copy, because Keras multiplies weights in place by its masks
            metric.update_state(*pair, sample_weight=for_keras(weight.clone(), self.backend))
        else:
            metric.update_state(*pair)

    def _warn(self) -> None:
        """Warn if the metric takes probabilities, but the loss takes logits."""
        of_logits = bool(getattr(self.metric, "_from_logits", False) or getattr(self.metric, "from_logits", False))
        threshold = getattr(self.metric, "threshold", None)
        of_half = hasattr(self.metric, "thresholds") or (isinstance(threshold, float) and 0 < threshold < 1)
        if is_keras(self.metric) and not of_logits and (of_half or "crossentropy" in self.kind.lower()):
            warnings.warn(
                f"the metric {self.name} takes probabilities, but the module returns logits: pass from_logits=True if "
                f"{self.kind} has it, threshold 0, or the metric by name, which converts outputs as the loss does",
                RuntimeWarning,
                stacklevel=2,
            )

    def figures(self) -> dict[str, Ratio | Callable[[], Any]]:
        """Return a function that computes the value."""
        return {self.name: self._result} if self._updates else {self.name: (0.0, 0)}

    def _result(self) -> Any:
        return from_keras(self._use().result())

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the object."""
        if not self.shared:
            return {"updates": self._updates, "values": plain_state(self.metric)}
        if not self._updates:
            return {"updates": 0, "example": [], "variables": []}
        self._use()
        return {"updates": self._updates, "example": self._example, "variables": self._read()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state of the object."""
        self.reset()
        self._updates = state["updates"]
        if not self.shared:
            load_plain_state(self.metric, state["values"])
        elif self._updates:
            self._example, self._values = list(state["example"]), list(state["variables"])


#: The metric whose values are in the variables of each object.
_USERS: weakref.WeakKeyDictionary[Any, weakref.ref[KerasMetric]] = weakref.WeakKeyDictionary()


def _takes_values(metric: Any) -> bool:
    """Return whether ``update_state`` takes values instead of targets and outputs, as in Keras's ``Mean``."""
    try:
        return next(iter(inspect.signature(metric.update_state).parameters), None) == "values"
    except (TypeError, ValueError):
        return False


def _reset(metric: Any) -> None:
    reset = getattr(metric, "reset_state", None) or metric.reset_states
    reset()


def keras_metric_function(user_metric: Any) -> Callable[..., Tensor] | None:
    """Return a function of Keras, such as ``keras.losses.poisson``, as ``f(output, target)``; otherwise None."""
    if not is_keras(user_metric) or not inspect.isroutine(unwrapped(user_metric)):
        return None
    backend = keras_backend(user_metric)
    named = KERAS.get(keras_name(unwrapped(user_metric).__name__) or "")
    by_class = named is not None and named.form in ("numbers", "hot")

    def each(output: Tensor, target: Tensor) -> Tensor:
        if not by_class:
            output, target = same_rank(output, target)
        value = from_keras(user_metric(for_keras(target, backend), for_keras(output.detach(), backend)))
        return value if isinstance(value, Tensor) else torch.as_tensor(value)

    return each


def _direction(metric: Any) -> Direction | None:
    directions: dict[Any, Direction] = {"up": "max", "down": "min"}
    return directions.get(getattr(metric, "_direction", None)) or direction_of(type(metric).__name__)


def _array(variable: Any) -> Any:
    value = variable.numpy()
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else value
