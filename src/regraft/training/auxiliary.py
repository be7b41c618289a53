"""Modules with auxiliary outputs: several outputs in training, and only the main one in inference.

`torchvision.models.inception_v3` and ``googlenet`` are of this kind: a classifier in the middle of the network helps
the training of its lower half.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from regraft.training.modes import Say


def is_single(outputs: Any) -> bool:
    """Return whether a module gave one tensor, not a tuple or dict of several."""
    return not isinstance(outputs, (Mapping, tuple, list))


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
    """Finds out, at the first batch of training, whether the module has auxiliary outputs.

    It has if it gives several outputs in training, one in inference, and there is one target. The main output is then
    the first.

    Args:
        single_in_inference: returns whether the module gives one output for ``x`` in inference mode.
        hint: returns what the report says about the losses of auxiliary outputs.
        say: takes a label and a text for the screen.

    Attributes:
        found: whether there are auxiliary outputs; None: not known yet.
        names: the names of the outputs in training; of the main one alone, as long as they are not known.
    """

    def __init__(self, single_in_inference: Callable[[Any], bool], hint: Callable[[], str], say: Say) -> None:
        self._single_in_inference, self._hint, self._say = single_in_inference, hint, say
        self.found: bool | None = None
        self.names = ["output_0"]

    def look(self, x: Any, outputs: Any, targets: Any) -> None:
        """Look at the outputs of a batch of training."""
        if self.found is not None or not is_single(targets):
            return
        self.found = not is_single(outputs) and self._single_in_inference(x)
        if self.found:
            self.names = [name for name, _ in named_outputs(outputs)]
            count = len(outputs)
            self._say("outputs", f"{count} in training, 1 in inference: {self._hint()} the first is the main output")
