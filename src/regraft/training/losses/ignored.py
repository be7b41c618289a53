"""Class numbers that a loss ignores, such as the pixels without a label: metrics leave them out too."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

DEFAULT = -100
"""The default of torch's ``ignore_index``."""


def ignored_in(output: Any, target: Any, ignored: int | None) -> int | None:
    """Return ``ignored``, or None if metrics need not look for it.

    They look for torch's default only if targets have places, such as pixels, or if the first batch contains it. The
    check synchronizes with the device.
    """
    if ignored != DEFAULT:
        return ignored
    if not isinstance(output, Tensor) or not isinstance(target, Tensor) or not target.numel():
        return None
    places = output.ndim > 2 and target.ndim > 1
    return ignored if places or bool((target == ignored).any()) else None


def counted(output: Tensor, target: Tensor, ignored: int) -> Tensor | None:
    """Return where class numbers are not ``ignored``, in the shape of the targets; None for other targets."""
    if target.ndim == output.ndim and target.ndim > 1 and 1 in (target.shape[1], target.shape[-1]):
        target = target.squeeze(1 if target.shape[1] == 1 else -1)
    return target != ignored if target.ndim == output.ndim - 1 else None


def masked(output: Tensor, target: Tensor, weight: Tensor | None, ignored: int) -> Tensor | None:
    """Return the weight of each target, 0 where it is ``ignored``; None if all count the same.

    Args:
        output: (n, classes) or (n, classes, ...).
        target: class numbers (n,) or (n, ...).
        weight: weights of the samples (n,) or of the targets; None: 1.
        ignored: the class number.
    """
    mask = counted(output, target, ignored)
    if mask is None:
        return weight
    return (
        mask.float()
        if weight is None
        else mask * weight.float().reshape(weight.shape + (1,) * (mask.ndim - weight.ndim))
    )


def counted_losses(loss: Any, ignored: int, output: Tensor, target: Tensor) -> int | Tensor:
    """Return what torch's ``loss`` divides the sum of its losses by, without weights of samples.

    It is the class weight, or 1, of all targets that are not ``ignored``; for probabilities as targets, their number.
    """
    mask = counted(output, target, ignored)
    if mask is None:
        return target.numel() // output.shape[1]
    weight = loss.keywords.get("weight") if isinstance(loss, partial) else getattr(loss, "weight", None)
    if weight is None:
        return mask.sum()
    total: Tensor = (weight[torch.where(mask, target, 0)] * mask).sum()
    return total
