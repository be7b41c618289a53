"""One loss over a batch, weighted and reduced as in Keras, with checks of its first batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from regraft.errors import TrainingError
from regraft.training.loss_names import Takes
from regraft.training.reading import Reading, inside_unit, warn_of_table
from regraft.training.targets import Targets


class Loss:
    """One loss, reduced over a batch as Keras does: ``sum(weight * loss) / number of losses``.

    Args:
        name: how it is called in the logs of several outputs.
        mean: ``f(output, target)``: the loss of a batch without weights, a tensor without dimensions.
        each: ``f(output, target)``: the loss of each sample, first dimension the samples; None if unavailable.
        takes: what the output has to be; ``"probabilities"`` is checked at the first batch.
        sums: the loss of a batch is the sum, not the mean.
        whole: it is handed all outputs and targets at once, as they are.
        binary: each output answers its own question, as with binary cross-entropy.
        targets: the targets that it takes; None: any.
        axis: dimension of the classes: 1 as in torch, -1 as in Keras.
    """

    def __init__(
        self,
        name: str,
        mean: Callable[[Any, Any], Tensor],
        each: Callable[[Any, Any], Tensor] | None,
        *,
        takes: Takes = "any",
        sums: bool = False,
        whole: bool = False,
        binary: bool = False,
        targets: Targets | None = None,
        axis: int = 1,
    ) -> None:
        self.name, self.mean, self.each = name, mean, each
        self.takes, self.sums, self.whole = takes, sums, whole
        self.targets = targets or Targets(name)
        self.reading = Reading(takes == "logits", binary, axis)
        self._checked = False

    def __call__(self, output: Any, target: Any, weight: Tensor | None = None) -> Tensor:
        """Return the loss of a batch, a tensor without dimensions.

        Args:
            output: what the module gave, first dimension the samples.
            target: what it should have given.
            weight: (samples,) or the shape of the losses; None: all 1.

        Raises:
            TrainingError: there are weights, and the loss gives only one number for the batch; or outputs and targets
                do not fit the loss.
        """
        suited = self.targets.suited(output, target)
        if not self._checked:
            self._check(output, target)
        try:
            return self._trainable(self.value(output, suited, weight), output)
        except (IndexError, RuntimeError, ValueError):
            self.targets.check(output, target)  # says it in words, if that is the reason
            raise

    def _trainable(self, value: Any, output: Any) -> Tensor:
        """Return the value of the loss, if gradients go through it where they should.

        Raises:
            TrainingError: it was computed outside of torch.
        """
        wanted = isinstance(output, Tensor) and output.requires_grad and torch.is_grad_enabled()
        if isinstance(value, Tensor) and (value.requires_grad or not wanted):
            return value
        raise TrainingError(
            f"the loss {self.name} has no gradient: compute it with torch from the outputs, without NumPy, .item(), "
            ".detach() or argmax"
        )

    def value(self, output: Any, target: Any, weight: Tensor | None) -> Tensor:
        """Return the loss of a batch whose targets suit it."""
        if weight is None:
            value: Any = self.mean(output, target)
            reduced: Tensor = value.mean() if isinstance(value, Tensor) and value.ndim else value
            return reduced
        values = self.each(output, target) if self.each else self.mean(output, target)
        if values.ndim == 0:
            raise TrainingError(
                f"the loss {self.name} gives one number for the batch, so samples cannot be weighted; let it return "
                "one loss per sample"
            )
        weight = weight.to(values.dtype)
        weighted = values * weight.reshape(weight.shape + (1,) * (values.ndim - weight.ndim))
        return weighted.sum() if self.sums else weighted.sum() / values.numel()

    def _check(self, output: Any, target: Any) -> None:
        """Check the first batch, which waits for the device once."""
        self._checked = True
        if self.takes == "probabilities" and isinstance(output, Tensor) and not inside_unit(output):
            raise TrainingError(
                f"loss={self.name!r} is Keras's, which takes probabilities, but the module gives values outside 0 to "
                "1; use loss='cross_entropy' (or 'bce_with_logits') for a module without a softmax (sigmoid)"
            )
        if self.takes == "any" and self.targets.form == "any" and self.reading.axis == 1 and isinstance(output, Tensor):
            logits = not inside_unit(output)
            self.reading = self.reading._replace(logits=logits, guessed=logits)
            warn_of_table(f"the loss {self.name}", output, target)
        self.targets.check(output, target)
