"""What engines have in common: batches of one fixed shape, and weights that may change between them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from regraft.errors import ConfigError
from regraft.features.frozen import Precision
from regraft.models.backbone import Backbone


class Ready(NamedTuple):
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
        self._wanted, self._hash = batch_size, ""
        self._found: Ready | None = None

    @abstractmethod
    def _known(self) -> int | None:
        """Return the batch size that an earlier trial on this machine ended with, or None."""

    @abstractmethod
    def _ready(self) -> Ready:
        """Return the network made ready, and keep it in ``_found``."""

    @property
    def batch_size(self) -> int:
        """Photos in every batch."""
        if self._found is not None:
            return self._found.batch_size
        known = self._known()
        return self._ready().batch_size if known is None else known

    @property
    def tried(self) -> bool:
        """Whether it has run this network on this machine, so that ``numerics`` is known at once."""
        return self._found is not None or self._known() is not None

    @property
    def weights(self) -> str:
        """Hash of the weights that it runs with."""
        return self._hash or self.refresh()

    def know(self, weights_hash: str) -> str:
        """Take it that these are the weights, as `refresh` would find, and return their hash."""
        if weights_hash != self._hash:
            self._hash, self._found = weights_hash, None
        return self._hash

    def refresh(self) -> str:
        """Take over weights that changed since the last batch, and return their hash."""
        return self.know(self.backbone.weights_hash())

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the features of some photos.

        Args:
            pixels: shape (b, H, W, 3), uint8, with b at most ``batch_size``.

        Returns:
            Shape (b, D), float32.

        Raises:
            ValueError: there are more photos than ``batch_size``.
        """
        count, (size, run) = len(pixels), self._ready()
        if count > size:
            raise ValueError(f"a batch holds at most {size} photos, not {count}")
        full = np.ascontiguousarray(pixels)
        if count < size:
            full = np.zeros((size, *pixels.shape[1:]), dtype=np.uint8)
            full[:count] = pixels
        return run(full)[:count]
