"""The steps for one batch: forward pass, loss, gradients and update."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from regraft.errors import TrainingError
from regraft.training.auxiliary import Auxiliary, is_single, main_output
from regraft.training.class_count import ClassCount
from regraft.training.input_types import InputTypes
from regraft.training.losses.class_weights import ClassWeights
from regraft.training.losses.objective import Objective
from regraft.training.losses.sample_weights import one_per_sample, warn_of_row_numbers
from regraft.training.metrics.epoch_metrics import EpochMetrics
from regraft.training.numerics import Precision
from regraft.training.optimizers.ema import EMA
from regraft.training.optimizers.optimizer_view import OptimizerView
from regraft.training.pytree import as_tensor, size_of, tree_map


def unpack(batch: Any) -> tuple[Any, Any, Any]:
    """Return a batch, which is x, (x,), (x, y) or (x, y, weight), as ``(x, y, weight)``; missing parts are None.

    Raises:
        TrainingError: it has more parts.
    """
    if not isinstance(batch, (tuple, list)):
        return batch, None, None
    if len(batch) > 3:
        raise TrainingError(
            f"a batch has {len(batch)} parts; expected x, (x, y) or (x, y, weight)\n  several inputs or targets belong "
            "into a tuple of their own: ((x1, x2), y)"
        )
    x, y, weight = (*batch, None, None)[:3]
    return x, y, weight


def moved(tree: Any, device: torch.device) -> Any:
    """Return ``tree`` as tensors on ``device``."""
    if tree is None:
        return None
    return _moved(tree, device) if isinstance(tree, Tensor) else tree_map(lambda leaf: _moved(leaf, device), tree)


def _moved(leaf: Any, device: torch.device) -> Any:
    tensor = as_tensor(leaf)
    if not isinstance(tensor, Tensor):
        return tensor
    if tensor.is_inference() and not torch.is_inference_mode_enabled():
        tensor = tensor.clone()  # features computed in torch.inference_mode; autograd cannot use them as they are
    return tensor if tensor.device == device else tensor.to(device, non_blocking=True)


@dataclass
class Update:
    """Updates the weights from the gradients.

    Attributes:
        accumulate: batches whose gradients are added up for one update.
        clip_norm: maximum norm of all gradients together; None: no limit.
        clip_value: maximum absolute value of each gradient; None: no limit.
    """

    optimizer: OptimizerView
    precision: Precision
    ema: EMA | None = None
    accumulate: int = 1
    clip_norm: float | None = None
    clip_value: float | None = None

    def __call__(self) -> None:
        """Update the weights and clear the gradients; without a gradient, as of a frozen module, nothing changes."""
        scaler, optimizer = self.precision.scaler, self.optimizer.torch
        if all(p.grad is None for group in optimizer.param_groups for p in group["params"]):
            return
        if self.clip_norm is not None or self.clip_value is not None:
            if scaler is not None:
                scaler.unscale_(optimizer)
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            if self.clip_norm is not None:
                nn.utils.clip_grad_norm_(parameters, self.clip_norm)
            if self.clip_value is not None:
                nn.utils.clip_grad_value_(parameters, self.clip_value)
        if scaler is None:
            optimizer.step()
        else:
            scaler.step(optimizer)
            scaler.update()
        optimizer.zero_grad()
        self.optimizer.count_update()
        if self.ema is not None:
            self.ema.update()


@dataclass
class Forward:
    """Computes the outputs of a module for a batch, their loss and the metrics.

    Attributes:
        module: is called with the inputs.
        inputs: converts them to the number format of the module.
        auxiliary: tells the main output from auxiliary ones.
        training: the module is in train mode.
        classes: counts the classes of targets on the host; None: they are not counted.
        saw_weights: weights of samples were looked at.
    """

    module: Callable[..., Any]
    objective: Objective
    precision: Precision
    device: torch.device
    inputs: InputTypes
    auxiliary: Auxiliary
    class_weights: ClassWeights | None = None
    training: bool = False
    classes: ClassCount | None = None
    saw_weights: bool = False

    def __call__(self, batch: Any, meter: EpochMetrics) -> Tensor:
        """Return the loss of a batch, with its gradient graph, and add its figures to ``meter``."""
        x, targets, weight = unpack(batch)
        x, y = moved(x, self.device), moved(targets, self.device)
        with self.precision.autocast():
            outputs = self.outputs(x, y)
            weight = self.weights(outputs, y, weight)
            loss, parts = self.objective(outputs, y, weight, self.auxiliary)  # finds targets that do not fit
        self.count_classes(outputs, targets)
        with torch.no_grad():
            meter.update(loss, parts, size_of(x), outputs, y, weight, self.auxiliary)
        return loss

    def outputs(self, x: Any, y: Any) -> Any:
        """Return the outputs of the module for inputs on its device; ``y`` are the targets there."""
        outputs = _sole(self.inputs.call(self.module, x), y, self.auxiliary.by_output or self.objective.takes_all)
        self.auxiliary.inspect(x, outputs, y, training=self.training)
        return outputs

    def weights(self, outputs: Any, y: Any, weight: Any) -> Any:
        """Return the weights of the samples on the device, with those of their classes; None if there are none."""
        weight = None if weight is None else one_per_sample(moved(weight, self.device))
        if not self.saw_weights:
            self.saw_weights = True
            warn_of_row_numbers(weight)
        if self.class_weights is None:
            return weight
        return self.class_weights(outputs, y, weight, binary=self.objective.reading().binary)

    def count_classes(self, outputs: Any, targets: Any) -> None:
        """Count the classes of targets on the host, as long as they are counted."""
        if self.classes is not None and self.classes.watching:
            self.classes.see(main_output(outputs), targets)


def _sole(outputs: Any, y: Any, by_output: bool) -> Any:
    """Return the output of a module that returns a dict or tuple of one, such as those of Hugging Face."""
    if by_output or not is_single(y) or is_single(outputs) or len(outputs) != 1:
        return outputs
    return main_output(outputs)


class TrainStep:
    """Trains on one batch: forward, loss, backward, and the update after enough batches.

    Args:
        forward: returns the loss of a batch and adds its figures to a meter.
        update: updates the weights.
        steps: batches of an epoch, if known.
        backward: adds the gradients of a loss to those of the parameters.
    """

    def __init__(
        self,
        forward: Callable[[Any, EpochMetrics], Tensor],
        update: Update,
        steps: int | None = None,
        backward: Callable[[Tensor], None] = Tensor.backward,
    ) -> None:
        self.forward, self.update, self.steps, self.backward = forward, update, steps, backward
        self._waiting, self._expected = 0, update.accumulate

    def __call__(self, batch: Any, number: int, meter: EpochMetrics) -> None:
        """Train on batch ``number`` of the epoch."""
        try:
            loss = self.forward(batch, meter)
        except TrainingError as error:
            raise TrainingError(f"training batch {number + 1}: {error}") from error
        self._expected = group = self._group(number)
        if group > 1:
            loss = loss / group
        if loss.requires_grad:
            scaler = self.update.precision.scaler
            self.backward(loss if scaler is None else scaler.scale(loss))
        elif self.update.optimizer.trainable():
            raise TrainingError(
                "the loss of a batch does not depend on a trainable parameter, so there is nothing to train; unfreeze "
                "parameters that the outputs depend on with requires_grad_(True), and call them without torch.no_grad()"
            )
        self._waiting += 1
        if self._waiting == group:
            self.flush()

    def state_dict(self) -> dict[str, Any]:
        """Return the gradients of an incomplete update, by parameter group; empty if there are none."""
        if not self._waiting:
            return {}
        groups = self.update.optimizer.param_groups
        return {"waiting": self._waiting, "gradients": [[p.grad for p in group["params"]] for group in groups]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the gradients that `state_dict` returned."""
        self._waiting = int(state["waiting"])
        for group, gradients in zip(self.update.optimizer.param_groups, state["gradients"], strict=True):
            for parameter, gradient in zip(group["params"], gradients, strict=True):
                parameter.grad = gradient

    @property
    def waiting(self) -> bool:
        """True if there are gradients of an incomplete update."""
        return self._waiting > 0

    def _group(self, number: int) -> int:
        """Return the number of batches in the update that includes batch ``number``; the last update may have fewer."""
        accumulate = self.update.accumulate
        if accumulate == 1 or self.steps is None:
            return accumulate
        return min(accumulate, self.steps - number // accumulate * accumulate)

    def flush(self) -> None:
        """Update the weights with the mean of the gradients that wait, if there are any.

        An epoch of unknown length, or one that is stopped, ends with fewer batches than each of them was divided by.
        """
        if self._waiting:
            factor, self._waiting = self._expected / self._waiting, 0
            if factor != 1:
                for group in self.update.optimizer.param_groups:
                    for parameter in group["params"]:
                        if parameter.grad is not None:
                            parameter.grad.mul_(factor)
            self.update()
