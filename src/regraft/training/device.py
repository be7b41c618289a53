"""Where a module runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


def device_of(module: nn.Module) -> torch.device:
    """Return the device of the module's first parameter or buffer."""
    first = next(iter([*module.parameters(), *module.buffers()]), None)
    return torch.device("cpu") if first is None else first.device


def chosen_device(given: str | torch.device | None, module: nn.Module) -> torch.device:
    """Return ``given`` as a device: None: where the module is; ``"auto"``: CUDA, Apple's MPS or the processor."""
    if given is None:
        return device_of(module)
    if given == "auto":
        mps = torch.backends.mps.is_available()
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if mps else "cpu")
    return torch.device(given)


@contextmanager
def reproducible(device: torch.device) -> Iterator[None]:
    """Within it, cuDNN takes only algorithms that give the same bits each time; elsewhere nothing is changed.

    By default it may add up the gradients of a convolution in any order: two equal trainings of a small ResNet on an
    H200 ended with other weights.
    """
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    if device.type == "cuda":
        cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before
