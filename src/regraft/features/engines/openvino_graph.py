"""Graphs run by OpenVINO, and the split of a model into two parts with a precision each. It needs no torch."""

from __future__ import annotations

import threading
from functools import cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.features.engines.graph_files import Run
from regraft.process import cores

FP32_SHARE = 0.4
"""Share of the multiplications in single precision if the rest is in bfloat16. The lowest layers lose most accuracy: in
the default network, the layers below the third block alone lowered the minimum cosine on 16 photos to 0.992. All
layers above the fourth block, as given by this share, kept it at 0.9996.
"""


def compile_openvino(graph: bytes, precision: str, streams: int) -> Run:
    """Return a function that runs ``graph`` with OpenVINO; several threads may call it at the same time.

    Args:
        graph: the graph.
        precision: ``"fp32"``, ``"bf16"`` or ``"mixed"``.
        streams: number of batches at the same time.
    """
    core = _shared_core()
    if precision == "mixed":
        lower, upper = split_model(core.read_model(graph), core.read_model(graph), FP32_SHARE)
        parts = [_compiled(lower, "f32", streams), _compiled(upper, "bf16", streams)]
    else:
        parts = [_compiled(core.read_model(graph), "bf16" if precision == "bf16" else "f32", streams)]
    local = threading.local()  # each thread needs requests of its own

    def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        requests: list[Any] | None = getattr(local, "requests", None)
        if requests is None:
            requests = local.requests = [part.create_infer_request() for part in parts]
        value: Any = pixels
        for request in requests:
            request.infer([value])
            value = request.get_output_tensor(0)
        return np.array(value.data, dtype=np.float32)

    return run


def _compiled(model: Any, hint: str, streams: int) -> Any:
    settings = {
        "INFERENCE_PRECISION_HINT": hint,
        "INFERENCE_NUM_THREADS": str(min(streams, cores())),
        "NUM_STREAMS": str(streams),
        "ENABLE_CPU_PINNING": "NO",
    }
    return _shared_core().compile_model(model, "CPU", settings)


@cache
def _shared_core() -> Any:
    """Return the one OpenVINO core of this process, which is never freed.

    Its CPU plugin gives the first thread that uses it a signal stack large enough for AMX, and frees the stack with the
    plugin, on any thread. A later signal to that first thread, such as Ctrl-C, would then crash the process.
    """
    import openvino

    return openvino.Core()


SPLIT_VERSION = "split1"
"""Version of the split. Change it whenever the same graph may be split elsewhere."""


class NoSplitError(Exception):
    """No single tensor passes from the lower to the upper part anywhere in a model."""


def split_model(lower: Any, upper: Any, share: float) -> tuple[Any, Any]:
    """Split a model with one input and one output in two: the output of the first part is the input of the second.

    The boundary is the first place above ``share`` of all multiplications where a single tensor passes.

    Args:
        lower: the model.
        upper: the same model, read again, because both are modified.
        share: share of the multiplications, in (0, 1).

    Raises:
        NoSplitError: there is no such place.
    """
    import openvino
    from openvino import opset13

    seam = _split_point(lower, share)
    (output,) = (op for op in lower.get_ordered_ops() if op.get_friendly_name() == seam)
    below = openvino.Model([opset13.result(output.output(0))], lower.get_parameters(), "lower")
    (above,) = (op for op in upper.get_ordered_ops() if op.get_friendly_name() == seam)
    entrance = opset13.parameter(above.output(0).get_shape(), above.output(0).get_element_type())
    for consumer in above.output(0).get_target_inputs():
        consumer.replace_source_output(entrance.output(0))
    return below, openvino.Model(upper.get_results(), [entrance], "upper")


def _split_point(model: Any, share: float) -> str:
    """Return the name of the operation whose result alone passes from the lower to the upper part."""
    order = [op for op in model.get_ordered_ops() if op.get_type_name() != "Constant"]
    place = {op.get_friendly_name(): i for i, op in enumerate(order)}
    dependent = _photo_dependent(order)  # all other results are constant
    last = {
        name: max((place[c.get_node().get_friendly_name()] for c in _consumers(order[place[name]])), default=-1)
        for name in dependent
    }
    work = [_multiplications(op) for op in order]
    total, done, alive = sum(work), 0, set[str]()
    for i, op in enumerate(order):
        done += work[i]
        name = op.get_friendly_name()
        if name in dependent:
            alive.add(name)
        alive = {other for other in alive if last[other] > i}
        if done >= share * total and alive == {name} and op.get_output_size() == 1 and op.get_type_name() != "Result":
            return str(name)
    raise NoSplitError(f"no single tensor passes above {share} of the multiplications")


def _photo_dependent(order: list[Any]) -> set[str]:
    names: set[str] = set()
    for op in order:
        sources = {source.get_node().get_friendly_name() for source in op.input_values()}
        if op.get_type_name() == "Parameter" or sources & names:
            names.add(op.get_friendly_name())
    return names


def _consumers(op: Any) -> list[Any]:
    return [consumer for output in op.outputs() for consumer in output.get_target_inputs()]


def _multiplications(op: Any) -> int:
    """Return the number of multiplications of a convolution or matrix product; 0 for all other operations."""
    if op.get_type_name() not in ("Convolution", "GroupConvolution", "MatMul"):
        return 0
    out = tuple(op.output(0).get_shape())
    factors = [tuple(source.get_shape()) for source in op.input_values()]
    if op.get_type_name() == "MatMul":
        return int(prod(out) * factors[0][-1])
    return int(prod(factors[1]) * out[0] * prod(out[2:]))
