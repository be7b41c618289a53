"""A torch optimizer with the face of a Keras one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch


class OptimizerView:
    """A torch optimizer whose learning rate can be read and set as a Keras optimizer's.

    With several parameter groups ``learning_rate`` is that of the *leading* group: the one with the largest rate when
    the view was made (in layer-wise decaying rates, the topmost). Setting it multiplies the rates of all groups by the
    same factor, so that they keep their ratio.

    Args:
        optimizer: the torch optimizer; whatever is not found here is looked up there.

    Attributes:
        torch: the torch optimizer itself.
        iterations: number of updates of the weights so far.
    """

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.torch = optimizer
        self.iterations = 0
        self._base = [float(group["lr"]) for group in optimizer.param_groups]
        self._leading = max(range(len(self._base)), key=self._base.__getitem__)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The torch optimizer's parameter groups."""
        return self.torch.param_groups

    @property
    def learning_rate(self) -> float:
        """The leading group's learning rate."""
        return float(self.param_groups[self._leading]["lr"])

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        new, old = float(value), self.learning_rate
        for i, group in enumerate(self.param_groups):
            if i == self._leading:
                rate = new
            elif old > 0:
                rate = float(group["lr"]) * (new / old)
            else:
                base = self._base[self._leading]
                rate = new * (self._base[i] / base if base > 0 and i < len(self._base) else 1.0)
            _set(group, rate)

    @property
    def lr(self) -> float:
        """The older name of `learning_rate`."""
        return self.learning_rate

    @lr.setter
    def lr(self, value: Any) -> None:
        self.learning_rate = value

    def state_dict(self) -> dict[str, Any]:
        """Return the torch optimizer's state and the number of updates."""
        return {"torch": self.torch.state_dict(), "iterations": self.iterations}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` returned."""
        self.torch.load_state_dict(dict(state["torch"]))
        self.iterations = int(state["iterations"])

    def __getattr__(self, name: str) -> Any:
        if name == "torch":
            raise AttributeError(name)
        return getattr(self.torch, name)


def _set(group: dict[str, Any], rate: float) -> None:
    if isinstance(group["lr"], torch.Tensor):
        group["lr"].fill_(rate)
    else:
        group["lr"] = rate
