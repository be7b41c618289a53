"""`PreparedEngine`: a network whose graph an earlier process exported, run without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.data.threads import default_workers
from regraft.features.engines.engine_interface import ReadyNetwork
from regraft.features.engines.graph_files import Run, compile_onnx, graph_place, read_graph


@dataclass(frozen=True)
class PreparedGraph:
    """A graph in the cache folder, and what is known of the engine that ran it.

    Attributes:
        file: its name.
        title: name of the engine that runs it, such as ``"ONNX Runtime fp32"`` or ``"OpenVINO mixed"``.
        batch_size: photos in its fixed shape.
        weights: SHA-256 of the weights of the network.
        versions: versions of the packages that compute the features.
        numerics: everything that may change a bit of the features, except weights and photos.
    """

    file: str
    title: str
    batch_size: int
    weights: str
    versions: str
    numerics: str

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PreparedGraph:
        """Return the graph that `as_dict` described.

        Raises:
            TypeError: a field is missing, unknown, or has another type.
        """
        graph = cls(**values)
        texts = (graph.file, graph.title, graph.weights, graph.versions, graph.numerics)
        if not all(isinstance(text, str) for text in texts) or type(graph.batch_size) is not int:
            raise TypeError("a field of a prepared graph has another type")
        return graph


class PreparedEngine:
    """An engine that runs a prepared graph, with the bits of `regraft.features.engines.graph_engines.GraphEngine`.

    Args:
        graph: the graph.

    Raises:
        SealError: its file is damaged.
        OSError: its file is missing or cannot be read.
    """

    def __init__(self, graph: PreparedGraph) -> None:
        self._graph = graph
        self._network = ReadyNetwork(graph.batch_size, _compiled(graph.title, read_graph(graph_place(graph.file))))

    @property
    def batch_size(self) -> int:
        """Photos in every batch."""
        return self._graph.batch_size

    @property
    def parallel_batches(self) -> int:
        """Number of batches that may run at the same time, each on its own thread."""
        return default_workers()

    @property
    def verified(self) -> bool:
        """True: the graph has run on this machine."""
        return True

    @property
    def versions(self) -> str:
        """Versions of the packages that compute the features."""
        return self._graph.versions

    @property
    def title(self) -> str:
        """Name for people."""
        return self._graph.title

    @property
    def weights(self) -> str:
        """SHA-256 of the weights in use."""
        return self._graph.weights

    @property
    def numerics(self) -> str:
        """Text that changes with everything that may change a bit of the features, except weights and photos."""
        return self._graph.numerics

    def refresh(self) -> str:
        """Return the hash of the weights, which never change."""
        return self.weights

    def set_weights_hash(self, weights_hash: str) -> str:
        """Return the hash of the weights.

        Raises:
            ValueError: ``weights_hash`` is another one.
        """
        if weights_hash != self.weights:
            raise ValueError("the weights of a prepared graph never change")
        return self.weights

    def run(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the features of ``pixels``, (b, H, W, 3), uint8, with shape (b, D), float32."""
        return self._network.features(pixels)


def _compiled(title: str, graph: bytes) -> Run:
    """Return the function that runs a graph with the engine called ``title``."""
    name, _, precision = title.rpartition(" ")
    if name != "OpenVINO":
        return compile_onnx(graph)
    from regraft.features.engines.openvino_graph import compile_openvino

    return compile_openvino(graph, precision, default_workers())
