"""Metrics by name and by object, summed where the tensors are, without waiting for the device."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from regraft.errors import TrainingError, did_you_mean
from regraft.training import keras_losses

Direction = Literal["min", "max"]
Each = Callable[..., Tensor]
Ratio = tuple[Any, Any]  # what a figure is: the first divided by the second


def _classes(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return outputs and class numbers with the class dimension found: 1 where the target has one dimension less."""
    if target.ndim == output.ndim and target.shape[-1] == 1:
        target = target.squeeze(-1)
    dim = 1 if output.ndim == target.ndim + 1 else -1
    return output.argmax(dim), target


def sparse_categorical_accuracy(output: Tensor, target: Tensor) -> Tensor:
    """Return whether the largest of (n, classes) outputs is the class (n,)."""
    found, target = _classes(output, target)
    return found == target


def categorical_accuracy(output: Tensor, target: Tensor) -> Tensor:
    """Return whether the largest of (n, classes) outputs is the largest of the targets (n, classes)."""
    return output.argmax(-1) == target.argmax(-1)


def binary_accuracy(output: Tensor, target: Tensor, threshold: float = 0.5) -> Tensor:
    """Return the share of outputs that are on the target's side of ``threshold``, (n,)."""
    if target.ndim == output.ndim - 1:
        target = target.unsqueeze(-1)
    hits = (output > threshold) == (target > 0.5)
    return hits.float().mean(-1) if hits.ndim > 1 else hits


def sparse_top_k_categorical_accuracy(output: Tensor, target: Tensor, k: int = 5) -> Tensor:
    """Return whether the class (n,) is among the ``k`` largest of (n, classes) outputs."""
    if target.ndim == output.ndim and target.shape[-1] == 1:
        target = target.squeeze(-1)
    best = output.topk(min(k, output.shape[-1]), -1).indices
    return (best == target.unsqueeze(-1)).any(-1)


def top_k_categorical_accuracy(output: Tensor, target: Tensor, k: int = 5) -> Tensor:
    """Return whether the largest target (n, classes) is among the ``k`` largest outputs."""
    return sparse_top_k_categorical_accuracy(output, target.argmax(-1), k)


UP: dict[str, Each] = {
    "sparse_categorical_accuracy": sparse_categorical_accuracy,
    "categorical_accuracy": categorical_accuracy,
    "binary_accuracy": binary_accuracy,
    "top_k_categorical_accuracy": top_k_categorical_accuracy,
    "sparse_top_k_categorical_accuracy": sparse_top_k_categorical_accuracy,
}
AUTO = ("accuracy", "acc")


