"""Training inside a hook of a training that is running, which then finds everything as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import torch

from regraft.training.modes import modes_kept

if TYPE_CHECKING:
    from regraft.training.setup import Setup

PLACE = (
    "epoch", "initial_epoch", "position", "going_on", "feed", "step", "logs", "history", "batch", "meter",
    "stop_reason", "_stop", "_over", "_begun_with", "_initial_epoch", "_callbacks", "_pending",
)  # fmt: skip
"""Attributes of a `TrainingState` that belong to one ``fit``."""


@contextmanager
def one_training(trainer: Setup) -> Iterator[None]:
    """Train with gradients on; inside a running ``fit``, on a place of its own.

    The weights, the optimizer and the moving average are those of the trainer: only the place in the epoch, its
    figures, gradients that wait for their update, and the modes of the submodules are kept apart.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        if trainer.fitting:
            stack.enter_context(_apart(trainer))
        else:
            trainer.fitting = True
            stack.callback(setattr, trainer, "fitting", False)
        yield


@contextmanager
def _apart(trainer: Setup) -> Iterator[None]:
    place = {name: getattr(trainer, name) for name in PLACE}
    gradients = [(p, p.grad) for p in trainer.module.parameters()]
    for parameter, _ in gradients:
        parameter.grad = None
    trainer.meter = trainer.new_meter()
    try:
        with modes_kept(trainer.module):
            yield
    finally:
        for name, value in place.items():
            setattr(trainer, name, value)
        for parameter, gradient in gradients:
            parameter.grad = gradient
