"""Figures made of several sums over all samples: the root of the mean square, R², and the base of others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from regraft.errors import TrainingError
from regraft.training.metric import Direction, Metric, Ratio
from regraft.training.reading import Reading, same_rank

Sums = tuple[Tensor, ...]


class SumMetric(Metric):
    """A figure computed from sums over all samples. Subclasses say how: `sums` of a batch, and `figure` of all sums."""

    better: ClassVar[Direction | None] = "max"

    def __init__(self, name: str, *, weighted: bool = False) -> None:
        super().__init__(name, _never, self.better, weighted=weighted)
        self.all: Sums | None = None

    def sums(self, output: Tensor, target: Tensor, weight: Tensor | None, reading: Reading) -> Sums:
        """Return the sums of a batch."""
        raise NotImplementedError

    def figure(self, *sums: Tensor) -> Tensor:
        """Return the figure, a number or an array, from the sums of all batches."""
        raise NotImplementedError

    def reset(self) -> None:
        """Forget the batches."""
        self.all = None

    def update(
        self,
        output: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        reading: Reading = Reading(),  # noqa: B008
    ) -> None:
        """Add a batch."""
        own = self.sums(output, target, weight if self.weighted else None, reading)
        batch = tuple(one.to(_precise(output)) for one in own)
        self.all = batch if self.all is None else tuple(a + b for a, b in zip(self.all, batch, strict=True))

    def figures(self) -> dict[str, Ratio | Callable[[], Any]]:
        """Return the figure, computed when it is looked at."""
        return {self.name: (0.0, 0) if self.all is None else partial(self.figure, *self.all)}

    def state_dict(self) -> dict[str, Any]:
        """Return the sums so far."""
        return {"sums": None if self.all is None else list(self.all)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the sums back."""
        self.all = None if state["sums"] is None else tuple(state["sums"])


def _precise(values: Tensor) -> torch.dtype:
    return torch.float32 if values.device.type == "mps" else torch.float64


def ratio(part: Tensor, whole: Tensor) -> Tensor:
    """Return ``part / whole``, 0 where there is nothing to divide by."""
    return torch.where(whole == 0, torch.zeros_like(part), part / whole)


def summed(values: Tensor, weight: Tensor | None, dim: int | None = None) -> Tensor:
    """Return the sum over samples (dimension 0) or all values, each sample times its weight."""
    values = values.float()
    if weight is not None:
        values = values * weight.float().reshape(weight.shape + (1,) * (values.ndim - weight.ndim))
    return values.sum() if dim is None else values.sum(dim)


class RootMeanSquaredError(SumMetric):
    """The root of the mean squared error over all samples."""

    better = "min"

    def sums(self, output: Tensor, target: Tensor, weight: Tensor | None, reading: Reading) -> Sums:
        """Return the sum of squares and the number of values."""
        output, target = _paired(self.name, output, target)
        square = (output - target).square()
        return summed(square, weight), summed(torch.ones_like(square), weight)

    def figure(self, *sums: Tensor) -> Tensor:
        """Return the root."""
        return ratio(*sums).sqrt()


class R2Score(SumMetric):
    """The share of variance that the outputs explain, as a mean over their columns."""

    def sums(self, output: Tensor, target: Tensor, weight: Tensor | None, reading: Reading) -> Sums:
        """Return sums of targets, their squares, squared errors and weights, by column."""
        output, target = _paired(self.name, output, target)
        output, target = (one.to(_precise(one)).reshape(len(one), -1) for one in (output, target))
        columns = (target, target.square(), (target - output).square(), torch.ones_like(target))
        heavy = 1.0 if weight is None else weight.to(target.dtype).reshape(-1, 1)
        return tuple((column * heavy).sum(0) for column in columns)

    def figure(self, *sums: Tensor) -> Tensor:
        """Return the mean of ``1 - residual / total``; a column whose target is constant counts 0."""
        total, squares, residual, count = sums
        spread = squares - total.square() / count
        score = 1 - residual / spread
        return torch.where(score.isinf(), 0.0, score).mean()


def _paired(name: str, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    output, target = same_rank(output.float(), target.float())
    if output.shape != target.shape:
        raise TrainingError(
            f"{name} compares outputs and targets one by one; found outputs of shape {tuple(output.shape)} and targets "
            f"of shape {tuple(target.shape)}"
        )
    return output, target


def _never(output: Tensor, target: Tensor) -> Tensor:
    raise NotImplementedError
