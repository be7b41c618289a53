"""Engines that compile an exported graph of the network, from pixels to features; and the cache of these graphs.

`GraphEngine` is the common base, `OnnxEngine` runs ONNX Runtime. A graph is exported once per network, weights and
batch size, and kept in the cache folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import threading
import warnings
from abc import abstractmethod
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from regraft.data.preprocessing import Preprocessing
from regraft.data.threads import default_workers
from regraft.disk.atomic import atomic
from regraft.disk.sealed import SealError, seal
from regraft.features.engines.engine import PaddedEngine
from regraft.features.engines.engine_interface import ReadyNetwork
from regraft.features.engines.folding import folded
from regraft.features.engines.frozen_network import Precision
from regraft.features.engines.graph_files import INPUT, OUTPUT, Run, compile_onnx, graph_files, graph_place, read_graph
from regraft.features.engines.machine_facts import machine_id, read_fact, write_fact
from regraft.features.engines.operations import BATCH_SAFE, operation_names
from regraft.features.engines.processor import instruction_set, require_bf16
from regraft.features.engines.trial import TRIAL_PHOTOS, is_batch_invariant, synthetic_photos
from regraft.models.backbone import Backbone
from regraft.run.environment import package_version

BATCH_SIZE = 8
"""Photos per batch; their activations fit into the caches of a processor."""

BATCH_SIZE_VERSION = "only sums"
"""Version of the trial. Change it whenever recorded batch sizes may no longer be valid."""


class GraphEngine(PaddedEngine):
    """Base class of engines that run an exported graph of the frozen network on the CPU.

    Each batch is computed by one thread, with several batches at the same time: no thread waits for another, and their
    number changes no bit. Batches are padded to one shape, as by `regraft.features.engines.engine.EagerEngine`.

    Args:
        backbone: network to run, on any device.
        precision: ``"fp32"``, or ``"bf16"`` if engine and processor support it.
        batch_size: photos in the fixed shape; `BATCH_SIZE` if None, or 1 if a photo's place may matter.

    Raises:
        ConfigError: an argument is invalid, or the CPU does not support bfloat16.
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
        """Return a function that runs ``graph`` on one full batch; several threads may call it at the same time."""

    @property
    def title(self) -> str:
        """Name for people."""
        return f"{self.name} {self.precision}"

    @property
    def parallel_batches(self) -> int:
        """Number of batches that may run at the same time."""
        return default_workers()

    @property
    def versions(self) -> str:
        """Versions of the engine and of torch, which exports the graph."""
        return f"{self.name.lower().replace(' ', '-')}-{self.version}/torch-{torch.__version__}"

    @property
    def numerics(self) -> str:
        """Engine, versions, dtype, processor, and the fixed shape."""
        p = self.backbone.spec.preprocessing
        return f"{self.versions}/{self.precision}/cpu {instruction_set()}/{self.batch_size}x3x{p.height}x{p.width}"

    @property
    def graph_file(self) -> str:
        """Name of the file of its graph in the cache folder; the graph is exported if it is not there."""
        size = self._prepare().batch_size
        return _path(self.backbone, self.weights, size).name

    def _key(self) -> str:
        about = (self.versions, self.precision, self._requested_batch_size, machine_id())
        return " / ".join(
            map(str, (f"batch size, {BATCH_SIZE_VERSION}", self.weights, self.backbone.spec.preprocessing.id, *about))
        )

    def _recorded_batch_size(self) -> int | None:
        recorded = read_fact(self._key())
        return recorded if isinstance(recorded, int) and recorded > 0 else None

    def _prepare(self) -> ReadyNetwork:
        with self._lock:  # several threads may be the first
            if self._ready_network is None:
                self._ready_network = self._make(self._recorded_batch_size())
                write_fact(self._key(), self._ready_network.batch_size)
            return self._ready_network

    def _make(self, recorded: int | None) -> ReadyNetwork:
        p = self.backbone.spec.preprocessing
        size = recorded or self._requested_batch_size or BATCH_SIZE
        if recorded is None and size > 1 and not self._is_batch_safe():
            size = 1
        run = self._compile(exported_graph(self.backbone, self.weights, size))
        if size == 1 or recorded is not None or is_batch_invariant(run, synthetic_pixels(p.height, p.width), size):
            return ReadyNetwork(size, run)
        return ReadyNetwork(1, self._compile(exported_graph(self.backbone, self.weights, 1)))

    def _is_batch_safe(self) -> bool:
        """Return whether the network consists of sums and exactly rounded operations only.

        Another order of addition would change many results, which a trial detects. Engines do not document how they
        approximate other functions at the end of a batch.
        """
        p = self.backbone.spec.preprocessing
        x = synthetic_photos(1, p.height, p.width).to(next(self.backbone.network.parameters()).device)
        return operation_names(self.backbone.network, x) <= BATCH_SAFE


