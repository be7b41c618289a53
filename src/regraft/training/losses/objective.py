"""The training objective: one loss, or one loss per module output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from regraft.errors import TrainingError, did_you_mean
from regraft.training.auxiliary import Auxiliary, is_single, main_output, named_outputs
from regraft.training.losses.losses import Loss, as_loss
from regraft.training.losses.reading import Reading


def part_of(structure: Any, name: str, position: int) -> Any:
    """Return the part of targets, weights, losses or metrics for the output called ``name``, the ``position``-th.

    Raises:
        TrainingError: ``structure`` has no part for that output.
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
            raise TrainingError(f"the module has an output {name!r}, but only {len(structure)} targets are given")
        return structure[position]
    raise TrainingError(
        f"the module has several outputs, but there is one target, a {type(structure).__name__}; give a target for "
        "each, or loss=['cross_entropy', None] with metrics={'output_0': [...]} to train only one output"
    )


def target_of(targets: Any, name: str, position: int) -> Any:
    """Return the target of an output: its part of the targets, or the single target of all outputs."""
    if isinstance(targets, (Mapping, tuple, list)) or targets is None:
        return part_of(targets, name, position)
    return targets


class Objective:
    """The loss of a batch over all outputs of a module.

    Args:
        loss: a name, a torch loss or a function, for a single output or for all outputs; or a list or a dict of losses
            by output (None: no loss for that output). A function that is not a torch loss gets all outputs and targets
            unchanged.
        loss_weights: factor of each output's loss: a number, or a list or dict by output.

    Attributes:
        names_outputs: whether losses or their factors are given by output.

    Raises:
        TrainingError: ``loss`` is not a loss.
    """

    def __init__(self, loss: Any, loss_weights: Any = None) -> None:
        self.weights = loss_weights
        self.single: Loss | None = None
        self.by_output: dict[str, Loss | None] | list[Loss | None] | None = None
        if isinstance(loss, Mapping):
            self.by_output = {str(name): _loss_or_none(one) for name, one in loss.items()}
        elif isinstance(loss, Sequence) and not isinstance(loss, str):
            self.by_output = [_loss_or_none(one) for one in loss]
        else:
            self.single = _loss_or_none(loss)
        self.names_outputs = self.single is None or isinstance(loss_weights, (Mapping, Sequence))

    @property
    def takes_all(self) -> bool:
        """True if a function of the user gets all outputs and targets unchanged."""
        return self.single is not None and self.single.whole

    @property
    def by_class(self) -> bool:
        """True if the targets of the main output may be class numbers."""
        loss = self.single or self._main_loss()
        return loss is not None and loss.targets.form in ("numbers", "classes")

    def __call__(
        self, outputs: Any, targets: Any, weight: Any = None, auxiliary: Auxiliary | None = None
    ) -> tuple[Tensor, list[tuple[str, Tensor]]]:
        """Return the loss of a batch and, for several outputs, the loss of each by name, before it is weighted.

        Args:
            outputs: the module's outputs.
            targets: a target for each output, or one target for all of them.
            weight: (samples,), or one tensor of that shape for each output.
            auxiliary: the auxiliary outputs of the module, if it may have some.
        """
        single = self.single
        if single is not None and (single.whole or (is_single(outputs) and not self.names_outputs)):
            value = single(outputs, targets, weight)
            return (value if self.weights is None else value * float(self.weights)), []
        if is_single(outputs):
            return self._inference(outputs, targets, weight, auxiliary)
        if single is not None and is_single(targets) and not self.names_outputs:
            if auxiliary is None or not auxiliary.found:
                part_of(targets, "", 0)  # raises: one target for several outputs
            return single(main_output(outputs), targets, weight) * self._factor("", 0), []
        parts: list[tuple[str, Tensor]] = []
        total: Any = 0.0
        named = named_outputs(outputs)
        self._check_names([name for name, _ in named])
        for i, (name, output) in enumerate(named):
            loss = single or self._loss_for(name, i)
            if loss is None:
                continue
            value = loss(output, target_of(targets, name, i), _weight_of(weight, name, i))
            parts.append((f"{name}_loss", value))
            total = total + value * self._factor(name, i)
        if not parts:
            raise TrainingError("no output of the module has a loss")
        return total, parts

    def _inference(
        self, output: Any, target: Any, weight: Any, auxiliary: Auxiliary | None
    ) -> tuple[Tensor, list[tuple[str, Tensor]]]:
        """Return the loss of the main output, the only one of a module with auxiliary outputs in inference."""
        if auxiliary is None or not auxiliary.found:
            raise TrainingError("loss is given by output, but the module has one output")
        name = auxiliary.names[0]
        loss = self.single or self._loss_for(name, 0)
        if loss is None:
            raise TrainingError(f"the main output, {name!r}, has no loss, and the module has no other in inference")
        value = loss(output, target, weight)
        return value * self._factor(name, 0), [(f"{name}_loss", value)]

    def _check_names(self, names: Sequence[str]) -> None:
        losses = self.by_output or []
        unknown = [name for name in losses if name not in names] if isinstance(losses, dict) else losses[len(names) :]
        if unknown:
            given = list(losses) if isinstance(losses, dict) else "by position"
            raise TrainingError(
                f"loss is given for {len(losses)} outputs, {given}, but the module has {len(names)}: {list(names)}"
            )
        factors = self.weights if isinstance(self.weights, (Mapping, Sequence)) else ()
        odd = [name for name in factors if name not in names] if isinstance(factors, Mapping) else factors[len(names) :]
        if odd:
            raise TrainingError(f"loss_weights has {odd[0]!r}, but the outputs of the module are {list(names)}")

    def _main_loss(self) -> Loss | None:
        losses = self.by_output or []
        return next(iter(losses.values() if isinstance(losses, dict) else losses), None)

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
            if position >= len(self.weights):
                raise TrainingError(
                    f"loss_weights has {len(self.weights)} factors, but the module has more outputs; give one for each"
                )
            return float(self.weights[position])
        return float(self.weights)

    def reading(self, name: str | None = None, position: int = 0) -> Reading:
        """Return the way in which the loss of an output reads it (None: the only or main output)."""
        loss = self.single or (self._main_loss() if name is None else self._loss_for(name, position))
        return Reading() if loss is None else loss.reading

    def describe(self, count: int) -> str:
        """Return a description of the losses of ``count`` outputs, for a message."""
        if self.single is None:
            return "loss is given by output"
        if self.single.whole:
            return "the loss receives all outputs"
        name = self.single.name
        if self.names_outputs:
            return f"{name} is computed for each output, with loss_weights"
        return f"{name} is computed for it only (loss_weights={[1] + [0.4] * (count - 1)} trains the others too)"


def _loss_or_none(loss: Any) -> Loss | None:
    return None if loss is None else as_loss(loss)


def _weight_of(weight: Any, name: str, position: int) -> Any:
    return part_of(weight, name, position) if isinstance(weight, (Mapping, tuple, list)) else weight
