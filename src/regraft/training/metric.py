"""The mean of a figure over many batches, summed where the tensors are, without waiting for the device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from torch import Tensor

from regraft.training.reading import Reading, classes_last, probabilities

Direction = Literal["min", "max"]
Each = Callable[..., Tensor]
Ratio = tuple[Any, Any]  # what a figure is: the first divided by the second
#: The form in which a function takes its arguments: as they are; with the classes last; and then as probabilities.
Reads = Literal["raw", "classes", "probabilities"]


class Metric:
    """One figure over many batches.

    Args:
        name: how it is called in the logs.
        each: ``f(output, target)``: the value of each sample (any shape, samples first), or one number for the batch.
        direction: whether less or more is better; None where that is not known.
        weighted: whether samples count by their weight.
        reads: form of the arguments of ``each``.

    Attributes:
        stateful: its figures change with the next batch, so logs take them before.
    """

    stateful = False

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
        """Forget the batches."""
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
            output: what the module gave, first dimension the samples.
            target: what it should have given.
            weight: (samples,); it counts only if the metric is weighted.
            reading: how the loss reads the outputs.
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
            weight: (samples,); it counts only if the metric is weighted.
        """
        if weight is not None and self.weighted:
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
        """Return the figures by name, each as what has to be divided by what: nothing waits for the device."""
        return {self.name: (0.0 if self.total is None else self.total, self.count)}

    def state_dict(self) -> dict[str, Any]:
        """Return the sums so far."""
        return {"total": self.total, "count": self.count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the sums back."""
        self.total, self.count = state["total"], state["count"]
