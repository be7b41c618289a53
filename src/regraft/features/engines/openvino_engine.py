"""OpenVINO engine on the CPU."""

from __future__ import annotations

from typing import ClassVar

from regraft.errors import MissingExtraError
from regraft.features.engines.frozen_network import Precision
from regraft.features.engines.graph_engines import GraphEngine
from regraft.features.engines.graph_files import Run
from regraft.features.engines.openvino_graph import FP32_SHARE, SPLIT_VERSION, compile_openvino
from regraft.run.environment import package_version


class OpenVinoEngine(GraphEngine):
    """Engine that runs a frozen network with OpenVINO (https://docs.openvino.ai).

    Precisions: single, bfloat16 or mixed. In bfloat16, OpenVINO uses it for the operations that gain from it, if the
    processor supports it (AVX512-BF16 or AMX). Mixed means single precision in the lower part of the network
    (`FP32_SHARE`) and bfloat16 in the upper part.
    """

    name: ClassVar[str] = "OpenVINO"
    precisions: ClassVar[tuple[Precision, ...]] = ("fp32", "bf16", "mixed")

    def _version(self) -> str:
        version = package_version("openvino")
        if version is None:
            raise MissingExtraError("features by OpenVINO", "openvino")
        return version

    @property
    def versions(self) -> str:
        """Versions of OpenVINO and of torch, which exports the graph; and the split point in mixed precision."""
        return f"{super().versions}/{SPLIT_VERSION}-{FP32_SHARE}" if self.precision == "mixed" else super().versions

    def _compile(self, graph: bytes) -> Run:
        return compile_openvino(graph, self.precision, self.parallel_batches)
