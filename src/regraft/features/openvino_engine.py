"""OpenVINO on the processor."""

from __future__ import annotations

import threading
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from regraft.errors import MissingExtraError
from regraft.features.frozen import Precision
from regraft.features.graph_engine import GraphEngine, Run
from regraft.features.graph_split import SPLIT, split
from regraft.process import cores
from regraft.run.environment import version_of

LOWER = 0.4
"""Share of the multiplications that are done in single precision where the rest is done in bfloat16. The lowest layers
lose most by it: of the default network, those below the third block alone took the least cosine on 16 photos to 0.992,
and all above the fourth, which is this share, left it at 0.9996."""


class OpenVinoEngine(GraphEngine):
    """Runs a frozen network with OpenVINO (https://docs.openvino.ai), in single precision, in bfloat16, or mixed.

    In bfloat16 the operations that gain from it are computed in it, where the processor has it (AVX512-BF16 or AMX).
    Mixed is single precision in the lower part of the network (`LOWER`), and bfloat16 in the upper one.
    """

    name: ClassVar[str] = "OpenVINO"
    precisions: ClassVar[tuple[Precision, ...]] = ("fp32", "bf16", "mixed")

    def _version(self) -> str:
        found = version_of("openvino")
        if found is None:
            raise MissingExtraError("features by OpenVINO", "openvino")
        return found

    @property
    def versions(self) -> str:
        """Of OpenVINO and of torch, which exports the graph; and where a graph is split, if it is."""
        return f"{super().versions}/{SPLIT}-{LOWER}" if self.precision == "mixed" else super().versions

    def _compile(self, graph: bytes) -> Run:
        core = _core()
        if self.precision == "mixed":
            lower, upper = split(core.read_model(graph), core.read_model(graph), LOWER)
            parts = [self._compiled(lower, "f32"), self._compiled(upper, "bf16")]
        else:
            parts = [self._compiled(core.read_model(graph), "bf16" if self.precision == "bf16" else "f32")]
        own = threading.local()  # a request serves one thread

        def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
            requests: list[Any] | None = getattr(own, "requests", None)
            if requests is None:
                requests = own.requests = [part.create_infer_request() for part in parts]
            value: Any = pixels
            for request in requests:
                request.infer([value])
                value = request.get_output_tensor(0)
            return np.array(value.data, dtype=np.float32)

        return run

    def _compiled(self, model: Any, hint: str) -> Any:
        streams = self.streams
        settings = {
            "INFERENCE_PRECISION_HINT": hint,
            "INFERENCE_NUM_THREADS": str(min(streams, cores())),
            "NUM_STREAMS": str(streams),
            "ENABLE_CPU_PINNING": "NO",
        }
        return _core().compile_model(model, "CPU", settings)


@cache
def _core() -> Any:
    """Return the one core of this process, which is never let go.

    Its processor plugin gives the thread that first uses it a stack for signals, large enough for AMX, and frees that
    with itself, on whatever thread that happens: a signal to the first thread, such as Ctrl-C, would then crash it.
    """
    import openvino

    return openvino.Core()
