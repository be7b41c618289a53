"""What engines that compile an exported graph have in common."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable
from typing import ClassVar, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from regraft.data.threads import default_workers
from regraft.features.facts import fact, keep_fact, machine
from regraft.features.frozen import Precision
from regraft.features.graphs import graph_of
from regraft.features.invented import invented_photos
from regraft.features.isa import arithmetic, require_bf16
from regraft.features.operations import ONLY_SUMS, operations_of
from regraft.features.padded import PaddedEngine, Ready
from regraft.features.trial import KINDS, place_does_not_matter
from regraft.models.backbone import Backbone

Run: TypeAlias = Callable[[NDArray[np.uint8]], NDArray[np.float32]]

BATCH_SIZE = 8
"""Photos in a batch: their activations fit into the caches of a processor."""

TRIAL = "only sums"
"""Changes whenever a batch size that was found before need not hold."""


class GraphEngine(PaddedEngine):
    """Runs an exported graph of the frozen network on the processor.

    Each batch is computed by one thread from start to end, several batches at once: no thread waits for another, and
    their number changes no bit. Batches are padded to one shape, as those of `regraft.features.engine.EagerEngine`.

    Args:
        backbone: what gives the features; on any device.
        precision: ``"fp32"``, or ``"bf16"`` where the engine and the processor have it.
        batch_size: photos in the fixed shape; `BATCH_SIZE` if None, or 1 where a photo's place may matter.

    Raises:
        ConfigError: an argument holds something that cannot be, or the processor does not compute in bfloat16.
        MissingExtraError: the engine's package is not installed.
    """

    name: ClassVar[str]
    precisions: ClassVar[tuple[Precision, ...]]

    def __init__(self, backbone: Backbone, *, precision: Precision = "fp32", batch_size: int | None = None) -> None:
        super().__init__(backbone, precision, self.precisions, batch_size)
        self._lock = threading.Lock()
        self.version = self._version()
        if precision != "fp32":
            require_bf16()

    @abstractmethod
    def _version(self) -> str:
        """Return the version of the engine's package."""

    @abstractmethod
    def _compile(self, graph: bytes) -> Run:
        """Return what runs ``graph`` on one full batch; several threads may call it at once."""

    @property
    def title(self) -> str:
        """What it is called for people."""
        return f"{self.name} {self.precision}"

    @property
    def streams(self) -> int:
        """Batches that may be run at once."""
        return default_workers()

    @property
    def versions(self) -> str:
        """Of the engine and of torch, which exports the graph."""
        return f"{self.name.lower().replace(' ', '-')}-{self.version}/torch-{torch.__version__}"

    @property
    def numerics(self) -> str:
        """Engine, versions, dtype, processor, and the fixed shape."""
        p = self.backbone.spec.preprocessing
        return f"{self.versions}/{self.precision}/cpu {arithmetic()}/{self.batch_size}x3x{p.height}x{p.width}"

    def _key(self) -> str:
        about = (self.versions, self.precision, self._wanted, machine())
        return " / ".join(map(str, (f"batch size, {TRIAL}", self.weights, self.backbone.spec.preprocessing.id, *about)))

    def _known(self) -> int | None:
        known = fact(self._key())
        return known if isinstance(known, int) and known > 0 else None

    def _ready(self) -> Ready:
        with self._lock:  # several threads may be the first
            if self._found is None:
                self._found = self._make(self._known())
                keep_fact(self._key(), self._found.batch_size)
            return self._found

    def _make(self, known: int | None) -> Ready:
        p = self.backbone.spec.preprocessing
        size = known or self._wanted or BATCH_SIZE
        if known is None and size > 1 and not self._only_sums():
            size = 1
        run = self._compile(graph_of(self.backbone, self.weights, size))
        if size == 1 or known is not None or place_does_not_matter(run, _invented(p.height, p.width), size):
            return Ready(size, run)
        return Ready(1, self._compile(graph_of(self.backbone, self.weights, 1)))

    def _only_sums(self) -> bool:
        """Return whether the network does nothing but sums, which another order of adding would change in many places.

        How an engine approximates functions at the end of a batch is not known.
        """
        p = self.backbone.spec.preprocessing
        x = invented_photos(1, p.height, p.width).to(next(self.backbone.network.parameters()).device)
        return operations_of(self.backbone.network, x) <= ONLY_SUMS


def _invented(height: int, width: int) -> NDArray[np.uint8]:
    values = invented_photos(KINDS, height, width).permute(0, 2, 3, 1).mul(40).add(128).clamp(0, 255)
    pixels: NDArray[np.uint8] = values.to(torch.uint8).contiguous().numpy()
    return pixels