def synthetic_pixels(height: int, width: int, count: int = TRIAL_PHOTOS) -> NDArray[np.uint8]:
    """Return generated images, shape (count, height, width, 3), uint8."""
    values = synthetic_photos(count, height, width).permute(0, 2, 3, 1).mul(40).add(128).clamp(0, 255)
    pixels: NDArray[np.uint8] = values.to(torch.uint8).contiguous().numpy()
    return pixels


_GRAPH_VERSION = "1"  # change it whenever the same network gives another graph
_OPSET = 17
_MAX_GRAPH_BYTES = 2 * 10**9  # maximum size of the cache; least recently used graphs are deleted


def exported_graph(backbone: Backbone, weights_hash: str, batch_size: int) -> bytes:
    """Return a graph that maps pixels, (batch_size, H, W, 3), uint8, to features, (batch_size, D), float32.

    Raises:
        RuntimeError: the network cannot be exported. torch may also raise other errors.
    """
    path = _path(backbone, weights_hash, batch_size)
    try:
        graph = read_graph(path)
    except (OSError, SealError):  # missing or damaged: export it
        graph = _export(backbone, batch_size)
        _keep(path, graph)
    return graph


def has_graph(backbone: Backbone, weights_hash: str, batch_size: int) -> bool:
    """Return whether the graph was exported before."""
    return _path(backbone, weights_hash, batch_size).exists()


class _NetworkFromPixels(nn.Module):
    """Network with its normalization, so that the graph's input takes a quarter of the bytes."""

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, network: nn.Module, p: Preprocessing) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", 255 * torch.tensor(p.mean).view(1, 3, 1, 1))
        self.register_buffer("scale", 1 / (255 * torch.tensor(p.std).view(1, 3, 1, 1)))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the features of pixels: (b, H, W, 3), uint8 -> (b, D), float32."""
        x = (pixels.permute(0, 3, 1, 2).float() - self.mean) * self.scale
        features: torch.Tensor = self.network(x)
        return features


def _export(backbone: Backbone, batch_size: int) -> bytes:
    p = backbone.spec.preprocessing
    network = _NetworkFromPixels(folded(backbone.network, p.height, p.width), p).eval()
    pixels = torch.zeros(batch_size, p.height, p.width, 3, dtype=torch.uint8)
    out = io.BytesIO()
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # this exporter is deprecated, but needs no further package
        torch.onnx.export(
            network,
            (pixels,),
            out,  # type: ignore[arg-type]  # the older exporter takes a buffer
            dynamo=False,
            opset_version=_OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
        )
    return out.getvalue()


def _path(backbone: Backbone, weights_hash: str, batch_size: int) -> Path:
    p = backbone.spec.preprocessing
    parts = (
        _GRAPH_VERSION,
        torch.__version__,
        backbone.spec.name,
        weights_hash,
        str((p.height, p.width, p.mean, p.std)),
    )
    name = hashlib.sha256("\n".join((*parts, str(batch_size))).encode()).hexdigest()[:40]
    return graph_place(f"{name}.onnx")


def _keep(path: Path, graph: bytes) -> None:
    with contextlib.suppress(OSError):  # without the file, the next run exports again
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as temporary:
            temporary.write_bytes(graph)
            seal(temporary, "graph")
        total = 0
        for old in reversed(graph_files()):
            total += old.stat().st_size
            if total > _MAX_GRAPH_BYTES and old != path:
                old.unlink()


class OnnxEngine(GraphEngine):
    """Engine that runs a frozen network with ONNX Runtime (https://onnxruntime.ai) in single precision."""

    name: ClassVar[str] = "ONNX Runtime"
    precisions: ClassVar[tuple[Precision, ...]] = ("fp32",)

    def _version(self) -> str:
        return str(package_version("onnxruntime"))

    def _compile(self, graph: bytes) -> Run:
        return compile_onnx(graph)
