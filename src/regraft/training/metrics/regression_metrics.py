"""Metrics of regression by Keras's formulas: root of the mean square, R², cosine and correlations."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from regraft.errors import TrainingError
from regraft.training.losses.keras_losses import EPSILON
from regraft.training.losses.reading import Reading, same_rank
from regraft.training.metrics.metric import SumMetric, Sums, exact_dtype, ratio, summed


def cosine_similarity(output: Tensor, target: Tensor) -> Tensor:
    """Return the cosine between output and target. For this metric higher is better; the loss has the opposite sign."""
    output, target = same_rank(output, target.to(output.dtype))
    return functional.cosine_similarity(output, target, dim=-1)


def pearson_correlation(output: Tensor, target: Tensor) -> Tensor:
    """Return the correlation of output and target along their last dimension."""
    output, target = same_rank(output, target.to(output.dtype))
    output, target = output - output.mean(-1, keepdim=True), target - target.mean(-1, keepdim=True)
    norm = output.square().mean(-1).sqrt() * target.square().mean(-1).sqrt()
    return (output * target).mean(-1) / norm


def concordance_correlation(output: Tensor, target: Tensor) -> Tensor:
    """Return the concordance correlation along the last dimension (https://doi.org/10.2307/2532051)."""
    output, target = same_rank(output, target.to(output.dtype))
    gap = output.mean(-1) - target.mean(-1)
    spread = output.var(-1, correction=0) + target.var(-1, correction=0) + gap.square()
    covariance = ((output - output.mean(-1, keepdim=True)) * (target - target.mean(-1, keepdim=True))).mean(-1)
    return 2 * covariance / (spread + EPSILON)


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
    """The share of variance that the outputs explain, averaged over their columns."""

    def sums(self, output: Tensor, target: Tensor, weight: Tensor | None, reading: Reading) -> Sums:
        """Return sums of targets, their squares, squared errors and weights, by column."""
        output, target = _paired(self.name, output, target)
        output, target = (one.to(exact_dtype(one)).reshape(len(one), -1) for one in (output, target))
        columns = (target, target.square(), (target - output).square(), torch.ones_like(target))
        factor = 1.0 if weight is None else weight.to(target.dtype).reshape(-1, 1)
        return tuple((column * factor).sum(0) for column in columns)

    def figure(self, *sums: Tensor) -> Tensor:
        """Return the mean of ``1 - residual / total``; a column with a constant target counts as 0."""
        total, squares, residual, count = sums
        spread = squares - total.square() / count
        score = 1 - residual / spread
        return torch.where(score.isinf(), 0.0, score).mean()


def _paired(name: str, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    output, target = same_rank(output.float(), target.float())
    if output.shape != target.shape:
        raise TrainingError(
            f"{name} needs outputs and targets of one shape; found outputs of shape {tuple(output.shape)} and targets "
            f"of shape {tuple(target.shape)}"
        )
    return output, target
