"""The numerics of a training: its device, its number formats, and the states of its random generators."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import nn

from regraft.errors import TrainingError


def device_of(module: nn.Module) -> torch.device:
    """Return the device of the module's first parameter or buffer."""
    first = next(iter([*module.parameters(), *module.buffers()]), None)
    return torch.device("cpu") if first is None else first.device


def resolve_device(given: str | torch.device | None, module: Any) -> torch.device:
    """Return ``given`` as a device: None is the module's device, ``"auto"`` CUDA, Apple's MPS or the processor."""
    if not isinstance(module, nn.Module):
        hint = f"an instance: {module.__name__}(...)" if isinstance(module, type) else "a torch.nn.Module"
        raise TrainingError(f"module is a {type(module).__name__}; expected {hint}")
    if given is None:
        return device_of(module)
    if given == "auto":
        mps = torch.backends.mps.is_available()
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if mps else "cpu")
    return torch.device(given)


@contextmanager
def reproducible(device: torch.device) -> Iterator[None]:
    """Restrict cuDNN to deterministic algorithms until the end of the block, if ``device`` is CUDA.

    By default cuDNN may add the gradients of a convolution in any order: two equal trainings of a small ResNet on an
    H200 ended with different weights.
    """
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    if device.type == "cuda":
        cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before


PrecisionName = Literal["fp32", "bf16", "fp16"]


_NO_AUTOCAST = contextlib.nullcontext()


class Precision:
    """The number format of a training step.

    Args:
        name: ``"fp32"``; ``"bf16"``: torch's autocast, with weights in fp32; ``"fp16"``: on CUDA, with loss scaling.
        device: device of the step.

    Raises:
        TrainingError: the precision is unknown, or the device does not support it.
    """

    def __init__(self, name: PrecisionName, device: torch.device) -> None:
        if name not in get_args(PrecisionName):
            raise TrainingError(f"precision is {name!r}; expected 'fp32', 'bf16' or 'fp16'")
        if name == "fp16" and device.type != "cuda":
            raise TrainingError(
                f"precision 'fp16' needs CUDA, and the module is on {device.type}; use 'bf16' or 'fp32'"
            )
        self.name = name
        self._device = device.type
        self._dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(name)
        self.scaler = torch.amp.GradScaler("cuda") if name == "fp16" else None

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Return the context for the forward pass and the loss."""
        if self._dtype is None:
            return _NO_AUTOCAST
        return torch.autocast(self._device, dtype=self._dtype)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the loss scaling."""
        return dict(self.scaler.state_dict()) if self.scaler else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the state of the loss scaling."""
        if self.scaler and state:
            self.scaler.load_state_dict(dict(state))


def generator_states(device: torch.device, own: Sequence[torch.Generator] = ()) -> dict[str, Any]:
    """Return the states of the global generators of torch, NumPy and Python, and of the generators in ``own``.

    Args:
        device: device of the training, whose generator is included.
        own: further generators, such as that of a ``DataLoader``.
    """
    version, words, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)  # noqa: NPY002 (users may draw from it)
    states: dict[str, Any] = {
        "cpu": torch.get_rng_state(),
        "python": (version, np.array(words, dtype=np.uint32), gauss),
        "numpy": (kind, np.array(keys), position, has_gauss, cached),
        "own": [generator.get_state() for generator in own],
    }
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    if device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def restore_generators(states: Mapping[str, Any], device: torch.device, own: Sequence[torch.Generator] = ()) -> None:
    """Restore the states that `generator_states` returned."""
    torch.set_rng_state(states["cpu"])
    version, words, gauss = states["python"]
    random.setstate((version, tuple(int(word) for word in words), gauss))
    np.random.set_state(states["numpy"])  # noqa: NPY002
    if "cuda" in states and device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
    if "mps" in states and device.type == "mps":
        torch.mps.set_rng_state(states["mps"])
    for generator, state in zip(own, states["own"], strict=False):
        generator.set_state(state)
