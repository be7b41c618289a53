"""Choice of the device."""

from __future__ import annotations

import torch

from regraft.errors import ConfigError


def pick_device(wanted: str | torch.device = "auto") -> torch.device:
    """Return the device called ``wanted``, such as ``"cpu"`` or ``"cuda:1"``.

    ``"auto"`` means the first available of CUDA, MPS and CPU.

    Raises:
        ConfigError: the device is not available.
    """
    there = ["cpu"]
    if torch.backends.mps.is_available():
        there.insert(0, "mps")
    if torch.cuda.is_available():
        there.insert(0, "cuda")
    if wanted == "auto":
        return torch.device(there[0])
    if str(wanted).partition(":")[0] not in there:
        raise ConfigError(f"device {wanted} is not available on this machine; found {', '.join(there)}")
    return torch.device(wanted)
