"""An attempt at a forward pass that leaves nothing behind where it fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from regraft.training.generators import generator_states, restore_generators


@contextmanager
def undone_on_error(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Put buffers, such as running statistics, and random generators back if an exception ends the block."""
    buffers = [(b, b.detach().clone()) for b in module.buffers() if not nn.parameter.is_lazy(b)]
    states = generator_states(device)
    try:
        yield
    except Exception:
        with torch.no_grad():
            for buffer, kept in buffers:
                buffer.copy_(kept)
        restore_generators(states, device)
        raise
