"""Optimizers of Keras that torch does not have, or has in another form: Lion, LAMB, and Muon for all parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


class _EachParameter(torch.optim.Optimizer):
    """The base class of optimizers that update one parameter after the other, by `update`."""

    def __init__(self, params: Iterable[Any], **defaults: Any) -> None:
        super().__init__(params, defaults)

    def update(self, parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Update one parameter in place."""
        raise NotImplementedError

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters that have a gradient; return the loss of ``closure``, if it is given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    if group["weight_decay"]:
                        parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    self.update(parameter, parameter.grad, self.state[parameter], group)
        return loss


class Lion(_EachParameter):
    """Updates by the sign of a moving average of the gradients (https://arxiv.org/abs/2302.06675)."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, weight_decay=weight_decay)

    def update(self, parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Update one parameter in place."""
        low, high = group["betas"]
        if not state:
            state["exp_avg"] = torch.zeros_like(parameter)
        average = state["exp_avg"]
        parameter.add_(average.lerp(gradient, 1 - low).sign(), alpha=-group["lr"])
        average.lerp_(gradient, 1 - high)


def _adam_step(gradient: Tensor, state: dict[str, Any], betas: tuple[float, float], eps: float) -> Tensor:
    """Return the bias-corrected direction of Adam."""
    if not state:
        state.update(step=0, exp_avg=torch.zeros_like(gradient), exp_avg_sq=torch.zeros_like(gradient))
    state["step"] += 1
    mean = state["exp_avg"].lerp_(gradient, 1 - betas[0]) / (1 - betas[0] ** state["step"])
    square = state["exp_avg_sq"].lerp_(gradient.square(), 1 - betas[1]) / (1 - betas[1] ** state["step"])
    direction: Tensor = mean / (square.sqrt() + eps)
    return direction


class Lamb(_EachParameter):
    """Adam with steps proportional to the norm of each parameter (https://arxiv.org/abs/1904.00962)."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-7,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def update(self, parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Update one parameter in place."""
        direction = _adam_step(gradient, state, group["betas"], group["eps"])
        own, other = parameter.norm(), direction.norm()
        trust = torch.where((own > 0) & (other > 0), own / other, 1.0)
        parameter.sub_(trust * direction * group["lr"])


class Muon(_EachParameter):
    """Orthogonalized momentum for matrices, Adam for all other parameters, as in Keras's Muon.

    torch's own Muon takes matrices only. The method: https://kellerjordan.github.io/posts/muon/.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-7,
        weight_decay: float = 0.004,
    ) -> None:
        super().__init__(params, lr=lr, momentum=momentum, betas=betas, eps=eps, weight_decay=weight_decay)

    def update(self, parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Update one parameter in place."""
        if parameter.ndim != 2:
            parameter.sub_(_adam_step(gradient, state, group["betas"], group["eps"]), alpha=group["lr"])
            return
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        momentum = state["momentum"].mul_(group["momentum"]).add_(gradient)
        direction = _orthogonal(gradient + group["momentum"] * momentum)
        parameter.sub_(direction, alpha=0.2 * max(parameter.shape) ** 0.5 * group["lr"])


def _orthogonal(matrix: Tensor, steps: int = 5) -> Tensor:
    """Return a matrix with nearly the same singular vectors and singular values near 1 (Newton-Schulz iteration)."""
    a, b, c = 3.4445, -4.775, 2.0315
    x: Tensor = matrix.mT if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if matrix.shape[0] > matrix.shape[1] else x
