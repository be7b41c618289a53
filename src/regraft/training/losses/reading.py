"""The meaning of a module's outputs for its loss: logits or probabilities, one answer or several, class dimension."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from regraft.errors import TrainingError


class Reading(NamedTuple):
    """The way in which a loss reads outputs; metrics by name read them in the same way.

    Attributes:
        logits: whether the loss applies the sigmoid or softmax itself.
        binary: whether each output is a binary prediction, as with binary cross-entropy.
        axis: dimension of the classes: 1 for torch's losses, -1 for Keras's.
        guessed: whether the loss is a function of the user, so that ``logits`` was guessed from outputs outside 0 to 1.
        ignored: class number that the loss skips, as ``ignore_index`` of torch; None: it skips none.
    """

    logits: bool = False
    binary: bool = False
    axis: int = 1
    guessed: bool = False
    ignored: int | None = None


def same_rank(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return both with the same number of dimensions, if they differ only by a dimension of size 1.

    As in Keras, (n, 1) matches (n,), and (n, 1, h, w) matches (n, h, w), instead of being broadcast to (n, n).
    """
    if output.ndim == target.ndim + 1:
        if output.shape[-1] == 1 and output.shape[:-1] == target.shape:
            return output, target.unsqueeze(-1)
        if output.shape[1] == 1 and output.shape[2:] == target.shape[1:]:
            return output, target.unsqueeze(1)
        if output.shape[-1] == 1:
            return output, target.unsqueeze(-1)
    if target.ndim == output.ndim + 1:
        if target.shape[-1] == 1:
            return output, target.squeeze(-1)
        if target.shape[1] == 1 and target.shape[2:] == output.shape[1:]:
            return output, target.squeeze(1)
    return output, target


def called_target_first(function: Callable[..., Any], output: Any, target: Any, *, ranks: bool = True) -> Any:
    """Return ``function(target, output)``, both with the same number of dimensions if ``ranks`` is set."""
    if ranks and isinstance(output, Tensor) and isinstance(target, Tensor):
        output, target = same_rank(output, target)
    return function(target, output)


def class_axis(output: Tensor, target: Tensor, axis: int) -> int:
    """Return the dimension of the classes in ``output``, not negative.

    Args:
        output: (n, classes), (n, classes, ...) or (n, ..., classes).
        target: class numbers, without that dimension or with size 1 in it; or the same shape.
        axis: the dimension to choose if the shapes allow both 1 and -1.
    """
    last = output.ndim - 1
    if output.ndim < 3:
        return last
    if target.ndim == output.ndim - 1:
        fits = [d for d in (1, last) if output.shape[:d] + output.shape[d + 1 :] == target.shape]
        if len(fits) == 1:
            return fits[0]
    if target.ndim == output.ndim and target.shape != output.shape:
        fits = [d for d in (1, last) if target.shape[d] == 1]
        if len(fits) == 1:
            return fits[0]
    return axis % output.ndim


def classes_last(output: Tensor, target: Tensor, axis: int = 1) -> tuple[Tensor, Tensor]:
    """Return outputs with the classes as last dimension, and targets to compare with them.

    Targets are class numbers without that dimension, or have the outputs' shape (one-hot, or scores by class).
    """
    where = class_axis(output, target, axis)
    if target.dtype is torch.bool:
        target = target.to(torch.uint8)  # one-hot columns of a table; torch has no argmax of booleans
    if target.ndim == output.ndim:
        target = target.squeeze(where) if target.shape[where] == 1 else _last(target, where)
    return _last(output, where), target


def _last(tensor: Tensor, dimension: int) -> Tensor:
    """Return ``tensor`` with ``dimension`` as the last one; unchanged if it is already the last."""
    return tensor if dimension == tensor.ndim - 1 else tensor.movedim(dimension, -1)


def probabilities(output: Tensor, reading: Reading) -> Tensor:
    """Return outputs, whose classes are the last dimension, as probabilities."""
    if not reading.logits:
        return output
    if reading.binary or output.ndim == 1 or output.shape[-1] == 1:
        return output.float().sigmoid()
    if reading.guessed:
        raise TrainingError(
            "the loss is a function of your own and the outputs are logits of several classes: metrics of "
            "probabilities cannot tell whether to apply a sigmoid or a softmax\n  pass loss='bce_with_logits' or "
            "'cross_entropy' (or a loss module of torch), or let the module return probabilities"
        )
    return output.float().softmax(-1)


def inside_unit(values: Tensor) -> bool:
    """Return whether all values can be probabilities; this synchronizes with the device."""
    return bool(((values >= -1e-4) & (values <= 1 + 1e-4)).all())


def one_hot(numbers: Tensor, classes: int) -> Tensor:
    """Return class numbers (...) as (..., classes) of 0 and 1; an invalid number becomes a row of zeros."""
    return (numbers.unsqueeze(-1) == torch.arange(classes, device=numbers.device)).float()


def warn_of_table(subject: str, output: Any, target: Any) -> None:
    """Warn if a user's function would compare outputs (n, 1) with targets (n,), which torch broadcasts to (n, n)."""
    if not isinstance(target, Tensor) or not isinstance(output, Tensor) or output.ndim != target.ndim + 1:
        return
    if output.shape[-1] == 1 < len(output):
        warnings.warn(
            f"{subject} is a function of your own, which gets outputs of shape {tuple(output.shape)} and targets of "
            f"shape {tuple(target.shape)}: torch broadcasts their difference to a table; use y[:, None] or "
            "output.squeeze(-1)",
            RuntimeWarning,
            stacklevel=2,
        )
