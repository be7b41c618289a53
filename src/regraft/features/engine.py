"""Engines run a frozen network on photos, fast, and so that a photo's features depend on nothing but the photo."""

from __future__ import annotations

from typing import Literal, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from regraft.data.preprocessing import normalise
from regraft.errors import ConfigError
from regraft.features.folding import folded
from regraft.models.backbone import Backbone

Precision: TypeAlias = Literal["fp32", "bf16"]

_BATCH_SIZES = {"cpu": 16}
_BATCH_SIZE_ELSEWHERE = 64


class Engine(Protocol):
    """Runs a frozen network on batches of photos."""

    batch_size: int

    @property
    def numerics(self) -> str:
        """Text that changes with everything that may change a bit of the features, weights and photos apart."""

    def refresh(self) -> str:
        """Take over weights that changed since the last batch, and return their hash."""

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the features of ``pixels``, shape (b, H, W, 3), as shape (b, D)."""


class EagerEngine:
    """Runs a frozen network with torch, operation by operation.

    Every batch is padded to one fixed shape, so that the same kernels do the same sums for a photo wherever it is in
    the batch, and whatever is beside it: its features are the same bits. The engine works on a copy of the network, in
    inference mode, channels-last, with `folded` normalisations; the backbone itself stays where and as it is.

    Args:
        backbone: what gives the features.
        device: where the arithmetic runs.
        precision: ``"fp32"``, or ``"bf16"`` for autocast to bfloat16.
        batch_size: photos in the fixed shape. By default 16 on the processor, where more gain nothing and a single
            photo costs as much as all of them, and 64 elsewhere.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        device: torch.device | str = "cpu",
        precision: Precision = "fp32",
        batch_size: int | None = None,
    ) -> None:
        if precision not in ("fp32", "bf16"):
            raise ConfigError(f"precision: expected 'fp32' or 'bf16', found {precision!r}")
        self.backbone = backbone
        self.device = torch.device(device)
        if batch_size is None:
            batch_size = _BATCH_SIZES.get(self.device.type, _BATCH_SIZE_ELSEWHERE)
        if batch_size < 1:
            raise ConfigError(f"batch size: expected a positive number, found {batch_size}")
        self.precision: Precision = precision
        self.batch_size = batch_size
        self._network: nn.Module | None = None
        self._hash = ""

    @property
    def numerics(self) -> str:
        """Engine, version of torch, dtype, processor, and the fixed shape; the number of threads is not part of it."""
        p = self.backbone.spec.preprocessing
        shape = f"{self.batch_size}x3x{p.height}x{p.width}"
        return f"eager-folded/torch-{torch.__version__}/{self.precision}/{_processor(self.device)}/{shape}"

    def refresh(self) -> str:
        """Take over weights that changed since the last batch, and return their hash."""
        found = self.backbone.weights_hash()
        if found != self._hash:
            self._network = None
        self._hash = found
        return found

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the features of some photos.

        Args:
            pixels: shape (b, H, W, 3), uint8, with b at most ``batch_size``.

        Returns:
            Shape (b, D), float32.

        Raises:
            ValueError: there are more photos than ``batch_size``.
        """
        count = len(pixels)
        if count > self.batch_size:
            raise ValueError(f"a batch holds at most {self.batch_size} photos, not {count}")
        if count < self.batch_size:
            padded = np.zeros((self.batch_size, *pixels.shape[1:]), dtype=np.uint8)
            padded[:count] = pixels
            pixels = padded
        features: NDArray[np.float32] = self._forward(normalise(pixels, self.backbone.spec.preprocessing)).numpy()
        return features[:count]

    def _forward(self, x: torch.Tensor) -> torch.Tensor:
        if self._network is None:
            self._network = self._copy()
        autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")
        with torch.inference_mode(), autocast:
            x = x.to(self.device, memory_format=torch.channels_last)
            features: torch.Tensor = self._network(x)
        return features.float().cpu()

    def _copy(self) -> nn.Module:
        p = self.backbone.spec.preprocessing
        return folded(self.backbone.network, p.height, p.width).to(self.device)


def _processor(device: torch.device) -> str:
    if device.type == "cuda":
        return f"cuda {torch.cuda.get_device_name(device)}"
    if device.type == "cpu":
        return f"cpu {torch.backends.cpu.get_cpu_capability()}"
    return device.type
