"""The metric for a name, an object or a function."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from regraft.errors import TrainingError
from regraft.training.losses.losses import Loss, as_loss
from regraft.training.losses.reading import Reading, called_target_first, same_rank, warn_of_table
from regraft.training.metrics.keras_metrics import KerasMetric, is_keras_metric, keras_metric_function
from regraft.training.metrics.metric import Direction, Metric, Ratio, no_sample_values
from regraft.training.metrics.metric_names import direction_of, named_metric
from regraft.training.state_format import load_plain_state, plain_state
from regraft.training.third_party import refuse_array_functions, takes_target_first, unwrapped

__all__ = ["Direction", "Metric", "TorchMetric", "as_metric"]


class TorchMetric(Metric):
    """A metric from a torchmetrics object, or any object with ``update(output, target)``, ``compute`` and ``reset``."""

    stateful = True

    def __init__(self, metric: Any, name: str | None = None) -> None:
        direction: dict[Any, Direction] = {True: "max", False: "min"}
        better = getattr(metric, "higher_is_better", None)
        own = getattr(metric, "name", None)
        name = name or (own if isinstance(own, str) else _snake(type(metric).__name__))
        super().__init__(name, no_sample_values, direction.get(better))
        self.metric = copy.deepcopy(metric)
        self.metric.reset()
        self._swapped = takes_target_first(metric.update)
        self._classifies = _classifies(self.metric)
        self._updates = 0

    def reset(self) -> None:
        """Reset the metric."""
        self.metric.reset()
        self._updates = 0

    def update(
        self,
        output: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        reading: Reading = Reading(),  # noqa: B008
    ) -> None:
        """Add a batch."""
        if self._updates == 0 and hasattr(self.metric, "to"):
            self.metric = self.metric.to(output.device)
        output = output.detach()  # some metrics store the outputs
        if self._classifies:
            output, target = _for_torchmetrics(output, target, reading)
        self.metric.update(*((target, output) if self._swapped else (output, target)))
        self._updates += 1

    def figures(self) -> dict[str, Ratio | Callable[[], Any]]:
        """Return a function that computes the value."""
        return {self.name: self.metric.compute} if self._updates else {self.name: (0.0, 0)}

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the object."""
        return {"updates": self._updates, "values": {path: _values(part) for path, part in self._parts().items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state of the object."""
        self._updates = state["updates"]
        for path, part in self._parts().items():
            _load_values(part, state["values"].get(path, {}))

    def _parts(self) -> dict[str, Any]:
        """Return the object and all metrics inside it, as in wrappers and collections, by their path."""
        if not isinstance(self.metric, nn.Module):
            return {"": self.metric}
        return {path: part for path, part in self.metric.named_modules() if hasattr(part, "_defaults")}


def _classifies(metric: Any) -> bool:
    """Return whether all metrics inside an object come from ``torchmetrics.classification``."""
    if not isinstance(metric, nn.Module):
        return False
    kinds = [type(part).__module__ for part in metric.modules() if getattr(part, "_defaults", None)]
    return bool(kinds) and all(kind.startswith("torchmetrics.classification") for kind in kinds)


def _for_torchmetrics(output: Tensor, target: Tensor, reading: Reading) -> tuple[Tensor, Tensor]:
    """Return outputs as probabilities, and targets in the form that torchmetrics needs.

    By itself, torchmetrics mistakes logits for probabilities in every batch in which all of them are between 0 and 1.
    """
    single = output.ndim == 1 or 1 in (output.shape[1], output.shape[-1])
    if single or reading.binary:
        output, target = same_rank(output, target)
        output = output.float().sigmoid() if reading.logits else output
        if target.is_floating_point() and single:
            target = target.round().long()
    elif reading.logits and not reading.guessed:
        output = output.float().softmax(1)
    return output, target


def _values(part: Any) -> dict[str, Any]:
    names = getattr(part, "_defaults", None)
    if names is None:
        return plain_state(part)
    values = {name: copy.copy(getattr(part, name)) for name in names}
    count = getattr(part, "_update_count", None)
    return values if count is None else values | {"_update_count": count}


def _load_values(part: Any, values: Mapping[str, Any]) -> None:
    if not hasattr(part, "_defaults"):
        load_plain_state(part, values)
        return
    for name, value in values.items():
        setattr(part, name, copy.copy(value))


def as_metric(user_metric: Any, *, weighted: bool = False) -> Metric:
    """Return ``user_metric`` as a `Metric`.

    Args:
        user_metric: a name; an object of torchmetrics or Keras; a function of (output, target), or of (y_true, y_pred)
            if these are the names of its parameters; or a pair of a name and any of these.
        weighted: whether samples count by their weight.

    Raises:
        TrainingError: ``user_metric`` is not a metric.
    """
    if isinstance(user_metric, tuple) and len(user_metric) == 2 and isinstance(user_metric[0], str):
        metric = as_metric(user_metric[1], weighted=weighted)
        metric.name = user_metric[0]
        return metric
    if isinstance(user_metric, Metric):
        return copy.deepcopy(user_metric)
    if isinstance(user_metric, str):
        metric = named_metric(user_metric, weighted=weighted)
        metric.skips_ignored = True
        return metric
    if isinstance(user_metric, type):
        raise TrainingError(
            f"metrics contains the class {user_metric.__name__}; expected an instance: {user_metric.__name__}()"
        )
    if is_keras_metric(user_metric):
        return KerasMetric(user_metric, weighted=weighted)
    if all(callable(getattr(user_metric, name, None)) for name in ("update", "compute", "reset")):
        return TorchMetric(user_metric)
    if callable(user_metric):
        return _function(user_metric, weighted)
    raise TrainingError(
        f"metrics contains {user_metric!r}; expected a name, an object of torchmetrics or Keras, or a function of "
        "(output, target)"
    )


def _function(user_metric: Callable[..., Any], weighted: bool) -> Metric:
    refuse_array_functions(user_metric, "metric")
    function = unwrapped(user_metric)
    name = str(getattr(function, "__name__", _snake(type(function).__name__)))
    keras = keras_metric_function(user_metric)
    if keras is not None:
        return Metric(name, keras, direction_of(name), weighted=weighted)
    if not takes_target_first(user_metric):
        return _torch_function(name, user_metric, weighted)
    return Metric(name, _as_tensor(name, partial(called_target_first, user_metric)), weighted=weighted)


def _torch_function(name: str, user_metric: Callable[..., Any], weighted: bool) -> Metric:
    """Return a function of (output, target) as a metric; torch's losses get targets in their form."""
    loss = as_loss(user_metric)
    known = loss.targets.form != "any"
    each = partial(_suited, user_metric, loss) if known else partial(_as_given, name, user_metric)
    return Metric(name, _as_tensor(name, each), "min" if known else None, weighted=weighted)


def _suited(function: Callable[..., Any], loss: Loss, output: Any, target: Any) -> Any:
    return function(output, loss.targets.suited(output, target))


def _as_given(name: str, function: Callable[..., Any], output: Any, target: Any) -> Any:
    warn_of_table(f"the metric {name}", output, target)
    return function(output, target)


def _as_tensor(name: str, function: Callable[..., Any]) -> Callable[..., Tensor]:
    """Return ``function``, of the metric ``name``, with its results as tensors."""
    return partial(_result_as_tensor, name, function)


def _result_as_tensor(name: str, function: Callable[..., Any], output: Any, target: Any) -> Tensor:
    value = function(output.detach() if isinstance(output, Tensor) else output, target)
    if isinstance(value, (Mapping, str, type(None))):
        raise TrainingError(
            f"the metric {name} returns a {type(value).__name__}; expected a number, or one for each sample"
        )
    return value if isinstance(value, Tensor) else torch.as_tensor(value)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
