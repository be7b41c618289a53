"""An OpenVINO model in two parts, one after the other, so that each can have a precision of its own."""

from __future__ import annotations

from math import prod
from typing import Any

SPLIT = "split1"
"""Changes whenever the same graph may be split elsewhere."""


class NoSplitError(Exception):
    """There is no place in a model where a single tensor goes from what lies below to what lies above."""


def split(lower: Any, upper: Any, share: float) -> tuple[Any, Any]:
    """Return two parts of a model with one input and one output: the output of the first is the input of the second.

    The parts meet at the first place above ``share`` of all multiplications where a single tensor passes.

    Args:
        lower: the model.
        upper: the same model, read once more: both are changed.
        share: of the multiplications, in (0, 1).

    Raises:
        NoSplitError: there is no such place.
    """
    import openvino
    from openvino import opset13

    seam = _seam(lower, share)
    (output,) = (op for op in lower.get_ordered_ops() if op.get_friendly_name() == seam)
    below = openvino.Model([opset13.result(output.output(0))], lower.get_parameters(), "lower")
    (above,) = (op for op in upper.get_ordered_ops() if op.get_friendly_name() == seam)
    entrance = opset13.parameter(above.output(0).get_shape(), above.output(0).get_element_type())
    for consumer in above.output(0).get_target_inputs():
        consumer.replace_source_output(entrance.output(0))
    return below, openvino.Model(upper.get_results(), [entrance], "upper")


def _seam(model: Any, share: float) -> str:
    """Return the name of the operation whose result is all that passes from below to above."""
    order = [op for op in model.get_ordered_ops() if op.get_type_name() != "Constant"]
    place = {op.get_friendly_name(): i for i, op in enumerate(order)}
    moving = _moving(order)  # what depends on photos; the rest is there before one comes
    last = {
        name: max((place[c.get_node().get_friendly_name()] for c in _consumers(order[place[name]])), default=-1)
        for name in moving
    }
    work = [_multiplications(op) for op in order]
    total, done, alive = sum(work), 0, set[str]()
    for i, op in enumerate(order):
        done += work[i]
        name = op.get_friendly_name()
        if name in moving:
            alive.add(name)
        alive = {other for other in alive if last[other] > i}
        if done >= share * total and alive == {name} and op.get_output_size() == 1 and op.get_type_name() != "Result":
            return str(name)
    raise NoSplitError


def _moving(order: list[Any]) -> set[str]:
    found: set[str] = set()
    for op in order:
        sources = {source.get_node().get_friendly_name() for source in op.input_values()}
        if op.get_type_name() == "Parameter" or sources & found:
            found.add(op.get_friendly_name())
    return found


def _consumers(op: Any) -> list[Any]:
    return [consumer for output in op.outputs() for consumer in output.get_target_inputs()]


def _multiplications(op: Any) -> int:
    """Return the multiplications of a convolution or a product of matrices; others hardly count."""
    if op.get_type_name() not in ("Convolution", "GroupConvolution", "MatMul"):
        return 0
    out = tuple(op.output(0).get_shape())
    factors = [tuple(source.get_shape()) for source in op.input_values()]
    if op.get_type_name() == "MatMul":
        return int(prod(out) * factors[0][-1])
    return int(prod(factors[1]) * out[0] * prod(out[2:]))
