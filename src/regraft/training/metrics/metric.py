"""Metrics over many batches, from sums that stay on the device of the tensors, so that no update waits for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from regraft.training.losses.reading import Reading, classes_last, probabilities

Direction = Literal["min", "max"]
Each = Callable[..., Tensor]
Sums = tuple[Tensor, ...]
Ratio = tuple[Any, Any]  # a value, as the first number divided by the second
#: The form in which a function takes its arguments: as they are; with the classes last; and then as probabilities.
Reads = Literal["raw", "classes", "probabilities"]


class Metric:
    """The mean of a function over the samples of many batches.

    Example:
        >>> def close(output, target):  # one value per sample
        ...     return (output.argmax(-1) - target).abs() <= 1
        >>> metric = Metric('close', close, 'max')
        >>> model = Trainer(nn.Linear(8, 3), 'adam', 'cross_entropy', metrics=[metric])
        >>> history = model.fit(x, y, epochs=2, verbose=0)
        >>> sorted(history.history)
        ['close', 'loss']

    Args:
        name: name in the logs.
        each: ``f(output, target)``: the value of each sample (any shape, samples first), or one number for the batch.
        direction: whether less or more is better; None if unknown.
        weighted: whether samples count by their weight.
        reads: form of the arguments of ``each``.

    Attributes:
        stateful: whether its values change with the next batch, so that logs compute them before it.
        skips_ignored: whether it leaves out class numbers that the loss ignores.
        masked: whether the weights that `update` gets are 0 for these, so that they count even if it is not weighted.
    """

    stateful = False
    skips_ignored = masked = False

    def __init__(
        self,
        name: str,
        each: Each,
        direction: Direction | None = None,
        *,
        weighted: bool = False,
        reads: Reads = "raw",
    ) -> None:
        self.name, self.each, self.direction, self.weighted, self.reads = name, each, direction, weighted, reads
        self.total: Any = None
        self.count: Any = 0

    def reset(self) -> None:
        """Reset the sums."""
        self.total, self.count = None, 0

    def update(
        self,
        output: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        reading: Reading = Reading(),  # noqa: B008
    ) -> None:
        """Add a batch.

        Args:
            output: the module's output, first dimension the samples.
            target: the targets.
            weight: (samples,); used only if the metric is weighted.
            reading: the way in which the loss reads the outputs.
        """
        size = len(output)
        if self.reads != "raw":
            output, target = classes_last(output, target, reading.axis)
        if self.reads == "probabilities":
            output = probabilities(output, reading)
        self.add(self.each(output, target), size, weight)

    def add(self, values: Tensor, size: int, weight: Tensor | None) -> None:
        """Add the values of a batch: one for each sample (any shape, samples first), or one number.

        Args:
            values: the values.
            size: number of samples.
            weight: (samples,); used only if the metric is weighted.
        """
        if weight is not None and (self.weighted or self.masked):
            weight = weight.float()
            if values.ndim == 0:
                total, count = values * weight.sum(), weight.sum()
            else:
                weight = weight.reshape(weight.shape + (1,) * (values.ndim - weight.ndim)).expand(values.shape)
                total, count = (values * weight).sum(), weight.sum()
        elif values.ndim == 0:
            total, count = values * size, size  # type: ignore[assignment]
        else:
            total, count = values.sum(), values.numel()  # type: ignore[assignment]
        self.total = total if self.total is None else self.total + total
        self.count = self.count + count

    def figures(self) -> dict[str, Ratio | Callable[[], Any]]:
        """Return the values by name, each as a ratio or a function that computes it; neither waits for the device."""
        return {self.name: (0.0 if self.total is None else self.total, self.count)}

    def state_dict(self) -> dict[str, Any]:
        """Return the sums."""
        return {"total": self.total, "count": self.count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the sums."""
        self.total, self.count = state["total"], state["count"]


def no_sample_values(output: Tensor, target: Tensor) -> Tensor:
    """Raise an error: a placeholder for the function of a metric that overrides `Metric.update`."""
    raise NotImplementedError


class SumMetric(Metric):
    """A metric that is computed from sums over all samples: subclasses define `sums` of a batch, and `figure`."""

    better: ClassVar[Direction | None] = "max"

    def __init__(self, name: str, *, weighted: bool = False) -> None:
        super().__init__(name, no_sample_values, self.better, weighted=weighted)
        self.all: Sums | None = None

    def sums(self, output: Tensor, target: Tensor, weight: Tensor | None, reading: Reading) -> Sums:
        """Return the sums of a batch."""
        raise NotImplementedError

    def figure(self, *sums: Tensor) -> Tensor:
        """Return the value, a number or an array, from the sums of all batches."""
        raise NotImplementedError

    def reset(self) -> None:
        """Reset the sums."""
        self.all = None

    def update(
        self,
        output: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        reading: Reading = Reading(),  # noqa: B008
    ) -> None:
        """Add a batch."""
        sums = self.sums(output, target, weight if self.weighted or self.masked else None, reading)
        batch = tuple(one.to(exact_dtype(output)) for one in sums)
        self.all = batch if self.all is None else tuple(a + b for a, b in zip(self.all, batch, strict=True))

    def figures(self) -> dict[str, Ratio | Callable[[], Any]]:
        """Return a function that computes the value."""
        return {self.name: (0.0, 0) if self.all is None else partial(self.figure, *self.all)}

    def state_dict(self) -> dict[str, Any]:
        """Return the sums."""
        return {"sums": None if self.all is None else list(self.all)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the sums."""
        self.all = None if state["sums"] is None else tuple(state["sums"])


def exact_dtype(values: Tensor) -> torch.dtype:
    """Return the most exact dtype for sums on the device of ``values``: float64, or float32 on Apple's MPS."""
    return torch.float32 if values.device.type == "mps" else torch.float64


def ratio(part: Tensor, whole: Tensor) -> Tensor:
    """Return ``part / whole``, and 0 where ``whole`` is 0."""
    return torch.where(whole == 0, torch.zeros_like(part), part / whole)


def summed(values: Tensor, weight: Tensor | None, dim: int | None = None) -> Tensor:
    """Return the sum over samples (dimension 0) or all values, each sample times its weight."""
    values = values.float()
    if weight is not None:
        values = values * weight.float().reshape(weight.shape + (1,) * (values.ndim - weight.ndim))
    return values.sum() if dim is None else values.sum(dim)
