"""Engines: they run a frozen network on batches of photos, with features that depend on the photo alone.

`PaddedEngine` is the common base: batches of one fixed shape, and weights that may change between batches.
`EagerEngine` runs torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray

from regraft.data.preprocessing import Preprocessing, normalise
from regraft.data.threads import default_workers
from regraft.errors import ConfigError
from regraft.features.engines.engine_interface import ReadyNetwork
from regraft.features.engines.frozen_network import (
    NUMERICS_VERSION,
    FrozenNetwork,
    Precision,
    frozen_network,
    recorded_batch_size,
    runs_single_threaded,
)
from regraft.features.engines.processor import ONE_THREAD, instruction_set, require_bf16
from regraft.models.backbone import Backbone


class PaddedEngine(ABC):
    """Base class of engines that pad every batch to one fixed shape.

    So a photo's features do not depend on the other photos in its batch.

    Args:
        backbone: network to run.
        precision: precision of the arithmetic.
        precisions: precisions that the engine supports.
        batch_size: photos in the fixed shape; chosen for the network if None.

    Raises:
        ConfigError: the precision is not supported, or the batch size is not positive.
    """

    def __init__(
        self, backbone: Backbone, precision: Precision, precisions: Sequence[Precision], batch_size: int | None
    ) -> None:
        if precision not in precisions:
            raise ConfigError(f"precision: expected {' or '.join(map(repr, precisions))}, found {precision!r}")
        if batch_size is not None and batch_size < 1:
            raise ConfigError(f"batch size: expected a positive number, found {batch_size}")
        self.backbone, self.precision = backbone, precision
        self._requested_batch_size, self._weights_hash = batch_size, ""
        self._ready_network: ReadyNetwork | None = None

    @abstractmethod
    def _recorded_batch_size(self) -> int | None:
        """Return the batch size that an earlier trial on this machine found, or None."""

    @abstractmethod
    def _prepare(self) -> ReadyNetwork:
        """Prepare the network, keep it in ``_ready_network``, and return it."""

    @property
    def batch_size(self) -> int:
        """Photos in every batch."""
        if self._ready_network is not None:
            return self._ready_network.batch_size
        recorded = self._recorded_batch_size()
        return self._prepare().batch_size if recorded is None else recorded

    @property
    def verified(self) -> bool:
        """True if the engine has run this network on this machine, so that ``numerics`` needs no trial."""
        return self._ready_network is not None or self._recorded_batch_size() is not None

    @property
    def weights(self) -> str:
        """SHA-256 of the weights in use."""
        return self._weights_hash or self.refresh()

    def set_weights_hash(self, weights_hash: str) -> str:
        """Set the hash of the current weights, if the caller computed it, instead of calling `refresh`; return it."""
        if weights_hash != self._weights_hash:
            self._weights_hash, self._ready_network = weights_hash, None
        return self._weights_hash

    def refresh(self) -> str:
        """Use weights that changed since the last batch, and return their hash."""
        return self.set_weights_hash(self.backbone.weights_hash())

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the features of some photos.

        Args:
            pixels: shape (b, H, W, 3), uint8, with b at most ``batch_size``.

        Returns:
            Shape (b, D), float32.

        Raises:
            ValueError: there are more photos than ``batch_size``.
        """
        return self._prepare().features(pixels)


class EagerEngine(PaddedEngine):
    """Engine that runs a frozen network with torch, operation by operation.

    Every batch is padded to one fixed shape. So the same kernels compute the same sums for a photo at any place in the
    batch and with any other photos: its features have the same bits. The engine works on a copy of the network, in
    inference mode, channels-last, with folded normalizations. The backbone itself is unchanged.

    Args:
        backbone: network to run.
        device: device of the computation.
        precision: ``"fp32"``, or ``"bf16"`` for autocast to bfloat16.
        batch_size: photos in the fixed shape; chosen for device and network if None. If a photo's place in a batch of
            this size may matter, photos run one at a time.

    Raises:
        ConfigError: an argument is invalid, or the CPU does not support bfloat16.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        device: torch.device | str = "cpu",
        precision: Precision = "fp32",
        batch_size: int | None = None,
    ) -> None:
        super().__init__(backbone, precision, ("fp32", "bf16"), batch_size)
        self.device = torch.device(device)
        if precision != "fp32" and self.device.type == "cpu":
            require_bf16()
        self._lock = Lock()

    @property
    def versions(self) -> str:
        """Version of torch."""
        return f"torch-{torch.__version__}"

    @property
    def parallel_batches(self) -> int:
        """Number of batches that may run at the same time; 1 if a batch uses all threads (large networks) or a GPU."""
        return default_workers() if runs_single_threaded(self.backbone, self.device) else 1

    @property
    def title(self) -> str:
        """Name for people."""
        return f"eager {self.precision}"

    @property
    def numerics(self) -> str:
        """Engine, torch version, dtype, processor, fixed shape, and the number of threads that share a batch, if any.

        Another number of threads adds in another order.
        """
        p = self.backbone.spec.preprocessing
        shape = f"{self.batch_size}x3x{p.height}x{p.width}"
        how = "alone" if runs_single_threaded(self.backbone, self.device) else "folded"
        if how == "folded" and self.device.type == "cpu":
            how = f"shared by {torch.get_num_threads()}"
        return f"{NUMERICS_VERSION}-{how}/{self.versions}/{self.precision}/{_processor(self.device)}/{shape}"

    def _recorded_batch_size(self) -> int | None:
        return recorded_batch_size(self.backbone, self.weights, self.device, self.precision, self._requested_batch_size)

    def _prepare(self) -> ReadyNetwork:
        with self._lock:  # several threads may be the first
            if self._ready_network is None:
                network = frozen_network(
                    self.backbone, self.weights, self.device, self.precision, self._requested_batch_size
                )
                self._ready_network = ReadyNetwork(
                    network.batch_size, partial(_run, network, self.backbone.spec.preprocessing)
                )
            return self._ready_network


def _run(network: FrozenNetwork, preprocessing: Preprocessing, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    with ONE_THREAD if network.single_threaded else nullcontext():  # also during this thread's first use of torch
        features: NDArray[np.float32] = network(normalise(pixels, preprocessing)).numpy()
    return features


def _processor(device: torch.device) -> str:
    if device.type == "cuda":
        return f"cuda {torch.cuda.get_device_name(device)}"
    if device.type == "cpu":
        return f"cpu {instruction_set()}"
    return device.type
