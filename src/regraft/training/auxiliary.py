"""Modules with auxiliary outputs: several outputs in training, and only the main one in inference.

`torchvision.models.inception_v3` and ``googlenet`` are of this kind: a classifier in the middle of the network helps
the training of its lower half.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from regraft.training.modes import Say


def is_single(outputs: Any) -> bool:
    """Return whether a module returned one tensor, not a tuple or dict of several."""
    return isinstance(outputs, Tensor) or not isinstance(outputs, (Mapping, tuple, list))


def named_outputs(outputs: Any) -> list[tuple[str, Any]]:
    """Return the outputs of a module with their names: a dict's keys, or ``output_0``, ``output_1`` ... of a tuple."""
    if isinstance(outputs, Mapping):
        return [(str(name), value) for name, value in outputs.items()]
    return [(f"output_{i}", value) for i, value in enumerate(outputs)]


def main_output(outputs: Any) -> Any:
    """Return the first of several outputs, which is the main one."""
    if is_single(outputs):
        return outputs
    return next(iter(outputs.values())) if isinstance(outputs, Mapping) else outputs[0]


class Auxiliary:
    """Detects, at the first batch, whether the module has auxiliary outputs.

    It has if it returns several outputs in training, one in inference, and there is one target. The main output is then
    the first.

    Args:
        outputs_in: returns outputs for ``x`` in train (True) or inference mode (False), without changing the module.
        by_output: losses or metrics are given by output, so that an evaluation has to know the names of outputs.
        hint: returns the part of the report that is about the losses of a number of outputs.
        say: prints a label and a text on the screen.

    Attributes:
        found: whether there are auxiliary outputs; None: unknown yet.
        names: the names of the outputs in training; of the main one alone, as long as they are not known.
    """

    def __init__(
        self, outputs_in: Callable[[Any, bool], Any], by_output: bool, hint: Callable[[int], str], say: Say
    ) -> None:
        self._outputs_in, self.by_output, self._hint, self._say = outputs_in, by_output, hint, say
        self.found: bool | None = None
        self.names = ["output_0"]

    def inspect(self, x: Any, outputs: Any, targets: Any, *, training: bool) -> None:
        """Inspect a batch on its device: the module's outputs for ``x``, in train mode or not."""
        if self.found is not None or not is_single(targets):
            return
        if training:
            self.found = not is_single(outputs) and is_single(self._outputs_in(x, False))
        elif is_single(outputs) and self.by_output:
            outputs = self._outputs_in(x, True)
            self.found = not is_single(outputs)
        if self.found:
            self.names = [name for name, _ in named_outputs(outputs)]
            count = len(self.names)
            self._say("outputs", f"{count} in training, 1 in inference; the first is the main one; {self._hint(count)}")
