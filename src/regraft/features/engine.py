"""What engines have in common: batches of one fixed shape, and weights that may change between them.

Engines run a frozen network on photos, fast, and so that a photo's features depend on nothing but the photo.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from threading import Lock
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from regraft.data.preprocessing import Preprocessing, normalise
from regraft.data.threads import default_workers
from regraft.errors import ConfigError
from regraft.features.frozen_network import (
    NUMERICS_VERSION,
    FrozenNetwork,
    Precision,
    frozen_network,
    recorded_batch_size,
    runs_single_threaded,
)
from regraft.features.processor import ONE_THREAD, instruction_set, require_bf16
from regraft.models.backbone import Backbone


class ReadyNetwork(NamedTuple):
    """A network made ready.

    Attributes:
        batch_size: photos in every batch.
        run: the features of one full batch, (batch_size, H, W, 3) uint8 to (batch_size, D) float32.
    """

    batch_size: int
    run: Callable[[NDArray[np.uint8]], NDArray[np.float32]]


class PaddedEngine(ABC):
    """Pads every batch to one fixed shape, so that a photo's features do not depend on what is beside it.

    Args:
        backbone: what gives the features.
        precision: of the arithmetic.
        precisions: those that there are.
        batch_size: photos in the fixed shape; one that suits if None.

    Raises:
        ConfigError: an argument holds something that cannot be.
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
        """Return the batch size that an earlier trial on this machine ended with, or None."""

    @abstractmethod
    def _prepare(self) -> ReadyNetwork:
        """Return the network made ready, and keep it in ``_found``."""

    @property
    def batch_size(self) -> int:
        """Photos in every batch."""
        if self._ready_network is not None:
            return self._ready_network.batch_size
        known = self._recorded_batch_size()
        return self._prepare().batch_size if known is None else known

    @property
    def verified(self) -> bool:
        """Whether it has run this network on this machine, so that ``numerics`` is known at once."""
        return self._ready_network is not None or self._recorded_batch_size() is not None

    @property
    def weights(self) -> str:
        """Hash of the weights that it runs with."""
        return self._weights_hash or self.refresh()

    def set_weights_hash(self, weights_hash: str) -> str:
        """Take it that these are the weights, as `refresh` would find, and return their hash."""
        if weights_hash != self._weights_hash:
            self._weights_hash, self._ready_network = weights_hash, None
        return self._weights_hash

    def refresh(self) -> str:
        """Take over weights that changed since the last batch, and return their hash."""
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
        count, (size, run) = len(pixels), self._prepare()
        if count > size:
            raise ValueError(f"a batch holds at most {size} photos, not {count}")
        full = np.ascontiguousarray(pixels)
        if count < size:
            full = np.zeros((size, *pixels.shape[1:]), dtype=np.uint8)
            full[:count] = pixels
        return run(full)[:count]


class Engine(Protocol):
    """Runs a frozen network on batches of photos."""

    @property
    def batch_size(self) -> int:
        """Photos in every batch."""

    @property
    def parallel_batches(self) -> int:
        """Batches that may be run at once, each by another thread."""

    @property
    def verified(self) -> bool:
        """Whether it has run this network on this machine, so that ``numerics`` is known at once."""

    @property
    def versions(self) -> str:
        """Of all packages that it computes with."""

    @property
    def title(self) -> str:
        """What it is called for people, such as ``"eager fp32"``."""

    @property
    def weights(self) -> str:
        """Hash of the weights that it runs with."""

    @property
    def numerics(self) -> str:
        """Text that changes with everything that may change a bit of the features, weights and photos apart."""

    def refresh(self) -> str:
        """Take over weights that changed since the last batch, and return their hash."""

    def set_weights_hash(self, weights_hash: str) -> str:
        """Take it that these are the weights, as `refresh` would find, and return their hash."""

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the features of ``pixels``, shape (b, H, W, 3), as shape (b, D)."""


class EagerEngine(PaddedEngine):
    """Runs a frozen network with torch, operation by operation.

    Every batch is padded to one fixed shape, so that the same kernels do the same sums for a photo wherever it is in
    the batch, and whatever is beside it: its features are the same bits. The engine works on a copy of the network, in
    inference mode, channels-last, with folded normalisations; the backbone itself stays where and as it is.

    Args:
        backbone: what gives the features.
        device: where the arithmetic runs.
        precision: ``"fp32"``, or ``"bf16"`` for autocast to bfloat16.
        batch_size: photos in the fixed shape; by default one that suits the device and the network. Where a photo's
            place in a batch of that size may matter, photos are run one at a time.

    Raises:
        ConfigError: an argument holds something that cannot be, or the processor does not compute in bfloat16.
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
        """Of torch."""
        return f"torch-{torch.__version__}"

    @property
    def parallel_batches(self) -> int:
        """Batches that may be run at once; a large network's, and a graphics processor's, is shared by all threads."""
        return default_workers() if runs_single_threaded(self.backbone, self.device) else 1

    @property
    def title(self) -> str:
        """What it is called for people."""
        return f"eager {self.precision}"

    @property
    def numerics(self) -> str:
        """Engine, version of torch, dtype, processor, the fixed shape, and the threads that share a batch, if any do.

        Sums that are shared by more threads are added in another order.
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
    with ONE_THREAD if network.single_threaded else nullcontext():  # from the thread's first use of torch on
        features: NDArray[np.float32] = network(normalise(pixels, preprocessing)).numpy()
    return features


def _processor(device: torch.device) -> str:
    if device.type == "cuda":
        return f"cuda {torch.cuda.get_device_name(device)}"
    if device.type == "cpu":
        return f"cpu {instruction_set()}"
    return device.type
