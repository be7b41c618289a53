"""Training inside a callback of a running training, which continues unchanged afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import torch

from regraft.training.modes import modes_kept

if TYPE_CHECKING:
    from regraft.training.trainer import Trainer


@contextmanager
def one_training(trainer: Trainer) -> Iterator[None]:
    """Train with gradients enabled; inside a running ``fit``, with a separate `LoopState`.

    Weights, optimizer and moving average are shared with the running ``fit``. Its position, figures, accumulated
    gradients and the modes of the submodules are restored at the end.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        if trainer.fitting:
            stack.enter_context(_nested(trainer))
        else:
            trainer.fitting = True
            stack.callback(setattr, trainer, "fitting", False)
        yield


@contextmanager
def _nested(trainer: Trainer) -> Iterator[None]:
    outer = trainer.loop_state
    gradients = [(p, p.grad) for p in trainer.module.parameters()]
    for parameter, _ in gradients:
        parameter.grad = None
    trainer.loop_state = outer.for_nested_training(trainer.new_meter())
    try:
        with modes_kept(trainer.module):
            yield
    finally:
        trainer.loop_state = outer
        for parameter, gradient in gradients:
            parameter.grad = gradient
