"""A forward pass that is only tried: it leaves no trace in running statistics and random generators."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from regraft.training.numerics import generator_states, restore_generators


@contextmanager
def undone(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Put buffers, such as running statistics, and random generators back at the end of the block."""
    put_back = _putting_back(module, device)
    try:
        yield
    finally:
        put_back()


@contextmanager
def undone_on_error(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Put buffers, such as running statistics, and random generators back if an exception ends the block."""
    put_back = _putting_back(module, device)
    try:
        yield
    except Exception:
        put_back()
        raise


def _putting_back(module: nn.Module, device: torch.device) -> Callable[[], None]:
    buffers = [(b, b.detach().clone()) for b in module.buffers() if not nn.parameter.is_lazy(b)]
    states = generator_states(device)

    def put_back() -> None:
        with torch.no_grad():
            for buffer, kept in buffers:
                if not torch.equal(buffer, kept):  # writing to one that a gradient graph holds would spoil the graph
                    buffer.copy_(kept)
        restore_generators(states, device)

    return put_back
