"""Keras's losses, by the formulas of Keras 3 (https://keras.io/api/losses/): each returns one loss per sample.

``output`` and ``target`` have the samples as first dimension; losses that compare element by element average over the
last one.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

EPSILON = 1e-7


def _same_rank(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Let (n, 1) meet (n,) as Keras does, instead of broadcasting to (n, n)."""
    target = target.to(output.dtype)
    if output.ndim == target.ndim + 1 and output.shape[-1] == 1:
        return (output, target.unsqueeze(-1))
    if target.ndim == output.ndim + 1 and target.shape[-1] == 1:
        return (output, target.squeeze(-1))
    return (output, target)


def _last(values: Tensor) -> Tensor:
    return values.mean(-1) if values.ndim > 1 else values


def mean_squared_error(output: Tensor, target: Tensor) -> Tensor:
    """Return ``mean((target - output)²)``."""
    output, target = _same_rank(output, target)
    return _last((target - output).square())


def mean_absolute_error(output: Tensor, target: Tensor) -> Tensor:
    """Return ``mean(|target - output|)``."""
    output, target = _same_rank(output, target)
    return _last((target - output).abs())


def mean_absolute_percentage_error(output: Tensor, target: Tensor) -> Tensor:
    """Return ``100 mean(|(target - output) / target|)``."""
    output, target = _same_rank(output, target)
    return 100.0 * _last(((target - output) / target.abs().clamp(min=EPSILON)).abs())


def mean_squared_logarithmic_error(output: Tensor, target: Tensor) -> Tensor:
    """Return ``mean((log(1 + target) - log(1 + output))²)``."""
    output, target = _same_rank(output, target)
    return _last((target.clamp(min=EPSILON).log1p() - output.clamp(min=EPSILON).log1p()).square())


def huber(output: Tensor, target: Tensor) -> Tensor:
    """Return the Huber loss with ``delta = 1``."""
    output, target = _same_rank(output, target)
    return _last(functional.huber_loss(output, target, reduction="none"))


def log_cosh(output: Tensor, target: Tensor) -> Tensor:
    """Return ``mean(log(cosh(output - target)))``."""
    output, target = _same_rank(output, target)
    error = output - target
    return _last(torch.logaddexp(error, -error) - torch.log(error.new_tensor(2.0)))


def poisson(output: Tensor, target: Tensor) -> Tensor:
    """Return ``mean(output - target log(output))``."""
    output, target = _same_rank(output, target)
    return _last(output - target * (output + EPSILON).log())


def kl_divergence(output: Tensor, target: Tensor) -> Tensor:
    """Return ``sum(target log(target / output))`` of probabilities."""
    output, target = _same_rank(output, target)
    output, target = output.clamp(EPSILON, 1), target.clamp(EPSILON, 1)
    return (target * (target / output).log()).sum(-1)


def cosine_similarity(output: Tensor, target: Tensor) -> Tensor:
    """Return the cosine between output and target with its sign turned, so that less is better."""
    output, target = _same_rank(output, target)
    return -functional.cosine_similarity(output, target, dim=-1)


def _signs(target: Tensor) -> Tensor:
    """Turn targets 0 and 1 into -1 and 1."""
    binary = ((target == 0) | (target == 1)).all()
    return torch.where(binary, 2 * target - 1, target)


def hinge(output: Tensor, target: Tensor) -> Tensor:
    """Return ``mean(max(1 - target output, 0))`` with targets -1 and 1 (0 and 1 are turned into them)."""
    output, target = _same_rank(output, target)
    return _last((1 - _signs(target) * output).clamp(min=0))


def squared_hinge(output: Tensor, target: Tensor) -> Tensor:
    """Return ``mean(max(1 - target output, 0)²)``."""
    output, target = _same_rank(output, target)
    return _last((1 - _signs(target) * output).clamp(min=0).square())


def binary_crossentropy(output: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy of probabilities (n, ...) of the one class against targets 0 and 1."""
    output, target = _same_rank(output, target)
    output = output.clamp(EPSILON, 1 - EPSILON)
    return _last(-(target * output.log() + (1 - target) * (1 - output).log()))


def _log_probabilities(output: Tensor) -> Tensor:
    return (output / output.sum(-1, keepdim=True)).clamp(EPSILON, 1 - EPSILON).log()


def categorical_crossentropy(output: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy of probabilities (n, classes) against one-hot (or soft) targets (n, classes)."""
    return -(target.to(output.dtype) * _log_probabilities(output)).sum(-1)


def sparse_categorical_crossentropy(output: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy of probabilities (n, classes) against the numbers of the classes (n,) or (n, 1)."""
    if target.ndim == output.ndim and target.shape[-1] == 1:
        target = target.squeeze(-1)
    return -_log_probabilities(output).gather(-1, target.long().unsqueeze(-1)).squeeze(-1)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mean_squared_error": mean_squared_error,
    "mse": mean_squared_error,
    "mean_absolute_error": mean_absolute_error,
    "mae": mean_absolute_error,
    "mean_absolute_percentage_error": mean_absolute_percentage_error,
    "mape": mean_absolute_percentage_error,
    "mean_squared_logarithmic_error": mean_squared_logarithmic_error,
    "msle": mean_squared_logarithmic_error,
    "huber": huber,
    "log_cosh": log_cosh,
    "poisson": poisson,
    "kl_divergence": kl_divergence,
    "cosine_similarity": cosine_similarity,
    "hinge": hinge,
    "squared_hinge": squared_hinge,
    "binary_crossentropy": binary_crossentropy,
    "bce": binary_crossentropy,
    "categorical_crossentropy": categorical_crossentropy,
    "sparse_categorical_crossentropy": sparse_categorical_crossentropy,
}
