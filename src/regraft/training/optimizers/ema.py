"""The exponential moving average of the weights (Polyak averaging)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from regraft.errors import TrainingError
from regraft.training.counts import positive_count


class EMA:
    """The moving average of a module's trainable parameters.

    ``average = momentum * average + (1 - momentum) * weight`` after each update, as Keras's ``use_ema``: the first
    update sets the average to the weights, and at the end of ``fit`` the weights become the average.

    Example:
        >>> model = new_model(ema=0.99)
        >>> history = model.fit(x, y, epochs=1, verbose=0)
        >>> model.ema.momentum
        0.99

    Args:
        module: module whose parameters are averaged; its buffers are not.
        momentum: share of the old average, between 0 and 1.
        overwrite_frequency: number of updates after which the weights become the average; None: only at the end of
            ``fit``.

    Attributes:
        average: the average of each trainable parameter, in order; while ``shown``, the weights.
        shown: whether the module contains the average instead of its weights, for an evaluation.
        measured: whether the last validation of this epoch evaluated the average.

    Raises:
        TrainingError: ``momentum`` is out of range.
    """

    def __init__(self, module: nn.Module, momentum: float = 0.99, overwrite_frequency: int | None = None) -> None:
        if not 0 <= momentum <= 1:
            raise TrainingError(f"ema is {momentum}; expected a momentum between 0 and 1, such as 0.99")
        self.momentum = momentum
        self.overwrite_frequency = positive_count("ema_overwrite_frequency", overwrite_frequency)
        self._names: list[str] = []
        self._weights: list[nn.Parameter] = []
        self.average: list[Tensor] = []
        self.shown = self.measured = False
        self._updates = 0
        self._before: dict[int, Tensor] | None = None  # trained weights by id, if others may have been set since then
        self.follow({name: p for name, p in module.named_parameters() if p.requires_grad})

    def follow(self, trainable: Mapping[str, nn.Parameter]) -> None:
        """Set the parameters to average; the average of a new parameter begins at its weight.

        A parameter that is not in ``trainable``, because it was frozen, keeps its weight.
        """
        if [id(p) for p in trainable.values()] == [id(p) for p in self._weights]:
            return
        shown = self.shown
        self.show(False)
        averages = {id(p): average for p, average in zip(self._weights, self.average, strict=True)}
        self._names, self._weights = list(trainable), list(trainable.values())
        self.average = [averages[id(p)] if id(p) in averages else p.detach().clone() for p in self._weights]
        self.show(shown)

    @torch.no_grad()
    def update(self) -> None:
        """Update the average, after an update of the weights."""
        share = 1.0 if self._updates == 0 else 1.0 - self.momentum
        torch._foreach_lerp_(self.average, [w.detach() for w in self._weights], share)
        self._updates += 1
        self._before = None
        if self.overwrite_frequency and self._updates % self.overwrite_frequency == 0:
            self.overwrite()

    @torch.no_grad()
    def show(self, average: bool) -> None:
        """Put the average into the module and store its weights here; or, with False, restore the weights."""
        if average == self.shown:
            return
        for weight, other in zip(self._weights, self.average, strict=True):
            trained = weight.detach().clone()
            weight.copy_(other)
            other.copy_(trained)
        self.shown = average

    @contextmanager
    def showing(self, average: bool) -> Iterator[None]:
        """Put the average, or the weights, into the module until the end of the block."""
        before = self.shown
        self.show(average)
        try:
            yield
        finally:
            self.show(before)

    def begin_training(self) -> None:
        """Restore the weights to train on; if they were set since the last update, the average starts again."""
        self.show(False)
        if self._replaced():
            self._restart()

    def begin_epoch(self) -> None:
        """Restore the weights to train on."""
        self.show(False)
        self.measured = False

    def about_to_replace(self) -> None:
        """Record the trained weights before other weights are set, which `finish` must not overwrite."""
        if not self.shown and self._before is None:
            self._before = {id(w): w.detach().clone() for w in self._weights}

    def _replaced(self) -> bool:
        before = self._before or {}
        return any(id(w) in before and not torch.equal(before[id(w)], w) for w in self._weights)

    @torch.no_grad()
    def _restart(self) -> None:
        for weight, average in zip(self._weights, self.average, strict=True):
            average.copy_(weight)
        self._before = None

    @torch.no_grad()
    def overwrite(self) -> None:
        """Overwrite the weights with the average."""
        for weight, average in zip(self._weights, self.average, strict=True):
            weight.copy_(average)

    def finish(self) -> None:
        """Leave the average, or the weights that a callback set, in the module; the average starts from them."""
        if not self.shown and not self._replaced():
            self.overwrite()
        self._restart()
        self.shown = False

    def state_dict(self) -> dict[str, Any]:
        """Return the average by parameter name and the number of updates."""
        average: dict[str, Tensor] = dict(zip(self._names, self.average, strict=True))
        return {"average": average, "updates": self._updates, "shown": self.shown}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state that `state_dict` returned."""
        for name, weight, average in zip(self._names, self._weights, self.average, strict=True):
            average.copy_(state["average"].get(name, weight))  # the average of a parameter that was frozen
        self._updates, self.shown = int(state["updates"]), bool(state["shown"])
        self._before = None
