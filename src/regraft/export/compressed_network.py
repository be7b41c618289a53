"""Networks with smaller weights: 8-bit integers for weights and activations, or weights in half precision.

Only the network is changed. The preprocessing before it, the heads and the softmax after it stay in single precision.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import onnx
import onnx.numpy_helper
from numpy.typing import NDArray

from regraft.errors import ConfigError

Precision: TypeAlias = Literal["fp32", "int8", "fp16"]
"""Precision of the weights in an exported file."""

_LARGE = 256  # numbers in a tensor of weights that is worth storing in half precision
_INPUT = "x"
_PRODUCTS = ("Conv", "MatMul", "Gemm")
_HEADS = "/heads"


def in_half_precision(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a network whose weights are stored in half precision; a runtime computes in single precision.

    Each tensor of weights is followed by a cast, which runtimes compute once, when they load the file.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    casts = []
    for tensor in graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < _LARGE:
            continue
        name = tensor.name
        limit = float(np.finfo(np.float16).max)
        stored = onnx.numpy_helper.from_array(np.clip(values, -limit, limit).astype(np.float16), f"{name}_half")
        tensor.CopyFrom(stored)
        casts.append(onnx.helper.make_node("Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT))
    _put_first(graph, casts)
    return changed


def in_integer_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a network whose weights are stored as 8-bit integers; a runtime computes in single precision.

    Each output channel has a scale of its own. The heads stay as they are. Runtimes compute the weights once, when they
    load the file.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    axes = {
        node.input[1]: 1 if node.op_type == "MatMul" or _attribute(node, "transB") == 0 else 0
        for node in changed.graph.node
        if node.op_type in _PRODUCTS and len(node.input) > 1 and _HEADS not in node.name
    }
    nodes, scales = [], []
    for tensor in changed.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if tensor.name not in axes or values.dtype != np.float32 or values.size < _LARGE:
            continue
        name, others = tensor.name, tuple(axis for axis in range(values.ndim) if axis != axes[tensor.name])
        scale = np.maximum(np.abs(values).max(axis=others, keepdims=True) / 127, 1e-30).astype(np.float32)
        integers = np.clip(np.round(values / scale), -127, 127).astype(np.int8)
        tensor.CopyFrom(onnx.numpy_helper.from_array(integers, f"{name}_int8"))
        scales.append(onnx.numpy_helper.from_array(scale, f"{name}_scale"))
        nodes += [
            onnx.helper.make_node("Cast", [f"{name}_int8"], [f"{name}_cast"], to=onnx.TensorProto.FLOAT),
            onnx.helper.make_node("Mul", [f"{name}_cast", f"{name}_scale"], [name]),
        ]
    changed.graph.initializer.extend(scales)
    _put_first(changed.graph, nodes)
    return changed


def in_integers(model: onnx.ModelProto, photos: Sequence[NDArray[np.float32]]) -> onnx.ModelProto:
    """Return a network whose convolutions and matrix products compute with 8-bit integers.

    Static quantization of ONNX Runtime: one scale for each output channel of the weights, ranges of activations from
    ``photos``, in the format QDQ, which all runtimes read. The first layer and the heads stay in single precision. The
    bias of each head makes up for the mean change of its logits (Nagel et al. 2019, https://arxiv.org/abs/1906.04721,
    section 4.2, for the last layer).

    Args:
        model: the network with its heads, whose input is ``x``.
        photos: normalized pixels of photos that it was trained on, shape (1, 3, h, w) each.

    Raises:
        ConfigError: ONNX Runtime cannot quantize the network.
    """
    try:
        quantized = _quantized(model, photos)
        usual, integers = (_mean_outputs(one, photos) for one in (model, quantized))
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"--int8: ONNX Runtime cannot quantize this network: {reason}") from error
    biases = {output.name: node.input[2] for node in quantized.graph.node for output in quantized.graph.output
              if output.name in node.output and node.op_type == "Gemm" and len(node.input) > 2}  # fmt: skip
    stored = {tensor.name: tensor for tensor in quantized.graph.initializer}
    for output, bias in biases.items():
        values = onnx.numpy_helper.to_array(stored[bias]) + usual[output] - integers[output]
        stored[bias].CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float32), bias))
    return quantized


def _quantized(model: onnx.ModelProto, photos: Sequence[NDArray[np.float32]]) -> onnx.ModelProto:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    nodes = [node.name for node in model.graph.node if node.op_type in _PRODUCTS]
    chosen = [name for name in nodes[1:] if _HEADS not in name]  # the first layer sees pixels, the head decides
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            source, target = Path(folder) / "source.onnx", Path(folder) / "target.onnx"
            onnx.save(model, source)
            with contextlib.redirect_stdout(io.StringIO()):
                quantize_static(
                    source,
                    target,
                    _Reader(iter(photos)),
                    quant_format=QuantFormat.QDQ,
                    per_channel=True,
                    activation_type=QuantType.QUInt8,
                    weight_type=QuantType.QInt8,
                    nodes_to_quantize=chosen,
                    extra_options={"CalibMovingAverage": True},  # single large activations widen no step
                )
            return onnx.load(target)
        finally:
            logging.disable(logging.NOTSET)


def _mean_outputs(model: onnx.ModelProto, photos: Sequence[NDArray[np.float32]]) -> dict[str, NDArray[np.float64]]:
    """Return the mean of each output over photos, shape (C,), by its name."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in model.graph.output]
    outputs = [session.run(names, {_INPUT: photo}) for photo in photos]
    return {
        name: np.mean([one[position][0] for one in outputs], axis=0, dtype=np.float64)
        for position, name in enumerate(names)
    }


def _attribute(node: onnx.NodeProto, name: str) -> int | None:
    """Return an attribute of a matrix product, 0 if it has its default; None for another operation."""
    if node.op_type != "Gemm":
        return None
    return next((int(one.i) for one in node.attribute if one.name == name), 0)


def _put_first(graph: onnx.GraphProto, nodes: Sequence[onnx.NodeProto]) -> None:
    """Put ``nodes`` before all others of ``graph``."""
    others = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *others])


class _Reader:
    """Photos in the form in which ONNX Runtime reads them."""

    def __init__(self, photos: Iterator[NDArray[np.float32]]) -> None:
        self._photos = photos

    def get_next(self) -> dict[str, Any] | None:
        """Return the input for the next photo; None at the end."""
        photo = next(self._photos, None)
        return None if photo is None else {_INPUT: photo}
