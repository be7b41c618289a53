"""Number formats of a step: full precision, or mixed with half precision."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch

from regraft.errors import TrainingError

PrecisionName = Literal["fp32", "bf16", "fp16"]


class Precision:
    """How a step computes.

    Args:
        name: ``"fp32"``; ``"bf16"``: torch's autocast, weights stay fp32; ``"fp16"``: on CUDA, with loss scaling.
        device: where the step runs.

    Raises:
        TrainingError: no such precision, or not on this device.
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
            return contextlib.nullcontext()
        return torch.autocast(self._device, dtype=self._dtype)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the loss scaling."""
        return dict(self.scaler.state_dict()) if self.scaler else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it back."""
        if self.scaler and state:
            self.scaler.load_state_dict(dict(state))
