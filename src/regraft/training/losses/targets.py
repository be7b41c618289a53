"""Targets of a loss: their form, the type that the loss needs, and clear errors where they do not fit the outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from regraft.errors import TrainingError
from regraft.training.losses.reading import class_axis, same_rank

#: ``"numbers"`` of classes; ``"hot"``: one-hot or probabilities, in the outputs' shape; ``"classes"``: either of them;
#: ``"same"`` shape as the outputs; ``"any"``: the user's own loss, which gets targets unchanged.
Form = Literal["numbers", "hot", "classes", "same", "any"]


@dataclass(frozen=True)
class Targets:
    """The targets that a loss takes.

    Attributes:
        loss: name of the loss, for messages.
        form: see `Form`.
        unit: targets are between 0 and 1, as those of binary cross-entropy.
        axis: dimension of the classes.
        ignored: class number that the loss skips.
    """

    loss: str
    form: Form = "any"
    unit: bool = False
    axis: int = 1
    ignored: int | None = None

    def suited(self, output: Any, target: Any) -> Any:
        """Return the targets of a batch in the shape and type that the loss needs, without reading their values.

        Raises:
            TrainingError: the shapes do not fit.
        """
        if self.form == "any":
            return target
        if not isinstance(output, Tensor):
            raise TrainingError(
                f"the loss {self.loss} needs a tensor, and the module returns a {type(output).__name__}\n  wrap it in "
                "a module that returns the tensor, such as its .logits; or pass a function of (output, target) as loss"
            )
        if not isinstance(target, Tensor):
            raise TrainingError(f"the loss {self.loss} {_no_targets(target)}")
        if target.ndim == 0 or output.ndim == 0:
            raise TrainingError(
                f"the loss {self.loss} got targets of shape {_shape(target)} for outputs of shape {_shape(output)}: "
                "the data yields single samples, not batches\n  pass a DataLoader with a batch_size"
            )
        if self.form == "same":
            return self._same(output, target)
        axis = class_axis(output, target, self.axis)
        self._check_several(output, axis)
        if target.ndim == output.ndim and target.shape[axis] == 1:
            target = target.squeeze(axis)
        numbers = target.ndim == output.ndim - 1
        if numbers and self.form == "hot":
            raise TrainingError(
                f"the loss {self.loss} takes one-hot targets; found class numbers of shape {_shape(target)} for "
                f"outputs of shape {_shape(output)}\n  use loss='sparse_categorical_crossentropy' (on logits: "
                "'cross_entropy')"
            )
        if not numbers and self.form == "numbers":
            raise TrainingError(
                f"the loss {self.loss} takes class numbers; found targets of shape {_shape(target)} for outputs of "
                f"shape {_shape(output)}\n  use loss='categorical_crossentropy' (on logits: 'cross_entropy'), or "
                "y.argmax(-1)"
            )
        if not numbers:
            return self._same(output, target)
        return target if target.dtype is torch.int64 else target.long()

    def _same(self, output: Tensor, target: Tensor) -> Tensor:
        _, target = same_rank(output, target)
        if target.shape != output.shape:
            hint = "\n  for class numbers use a loss such as 'cross_entropy'" if target.ndim < output.ndim else ""
            raise TrainingError(
                f"the loss {self.loss} compares outputs and targets one by one; found outputs of shape "
                f"{_shape(output)} and targets of shape {_shape(target)}{hint}"
            )
        if self.unit and target.dtype is torch.float64 and output.dtype is not torch.float64:
            return target.to(torch.promote_types(output.dtype, torch.float32))  # torch's refuse two formats
        if target.is_floating_point() or target.is_complex():
            return target
        small = self.unit or self.form != "same"  # 0 and 1 are exact in every type
        return target.to(output.dtype if small else torch.promote_types(output.dtype, torch.float32))

    def _check_several(self, output: Tensor, axis: int) -> None:
        if output.shape[axis] == 1:
            raise TrainingError(
                f"the loss {self.loss} compares the outputs of several classes, and the module has 1 output\n"
                "  use loss='bce_with_logits' (or 'binary_crossentropy' after a sigmoid), or give it 2 outputs"
            )

    def check(self, output: Any, target: Any) -> None:
        """Check the values of targets, as the data gave them. The check synchronizes with the device.

        Raises:
            TrainingError: class numbers have no output or are not whole, or targets are NaN or outside 0 to 1.
        """
        if self.form == "any" or not isinstance(output, Tensor) or not isinstance(target, Tensor) or not target.numel():
            return
        if target.is_floating_point() and bool(target.isnan().any()):
            count = int(target.isnan().sum())
            raise TrainingError(
                f"the targets of the loss {self.loss} contain NaN ({count} of {target.numel()} in this batch); remove "
                "or fill these samples"
            )
        axis = class_axis(output, target, self.axis)
        flat = target.squeeze(axis) if target.ndim == output.ndim and target.shape[axis] == 1 else target
        if self.form in ("numbers", "classes") and flat.ndim == output.ndim - 1:
            self._check_numbers(flat, output.shape[axis])
        elif self.unit and target.dtype is not torch.bool:
            self._check_unit(target, output)

    def _check_numbers(self, numbers: Tensor, classes: int) -> None:
        if numbers.is_floating_point() and bool((numbers != numbers.round()).any()):
            odd = numbers[numbers != numbers.round()][0]
            raise TrainingError(
                f"the loss {self.loss} takes class numbers; found {float(odd):g}, which is not a whole number\n"
                "  for values use a loss such as 'mse'"
            )
        counted = numbers if self.ignored is None else numbers[numbers != self.ignored]
        if not counted.numel():
            return
        low, high = int(counted.min()), int(counted.max())
        if low >= 0 and high < classes:
            return
        hint = f"give the module {high + 1} outputs"
        if low == 1 and high == classes:
            hint = "subtract 1 from the class numbers: y - 1"
        elif low < 0:
            hint = "number the classes from 0, such as with np.unique(y, return_inverse=True)"
        raise TrainingError(
            f"the module has {classes} outputs, so class numbers go from 0 to {classes - 1}; found targets from {low} "
            f"to {high}\n  {hint}"
        )

    def _check_unit(self, target: Tensor, output: Tensor) -> None:
        low, high = float(target.min()), float(target.max())
        if low >= 0 and high <= 1:
            return
        hint = "for the numbers of several classes use loss='cross_entropy' and an output for each class"
        if low == -1 and high == 1:
            hint = "turn -1 and 1 into 0 and 1: (y + 1) / 2; or use loss='hinge'"
        raise TrainingError(f"the loss {self.loss} takes targets between 0 and 1; found {low:g} to {high:g}\n  {hint}")


def of_long_numbers(loss: Callable[..., Any], output: Any, target: Any) -> Any:
    """Return a loss of class numbers of any whole type; torch's take int64 only."""
    small = (torch.int8, torch.int16, torch.int32, torch.bool)
    return loss(output, target.long() if target.dtype in small else target)


def _no_targets(target: Any) -> str:
    if target is None:
        return (
            "needs targets, but the data has none: let it yield (x, y), or pass y; a dict contains inputs by name, "
            "so convert each dict to (x, y)"
        )
    first = target[0] if isinstance(target, (tuple, list)) and target else target
    if isinstance(first, str):
        return (
            f"needs numbers as targets; found text, such as {first!r}\n  number the classes: names, y = "
            "np.unique(labels, return_inverse=True)"
        )
    return f"needs targets as a tensor; found a {type(target).__name__}"


def _shape(tensor: Tensor) -> str:
    return str(tuple(tensor.shape))
