"""Interface of engines, which run a frozen network on batches of one fixed shape. It needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from regraft.data.threads import map_in_order

Item = TypeVar("Item")
Result = TypeVar("Result")


class ReadyNetwork(NamedTuple):
    """Network that is ready to run.

    Attributes:
        batch_size: photos in every batch.
        run: maps one full batch, (batch_size, H, W, 3), uint8, to its features, (batch_size, D), float32.
    """

    batch_size: int
    run: Callable[[NDArray[np.uint8]], NDArray[np.float32]]

    def features(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the features of some photos, (b, H, W, 3), uint8, with b at most ``batch_size``: (b, D), float32.

        The batch is padded to the fixed shape.

        Raises:
            ValueError: there are more photos than ``batch_size``.
        """
        count = len(pixels)
        if count > self.batch_size:
            raise ValueError(f"a batch contains at most {self.batch_size} photos, not {count}")
        full = np.ascontiguousarray(pixels)
        if count < self.batch_size:
            full = np.zeros((self.batch_size, *pixels.shape[1:]), dtype=np.uint8)
            full[:count] = pixels
        return self.run(full)[:count]


class Engine(Protocol):
    """Interface of engines: run a frozen network on batches of photos."""

    @property
    def batch_size(self) -> int:
        """Photos in every batch."""

    @property
    def parallel_batches(self) -> int:
        """Number of batches that may run at the same time, each on its own thread."""

    @property
    def verified(self) -> bool:
        """True if the engine has run this network on this machine, so that ``numerics`` needs no trial."""

    @property
    def versions(self) -> str:
        """Versions of the packages that compute the features."""

    @property
    def title(self) -> str:
        """Name for people, such as ``"eager fp32"``."""

    @property
    def weights(self) -> str:
        """SHA-256 of the weights in use."""

    @property
    def numerics(self) -> str:
        """Text that changes with everything that may change a bit of the features, except weights and photos."""

    def refresh(self) -> str:
        """Use weights that changed since the last batch, and return their hash."""

    def set_weights_hash(self, weights_hash: str) -> str:
        """Set the hash of the current weights, if the caller computed it, instead of calling `refresh`; return it."""

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the features of ``pixels``, (b, H, W, 3), uint8, with shape (b, D), float32."""


def map_batches(engine: Engine, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Return an iterator of ``work(item)``, in order, with the engine's number of parallel batches."""
    parallel = engine.parallel_batches
    return map_in_order(work, items, workers=parallel if parallel > 1 else 0, ahead=parallel + 1)
