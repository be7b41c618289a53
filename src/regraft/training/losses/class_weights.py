"""Weights of samples by their class: ``class_weight`` of `Trainer.fit`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regraft.errors import TrainingError
from regraft.training.auxiliary import main_output
from regraft.training.pytree import is_array


class ClassWeights:
    """Weights of samples by their class; classes that are not named weigh 1.

    Args:
        weights: class number to weight; or a list or an array of the weights of all classes.
        device: where the targets are.

    Raises:
        TrainingError: a class is not a whole number of 0 or more, or a weight is not a finite number of 0 or more.
    """

    def __init__(self, weights: Any, device: torch.device) -> None:
        checked = _checked(weights)
        self._listed = None if isinstance(weights, Mapping) else len(checked)
        self._highest = max(checked, default=-1)
        table = torch.ones(self._highest + 2)
        for number, weight in checked.items():
            table[number] = weight
        self._table = table.to(device)  # its last entry, 1, is for all other classes
        self._fits = False

    def __call__(self, outputs: Any, targets: Any, weight: Tensor | None, *, binary: bool) -> Tensor:
        """Return the weights (samples,) of a batch: class weights times its sample weights.

        Args:
            outputs: the outputs of the module.
            targets: class numbers (samples,) or (samples, 1), or one-hot targets (samples, classes).
            weight: weights of the samples, or None.
            binary: whether each output is a binary prediction.

        Raises:
            TrainingError: a sample has several targets, or the module has no output for a class.
        """
        output = main_output(outputs)
        self._check_shape(output, targets)
        several = targets.ndim > 1 and targets.shape[-1] != 1
        if several and binary and not _is_one_hot(targets):
            raise TrainingError(
                "class_weight weighs a sample by its class, and here a sample has several labels: pass "
                "nn.BCEWithLogitsLoss(pos_weight=...) as loss, or a sample_weight for each label"
            )
        if not self._fits:
            self._check_classes(output, targets, binary)
            self._fits = True
        classes = targets.to(torch.float32).argmax(-1) if several else targets.reshape(len(targets))
        last = len(self._table) - 1
        numbers = classes.round().long().clamp(max=last)
        own = self._table[torch.where(numbers < 0, last, numbers)]
        return own if weight is None else own * weight.reshape(own.shape)

    @staticmethod
    def _check_shape(output: Any, targets: Any) -> None:
        if not isinstance(targets, Tensor):
            raise TrainingError(
                f"class_weight needs one target for each sample; found a {type(targets).__name__} of targets: pass "
                "sample_weight, one for each output"
            )
        by_place = targets.ndim == 2 and targets.shape[1] != 1 and isinstance(output, Tensor) and output.ndim > 2
        if targets.ndim == 0 or targets.ndim > 2 or by_place:
            raise TrainingError(
                f"class_weight weighs whole samples, and the targets of shape {tuple(targets.shape)} have a class for "
                "each place: pass nn.CrossEntropyLoss(weight=...) as loss"
            )

    def _check_classes(self, output: Any, targets: Tensor, binary: bool) -> None:
        """Check the first batch; this synchronizes with the device once."""
        width = output.shape[1] if isinstance(output, Tensor) and output.ndim == 2 else 1
        known = width if width > 1 else 2 if binary else None
        if known is not None and self._highest >= known:
            raise TrainingError(
                f"class_weight names class {self._highest}, and the module has outputs for the classes 0 to {known - 1}"
            )
        if known is not None and self._listed is not None and self._listed < known:
            raise TrainingError(
                f"class_weight is a list of {self._listed} weights, and the module has outputs for {known} classes; "
                "expected a weight for each class, or a dict of some"
            )
        if targets.is_floating_point() and width == 1:
            odd = targets[(targets != targets.round()) & ((targets < 0) | (targets > 1))]
            if odd.numel():
                raise TrainingError(
                    f"class_weight needs class numbers as targets; found {float(odd[0]):g}: pass sample_weight"
                )


def _checked(weights: Any) -> dict[int, float]:
    """Return the weight of each class."""
    if isinstance(weights, Mapping):
        pairs = list(weights.items())
    elif is_array(weights) or (isinstance(weights, Sequence) and not isinstance(weights, (str, bytes))):
        pairs = list(enumerate(np.asarray(weights).tolist() if is_array(weights) else weights))
    else:
        raise TrainingError(
            f"class_weight is {weights!r}; expected a dict from class number to weight, such as {{0: 1.0, 1: 5.0}}"
        )
    return {_class_number(number): _weight(number, weight) for number, weight in pairs}


def _class_number(given: Any) -> int:
    plain = given.item() if isinstance(given, (Tensor, np.generic)) else given
    whole = isinstance(plain, float) and plain.is_integer()
    if (isinstance(plain, Integral) or whole) and not isinstance(plain, bool) and int(plain) >= 0:
        return int(plain)
    raise TrainingError(
        f"class_weight names the class {given!r}; expected class numbers from 0 on, as in the targets\n  "
        "names, y = np.unique(labels, return_inverse=True) numbers the classes"
    )


def _weight(number: Any, given: Any) -> float:
    try:
        weight = float(given)
    except (TypeError, ValueError, RuntimeError):
        weight = math.nan
    if math.isfinite(weight) and weight >= 0:
        return weight
    raise TrainingError(f"class_weight: the weight of class {number} is {given!r}; expected a number of 0 or more")


def _is_one_hot(targets: Tensor) -> bool:
    """Return whether each row has one 1 and otherwise 0; this synchronizes with the device."""
    plain = ((targets == 0) | (targets == 1)).all()
    return bool(plain & (targets.sum(-1) == 1).all())
