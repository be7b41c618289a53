"""Targets in the form that a loss takes, and class numbers compared with the outputs that there are."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from regraft.errors import TrainingError
from regraft.training.losses import Loss

BY_CLASS = ("cross_entropy", "crossentropyloss", "nll_loss", "nllloss", "multimarginloss", "multi_margin_loss")
"""Torch's losses that take class numbers, by the names of `Loss`."""

KERAS_BY_CLASS = "sparse_categorical_crossentropy"

ELEMENTWISE = (
    "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "poisson_nll_loss", "binary_cross_entropy",
    "binary_cross_entropy_with_logits", "bce_with_logits", "soft_margin_loss", "mseloss", "l1loss", "smoothl1loss",
    "huberloss", "poissonnllloss", "bceloss", "bcewithlogitsloss", "softmarginloss",
)  # fmt: skip
"""Torch's losses that compare element by element: target and output need one shape and floating-point numbers."""

IGNORED = -100  # torch's default `ignore_index`


class SuitedLoss:
    """A loss that is given its target in the shape and number format that it insists on.

    Args:
        loss: the loss of one output.

    Attributes:
        by_class: whether the target may be class numbers (n,).
    """

    def __init__(self, loss: Loss) -> None:
        self.loss = loss
        known = _is_torch(loss)
        self.by_class = (known and loss.name in BY_CLASS) or loss.name == KERAS_BY_CLASS
        self._suit = _as_classes if known and loss.name in BY_CLASS else _as_given
        if known and loss.name in ELEMENTWISE:
            self._suit = _like

    def __call__(self, output: Any, target: Any, weight: Tensor | None = None) -> Tensor:
        """Return the loss of a batch, a tensor without dimensions.

        Raises:
            TrainingError: the target cannot be meant for the output; both are named.
        """
        if isinstance(output, Tensor) and isinstance(target, Tensor) and output.ndim:
            target = self._suit(self.loss, output, target)
        try:
            return self.loss(output, target, weight)
        except (IndexError, RuntimeError):
            if self.by_class:
                check_range(output, target)
            raise


def _is_torch(loss: Loss) -> bool:
    """Return whether a loss is torch's own, whose targets are known, and not one of the user's with its name."""
    given = loss.mean
    if isinstance(given, nn.Module):
        return type(given) in vars(nn).values()
    return any(given is function for function in vars(functional).values())


def _as_given(loss: Loss, output: Tensor, target: Tensor) -> Tensor:
    return target


def _like(loss: Loss, output: Tensor, target: Tensor) -> Tensor:
    if target.shape != output.shape:
        if _trimmed(target) != _trimmed(output):
            raise TrainingError(
                f"loss {loss.name!r} compares element by element: the output of the module has shape "
                f"{tuple(output.shape)}, the target {tuple(target.shape)}; expected the same shape"
            )
        target = target.reshape(output.shape)
    dtype = torch.promote_types(output.dtype, torch.float32) if loss.takes == "any" else output.dtype
    return target if target.dtype is dtype else target.to(dtype)


def _trimmed(tensor: Tensor) -> tuple[int, ...]:
    """Return the shape without ones behind the first dimension: (n,) and (n, 1) hold the same values."""
    first, *others = tensor.shape
    return (first, *(size for size in others if size != 1))


def _as_classes(loss: Loss, output: Tensor, target: Tensor) -> Tensor:
    if output.ndim < 2:
        return target
    if output.shape[1] == 1 and loss.name.startswith(("cross", "nll")):
        raise TrainingError(
            f"loss {loss.name!r} compares classes, and the module has 1 output, for which it is always 0; expected an "
            "output for each class; give the module 2 or more outputs, or use 'bce_with_logits'"
        )
    if target.shape == (len(output), 1):
        target = target[:, 0]
    numbers = target.shape == (len(output), *output.shape[2:])
    if numbers and target.is_floating_point():
        return _whole(loss, target)
    return target.long() if numbers and target.dtype is not torch.int64 else target


def _whole(loss: Loss, target: Tensor) -> Tensor:
    whole = target.round()
    if not bool((whole == target).all()):
        raise TrainingError(
            f"loss {loss.name!r} takes class numbers 0, 1, 2 ..., and the targets have fractions, such as "
            f"{float(target[whole != target][0]):g}; give whole numbers, or probabilities for every output"
        )
    return whole.long()


def check_host(output: Any, target: Any) -> None:
    """Do as `check_range` before a loss on a device, whose own check would end the process; only host targets.

    Raises:
        TrainingError: a class number is too large, or negative.
    """
    if isinstance(output, Tensor) and output.ndim == 2 and isinstance(target, Tensor) and target.is_cpu:
        classes = target.numpy()
        if classes.size == len(output) and (classes.max() >= output.shape[1] or classes.min() < 0):
            check_range(output, target)


def check_range(output: Any, target: Any) -> None:
    """Check that there is an output for each class number (n,); it reads them on the host.

    Raises:
        TrainingError: a class number is too large, or negative.
    """
    if not isinstance(output, Tensor) or not isinstance(target, Tensor) or output.ndim < 2 or not target.numel():
        return
    if target.ndim > 1 and target.shape != (len(output), 1) and target.shape != (len(output), *output.shape[2:]):
        return
    highest, lowest = int(target.max()), int(target[target != IGNORED].min()) if (target != IGNORED).any() else 0
    if highest >= output.shape[1]:
        raise TrainingError(
            f"the targets hold class number {highest}, and the module has {output.shape[1]} outputs, for classes 0 to "
            f"{output.shape[1] - 1}; give it {highest + 1} outputs or more, or number the classes from 0"
        )
    if lowest < 0:
        raise TrainingError(
            f"the targets hold class number {lowest}; expected 0 to {output.shape[1] - 1}, as the module has "
            f"{output.shape[1]} outputs; number the classes from 0"
        )
