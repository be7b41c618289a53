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
from regraft.process import cores


class OpenVinoEngine(GraphEngine):
    """Runs a frozen network with OpenVINO (https://docs.openvino.ai), in single precision or in bfloat16.

    In bfloat16 the operations that gain from it are computed in it, where the processor has it (AVX512-BF16 or AMX).
    """

    name: ClassVar[str] = "OpenVINO"
    precisions: ClassVar[tuple[Precision, ...]] = ("fp32", "bf16")

    def _version(self) -> str:
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("openvino")
        except PackageNotFoundError:
            raise MissingExtraError("features by OpenVINO", "openvino") from None

    def _compile(self, graph: bytes) -> Run:
        core = _core()
        streams = self.streams
        settings = {
            "INFERENCE_PRECISION_HINT": "bf16" if self.precision == "bf16" else "f32",
            "INFERENCE_NUM_THREADS": str(min(streams, cores())),
            "NUM_STREAMS": str(streams),
        }
        compiled = core.compile_model(core.read_model(graph), "CPU", settings)
        own = threading.local()  # a request serves one thread

        def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
            request: Any = getattr(own, "request", None)
            if request is None:
                request = own.request = compiled.create_infer_request()
            request.infer([pixels])
            return np.array(request.get_output_tensor(0).data, dtype=np.float32)

        return run


@cache
def _core() -> Any:
    """Return the one core of this process, which is never let go.

    Its processor plugin gives the thread that first uses it a stack for signals, large enough for AMX, and frees that
    with itself, on whatever thread that happens: a signal to the first thread, such as Ctrl-C, would then crash it.
    """
    import openvino

    return openvino.Core()
