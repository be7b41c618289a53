"""What is made small: one loss, or one for each output of the module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from regraft.errors import TrainingError, did_you_mean
from regraft.training.loss import Loss
from regraft.training.losses import loss_of
from regraft.training.reading import Reading


def named_outputs(outputs: Any) -> list[tuple[str, Any]]:
    """Return the outputs of a module with their names: a dict's keys, or ``output_0``, ``output_1`` ... of a tuple."""
    if isinstance(outputs, Mapping):
        return [(str(name), value) for name, value in outputs.items()]
    return [(f"output_{i}", value) for i, value in enumerate(outputs)]


def is_single(outputs: Any) -> bool:
    """Return whether a module gave one tensor, not a tuple or dict of several."""
    return not isinstance(outputs, (Mapping, tuple, list))


def part_of(structure: Any, name: str, position: int) -> Any:
    """Return what belongs to the output called ``name``, the ``position``-th, in targets, weights, losses or metrics.

    Raises:
        TrainingError: ``structure`` has no such part.
    """
    if isinstance(structure, Mapping):
        if name not in structure:
            names = [str(key) for key in structure]
            raise TrainingError(
                f"there is no target for the output {name!r}{did_you_mean(name, names, there_are=names)}"
            )
        return structure[name]
    if isinstance(structure, (tuple, list)):
        if position >= len(structure):
            raise TrainingError(f"the module has an output {name!r}, but there are only {len(structure)} targets")
        return structure[position]
    raise TrainingError(f"the module has several outputs, but there is one target, a {type(structure).__name__}")


class Objective:
    """The loss of a batch over all outputs of a module.

    Args:
        loss: a name, a torch loss or a function for one output or for each of them alike; a list or a dict by output
            for different ones (None: no loss for that output). A function that is no torch loss is handed all outputs
            and targets as they are.
        loss_weights: what each output's loss is multiplied by: a number, or a list or dict by output.

    Raises:
        TrainingError: no such loss.
    """

    def __init__(self, loss: Any, loss_weights: Any = None) -> None:
        self.weights = loss_weights
        self.single: Loss | None = None
        self.by_output: dict[str, Loss | None] | list[Loss | None] | None = None
        if isinstance(loss, Mapping):
            self.by_output = {str(name): None if one is None else loss_of(one) for name, one in loss.items()}
        elif isinstance(loss, Sequence) and not isinstance(loss, str):
            self.by_output = [None if one is None else loss_of(one) for one in loss]
        else:
            self.single = loss_of(loss)

    def __call__(self, outputs: Any, targets: Any, weight: Any = None) -> tuple[Tensor, list[tuple[str, Tensor]]]:
        """Return the loss of a batch and, where there are several outputs, the loss of each by name, not multiplied."""
        single = self.single
        if single is not None and (single.whole or is_single(outputs)):
            value = single(outputs, targets, weight)
            return (value if self.weights is None else value * float(self.weights)), []
        if is_single(outputs):
            raise TrainingError("loss is given by output, but the module has one output")
        parts: list[tuple[str, Tensor]] = []
        total: Any = 0.0
        for i, (name, output) in enumerate(named_outputs(outputs)):
            loss = single or self._loss_for(name, i)
            if loss is None:
                continue
            value = loss(output, part_of(targets, name, i), _weight_of(weight, name, i))
            parts.append((f"{name}_loss", value))
            total = total + value * self._factor(name, i)
        if not parts:
            raise TrainingError("no output of the module has a loss")
        return total, parts

    def _loss_for(self, name: str, position: int) -> Loss | None:
        if isinstance(self.by_output, dict):
            return self.by_output.get(name)
        losses = self.by_output or []
        return losses[position] if position < len(losses) else None

    def _factor(self, name: str, position: int) -> float:
        if self.weights is None:
            return 1.0
        if isinstance(self.weights, Mapping):
            return float(self.weights.get(name, 1.0))
        if isinstance(self.weights, Sequence):
            return float(self.weights[position])
        return float(self.weights)

    def reading(self, name: str | None = None, position: int = 0) -> Reading:
        """Return how the loss of an output reads it (None: the only output)."""
        loss = self.single if name is None else (self.single or self._loss_for(name, position))
        return Reading() if loss is None else loss.reading


def _weight_of(weight: Any, name: str, position: int) -> Any:
    return part_of(weight, name, position) if isinstance(weight, (Mapping, tuple, list)) else weight