class Metric:
    """One figure over many batches.

    Args:
        name: how it is called in the logs.
        each: ``f(output, target)``: the value of each sample (any shape, samples first), or one number for the batch.
        direction: whether less or more is better; None where that is not known.
        weighted: whether samples count by their weight.
    """

    def __init__(self, name: str, each: Each, direction: Direction | None = None, *, weighted: bool = False) -> None:
        self.name, self.each, self.direction, self.weighted = name, each, direction, weighted
        self.total: Any = None
        self.count: Any = 0

    def reset(self) -> None:
        """Forget the batches."""
        self.total, self.count = None, 0

    def update(self, output: Tensor, target: Tensor, weight: Tensor | None = None, logits: bool = False) -> None:
        """Add a batch."""
        values = self.each(output, target)
        if values.ndim == 0:
            size = len(output)
            total: Any = values * size
            count: Any = size
        elif weight is not None and self.weighted:
            weight = weight.to(torch.float32)
            weight = weight.reshape(weight.shape + (1,) * (values.ndim - weight.ndim)).expand(values.shape)
            total, count = (values * weight).sum(), weight.sum()
        else:
            total, count = values.sum(), values.numel()
        self.total = total if self.total is None else self.total + total
        self.count = self.count + count

    def figures(self) -> dict[str, Ratio | Callable[[], Any]]:
        """Return the figures by name, each as what has to be divided by what: nothing waits for the device."""
        return {self.name: (0.0 if self.total is None else self.total, self.count)}

    def state_dict(self) -> dict[str, Any]:
        """Return the sums so far."""
        return {"total": self.total, "count": self.count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the sums back."""
        self.total, self.count = state["total"], state["count"]


class AutoAccuracy(Metric):
    """``"accuracy"``: binary, sparse or categorical, by the shapes of the first batch, as Keras chooses it."""

    def __init__(self, name: str, *, weighted: bool = False) -> None:
        super().__init__(name, sparse_categorical_accuracy, "max", weighted=weighted)
        self._chosen = False

    def update(self, output: Tensor, target: Tensor, weight: Tensor | None = None, logits: bool = False) -> None:
        """Add a batch."""
        if not self._chosen:
            self._chosen = True
            if output.ndim == 1 or output.shape[-1] == 1:
                threshold = 0.0 if logits else 0.5
                self.each = lambda output, target: binary_accuracy(output, target, threshold)
            elif target.ndim == output.ndim and target.shape[-1] != 1:
                self.each = categorical_accuracy
        Metric.update(self, output, target, weight)


class TorchMetric(Metric):
    """A torchmetrics object, or any with ``update(output, target)``, ``compute()`` and ``reset()``."""

    def __init__(self, metric: Any, name: str | None = None) -> None:
        direction: dict[Any, Direction] = {True: "max", False: "min"}
        better = getattr(metric, "higher_is_better", None)
        own = getattr(metric, "name", None)
        name = name or (own if isinstance(own, str) else _snake(type(metric).__name__))
        super().__init__(name, _no_each, direction.get(better))
        self.metric = copy.deepcopy(metric)
        self.metric.reset()
        self._updates = 0

    def reset(self) -> None:
        """Forget the batches."""
        self.metric.reset()
        self._updates = 0

    def update(self, output: Tensor, target: Tensor, weight: Tensor | None = None, logits: bool = False) -> None:
        """Add a batch."""
        if self._updates == 0 and hasattr(self.metric, "to"):
            self.metric = self.metric.to(output.device)
        self.metric.update(output.detach(), target)  # some keep what they are given
        self._updates += 1

    def figures(self) -> dict[str, Ratio | Callable[[], Any]]:
        """Return the figure, computed when it is looked at."""
        return {self.name: self.metric.compute} if self._updates else {self.name: (0.0, 0)}

    def state_dict(self) -> dict[str, Any]:
        """Return what the object keeps between batches."""
        names = getattr(self.metric, "_defaults", {})
        return {"updates": self._updates, "values": {name: copy.copy(getattr(self.metric, name)) for name in names}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it back."""
        self._updates = state["updates"]
        for name, value in state["values"].items():
            setattr(self.metric, name, copy.copy(value))


def metric_of(given: Any, *, weighted: bool = False) -> Metric:
    """Return ``given`` as a `Metric`: a name, a torchmetrics object, a function of (output, target), or (name, either).

    Raises:
        TrainingError: no such metric.
    """
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], str):
        metric = metric_of(given[1], weighted=weighted)
        metric.name = given[0]
        return metric
    if isinstance(given, Metric):
        return copy.deepcopy(given)
    if isinstance(given, str):
        return _by_name(given, weighted)
    if all(callable(getattr(given, name, None)) for name in ("update", "compute", "reset")):
        return TorchMetric(given)
    if callable(given) and not isinstance(given, type):
        return Metric(str(getattr(given, "__name__", _snake(type(given).__name__))), given, weighted=weighted)
    raise TrainingError(f"metrics holds {given!r}; expected a name, a torchmetrics object or a function")


def _by_name(name: str, weighted: bool) -> Metric:
    if name in AUTO:
        return AutoAccuracy(name, weighted=weighted)
    if name in UP:
        return Metric(name, UP[name], "max", weighted=weighted)
    if name in keras_losses.LOSSES:
        return Metric(name, keras_losses.LOSSES[name], "min", weighted=weighted)
    known = [*AUTO, *UP, *keras_losses.LOSSES]
    raise TrainingError(f"no metric is called {name!r}{did_you_mean(name, known)} There are: {', '.join(known)}")


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _no_each(output: Tensor, target: Tensor) -> Tensor:
    raise NotImplementedError
