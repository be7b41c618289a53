"""Keras's losses, by the formulas of Keras 3 (https://keras.io/api/losses/): each returns one loss per sample.

``output`` and ``target`` have the samples as first dimension; losses that compare element by element average over the
last one.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from regraft.training.losses.reading import same_rank

EPSILON = 1e-7


def _same_rank(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    return same_rank(output, target.to(output.dtype))


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
    """Return the negative cosine between output and target, so that lower is better."""
    output, target = _same_rank(output, target)
    return -functional.cosine_similarity(output, target, dim=-1)


def _signs(target: Tensor) -> Tensor:
    """Return targets 0 and 1 as -1 and 1; other targets are unchanged."""
    binary = ((target == 0) | (target == 1)).all()
    return torch.where(binary, 2 * target - 1, target)


def hinge(output: Tensor, target: Tensor) -> Tensor:
    """Return ``mean(max(1 - target output, 0))`` with targets -1 and 1, or 0 and 1."""
    output, target = _same_rank(output, target)
    return _last((1 - _signs(target) * output).clamp(min=0))


def squared_hinge(output: Tensor, target: Tensor) -> Tensor:
    """Return ``mean(max(1 - target output, 0)²)``."""
    output, target = _same_rank(output, target)
    return _last((1 - _signs(target) * output).clamp(min=0).square())


def categorical_hinge(output: Tensor, target: Tensor) -> Tensor:
    """Return ``max(1 + largest output of another class - output of the class, 0)`` with one-hot targets."""
    target = target.to(output.dtype)
    right, wrong = (target * output).sum(-1), ((1 - target) * output).amax(-1)
    return (wrong - right + 1).clamp(min=0)


def binary_crossentropy(output: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy of probabilities (n, ...) of the positive class against targets 0 and 1."""
    output, target = _same_rank(output, target)
    output = output.clamp(EPSILON, 1 - EPSILON)
    return _last(-(target * output.log() + (1 - target) * (1 - output).log()))


def _log_probabilities(output: Tensor) -> Tensor:
    return (output / output.sum(-1, keepdim=True)).clamp(EPSILON, 1 - EPSILON).log()


def categorical_crossentropy(output: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy of probabilities (n, classes) against one-hot (or soft) targets (n, classes)."""
    return -(target.to(output.dtype) * _log_probabilities(output)).sum(-1)


def sparse_categorical_crossentropy(output: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy of probabilities (n, classes) against class numbers (n,) or (n, 1)."""
    if target.ndim == output.ndim and target.shape[-1] == 1:
        target = target.squeeze(-1)
    return -_log_probabilities(output).gather(-1, target.long().unsqueeze(-1)).squeeze(-1)


def binary_focal_crossentropy(output: Tensor, target: Tensor, gamma: float = 2.0) -> Tensor:
    """Return binary cross-entropy times ``(1 - probability of the target)^gamma`` (https://arxiv.org/abs/1708.02002)."""
    output, target = _same_rank(output, target)
    right = target * output + (1 - target) * (1 - output)
    clamped = output.clamp(EPSILON, 1 - EPSILON)
    entropy = -(target * clamped.log() + (1 - target) * (1 - clamped).log())
    return _last((1 - right).pow(gamma) * entropy)


def categorical_focal_crossentropy(output: Tensor, target: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Return ``-alpha (1 - p)^gamma log(p)`` of the classes' probabilities ``p`` with one-hot targets."""
    p = (output / output.sum(-1, keepdim=True)).clamp(EPSILON, 1 - EPSILON)
    return -(alpha * (1 - p).pow(gamma) * target.to(output.dtype) * p.log()).sum(-1)


def dice(output: Tensor, target: Tensor) -> Tensor:
    """Return ``1 - 2 |output ∩ target| / (|output| + |target|)`` of the whole batch, a tensor without dimensions."""
    output, target = _same_rank(output, target)
    return 1 - 2 * (output * target).sum() / (output.sum() + target.sum() + EPSILON)


def tversky(output: Tensor, target: Tensor, alpha: float = 0.5, beta: float = 0.5) -> Tensor:
    """Return the Tversky loss of the whole batch, a tensor without dimensions (https://arxiv.org/abs/1706.05721)."""
    output, target = _same_rank(output, target)
    both = (output * target).sum()
    missed, wrong = ((1 - output) * target).sum(), (output * (1 - target)).sum()
    return 1 - both / (both + alpha * missed + beta * wrong + EPSILON)


def circle(output: Tensor, target: Tensor, gamma: float = 80.0, margin: float = 0.4) -> Tensor:
    """Return the circle loss of normalized embeddings (n, d) with class numbers (n,), for each sample.

    As in Keras, the mean is over the samples with a loss above 0, so their values are scaled up
    (https://arxiv.org/abs/2002.10857).
    """
    target = target.reshape(-1, 1)
    distance = (1 - output @ output.T).clamp(min=0)
    same = target == target.T
    other, itself = ~same, torch.eye(len(output), dtype=torch.bool, device=output.device)
    positive, negative = same & ~itself, other
    near = -gamma * ((margin + distance) * positive).clamp(min=0) * (margin - distance)
    far = gamma * ((1 + margin - distance) * negative).clamp(min=0) * (1 - margin - distance)
    nothing = output.new_tensor(-1e9)  # the logsumexp of infinity would have no gradient
    loss = functional.softplus(
        torch.where(positive, near, nothing).logsumexp(1) + torch.where(negative, far, nothing).logsumexp(1)
    )
    counted = loss > 0
    return torch.where(counted, loss * len(loss) / counted.sum().clamp(min=1), 0.0)
