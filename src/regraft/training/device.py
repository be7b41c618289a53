"""Where a module runs."""

from __future__ import annotations

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
