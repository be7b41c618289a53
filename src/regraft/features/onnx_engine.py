"""ONNX Runtime on the processor."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from regraft.features.frozen import Precision
from regraft.features.graph_engine import GraphEngine, Run
from regraft.features.graphs import INPUT, OUTPUT
from regraft.run.environment import version_of


class OnnxEngine(GraphEngine):
    """Runs a frozen network with ONNX Runtime (https://onnxruntime.ai), in single precision."""

    name: ClassVar[str] = "ONNX Runtime"
    precisions: ClassVar[tuple[Precision, ...]] = ("fp32",)

    def _version(self) -> str:
        return str(version_of("onnxruntime"))

    def _compile(self, graph: bytes) -> Run:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

        def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
            features: NDArray[np.float32] = session.run([OUTPUT], {INPUT: pixels})[0]
            return features

        return run
