"""Networks with smaller weights: 8-bit integers for weights and activations, or weights in half precision.

Only the network is changed. The preprocessing before it, the heads and the softmax after it stay in single precision.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterable, Iterator
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
_PERCENTILE = 99.999  # of the activations; the largest ones would widen the steps of all others


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
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend([*casts, *nodes])
    return changed


def in_integers(model: onnx.ModelProto, photos: Iterable[NDArray[np.float32]]) -> onnx.ModelProto:
    """Return a network whose convolutions and matrix products compute with 8-bit integers.

    Static quantization of ONNX Runtime: one scale for each output channel of the weights, ranges of activations from
    ``photos``, in the format QDQ, which all runtimes read. The first layer and the heads stay in single precision.

    Args:
        model: the network with its heads, whose input is ``x``.
        photos: normalized pixels of photos that it was trained on, shape (1, 3, h, w) each.

    Raises:
        ConfigError: ONNX Runtime cannot quantize the network.
    """
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    nodes = [node.name for node in model.graph.node if node.op_type in ("Conv", "MatMul", "Gemm")]
    quantized = [name for name in nodes[1:] if "/heads" not in name]  # the first layer sees pixels, the head decides
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(), contextlib.ExitStack() as stdout:
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        stdout.enter_context(contextlib.redirect_stdout(io.StringIO()))  # the calibration prints its progress
        source, target = Path(folder) / "source.onnx", Path(folder) / "target.onnx"
        onnx.save(model, source)
        try:
            quantize_static(
                source,
                target,
                _Reader(iter(photos)),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_quantize=quantized,
                calibrate_method=CalibrationMethod.Percentile,
                extra_options={"CalibPercentile": _PERCENTILE},
            )
            return onnx.load(target)
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ConfigError(f"--int8: ONNX Runtime cannot quantize this network: {reason}") from error
        finally:
            logging.disable(logging.NOTSET)


class _Reader:
    """Photos in the form in which ONNX Runtime reads them."""

    def __init__(self, photos: Iterator[NDArray[np.float32]]) -> None:
        self._photos = photos

    def get_next(self) -> dict[str, Any] | None:
        """Return the input for the next photo; None at the end."""
        photo = next(self._photos, None)
        return None if photo is None else {_INPUT: photo}
