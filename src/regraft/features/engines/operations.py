"""Operations of torch, classified by how a photo's place in a batch can change the bits of their results.

A vectorized loop computes the last few numbers of a block of memory, or of a thread's share of it, one by one. This
changes a bit only if both ways round differently. Sums change if they are added in another order.

For elementwise operations, the memory layout tells whether the loop treats the numbers of every photo alike.
``cpu_kernel_vec`` (ATen/native/cpu/Loops.h) takes two vectors at a time and computes the remainder one by one.
``TensorIterator`` joins dimensions that are contiguous in memory to one run, and ``at::parallel_for`` gives each thread
an equal share of all numbers. Every run and every share has a remainder of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

_MOVES = """
    alias as_strided cat channel_shuffle chunk clone col2im constant_pad_nd contiguous copy detach detach_ dropout
    expand expand_as feature_dropout flatten flip gather im2col index index_select lift_fresh movedim narrow pad permute
    pixel_shuffle pixel_unshuffle ravel repeat repeat_interleave reshape reshape_as resolve_conj roll select slice split
    split_with_sizes squeeze stack swapaxes t tile to _to_copy transpose type_as unbind unflatten unfold unsafe_chunk
    unsafe_split unsqueeze view view_as _unsafe_view _reshape_alias zeros_like ones_like empty_like full_like
"""
_EXACT = """
    abs adaptive_max_pool2d add amax amin bitwise_not clamp clamp_max clamp_min div eq fill ge gt hardsigmoid hardswish
    hardtanh leaky_relu le logical_and logical_not lt masked_fill max max_pool1d max_pool2d max_pool2d_with_indices
    maximum min minimum mul multiply ne neg relu relu6 rsub sqrt square sub threshold where zero
"""
FAITHFUL = frozenset((_MOVES + _EXACT).split())
"""Operations that move numbers, or round each of them exactly as IEEE 754 defines: every implementation agrees."""

_APPROXIMATED_NAMES = """
    celu cos elu erf exp exp2 expm1 gelu log log10 log1p log2 log_sigmoid mish pow reciprocal rsqrt selu sigmoid silu
    sin softplus tan tanh
"""
APPROXIMATED = frozenset(_APPROXIMATED_NAMES.split())
"""Functions of one number that are approximated by one polynomial in vectors and by another one for single numbers."""

_SUMS_NAMES = """
    adaptive_avg_pool2d addmm avg_pool1d avg_pool2d baddbmm batch_norm bmm conv1d conv2d conv_transpose2d convolution
    _convolution _convolution_pointwise einsum group_norm instance_norm layer_norm linalg_vector_norm linear matmul
    mean mkldnn_convolution mm native_batch_norm native_group_norm native_layer_norm norm rms_norm
    scaled_dot_product_attention softmax _softmax std std_mean sum upsample_bicubic2d upsample_bilinear2d
    upsample_nearest2d var var_mean
"""
SUMS = frozenset(_SUMS_NAMES.split())
"""Sums over the numbers of one photo. The order of addition may depend on the place."""

_SCALED = frozenset(("add", "sub", "rsub"))
_OVER_ONE_AXIS = frozenset(("softmax", "_softmax"))

_BATCH_SAFE_NAMES = """
    adaptive_avg_pool2d add alias avg_pool2d batch_norm cat chunk clamp constant_pad_nd contiguous conv2d dropout
    flatten hardtanh linear max_pool2d mean mul pad permute relu relu6 reshape slice split split_with_sizes sqrt sub to
    transpose view
"""
BATCH_SAFE = frozenset(_BATCH_SAFE_NAMES.split())
"""Operations that every engine rounds alike, or adds up. A graph that consists of these only may run in batches."""


def operation_name(operation: Any) -> str:
    """Return the name of an operation without namespace, overload, and the underscore of in-place variants."""
    name: str = operation._schema.name
    return name.rpartition("::")[2].rstrip("_")


def is_exact(name: str, arguments: Sequence[Any], options: dict[str, Any]) -> bool:
    """Return whether an operation only moves numbers or rounds each of them exactly.

    A sum with a scaled operand may be rounded once or twice, so that it does not count.
    """
    factor = options.get("alpha", 1)
    if name in _SCALED and (factor not in (1, -1) or (name == "rsub" and len(arguments) > 2)):
        return False
    squares = name == "pow" and len(arguments) > 1 and isinstance(arguments[1], (int, float)) and arguments[1] == 2
    return name in FAITHFUL or squares


def is_sum(name: str, arguments: Sequence[Any], options: dict[str, Any]) -> bool:
    """Return whether an operation adds up numbers within each photo, and never across photos."""
    if name in _OVER_ONE_AXIS:
        x = arguments[0]
        axis = options.get("dim", arguments[1] if len(arguments) > 1 else 0)
        return bool(x.dim() > 1 and axis % x.dim() != 0)
    if name == "batch_norm":
        return len(arguments) > 5 and not arguments[5]
    return name in SUMS and name != "native_batch_norm"


def operation_names(network: torch.nn.Module, x: torch.Tensor) -> set[str]:
    """Return the names of the operations of ``network`` on a batch ``x`` in inference mode."""
    names = _Names()
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        with torch.inference_mode(), names:
            network(x)
    finally:
        for module, training in modes.items():
            module.training = training
    return names.found


class _Names(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Collects the names of operations."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: set[str] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and record its name; a batch normalization over photos is recorded under its own name."""
        name = operation_name(function)
        self.found.add("normalization over photos" if name == "batch_norm" and not is_sum(name, args, {}) else name)
        return function(*args, **(kwargs or {}))


_STEP_BYTES = 128
"""Two of the widest vectors. The size of narrower ones divides it."""

_GRAIN = 32_768  # TensorIterator uses one thread below this number of elements


@dataclass(frozen=True)
class ElementwiseLayout:
    """Memory layout of an elementwise operation on a batch.

    Attributes:
        photo: numbers per photo.
        run: length of the contiguous runs if shorter than the batch; None if the whole batch is contiguous.
        step: numbers that a loop takes at a time.
        outermost: whether each photo is contiguous, one after the other.
    """

    photo: int
    run: int | None
    step: int
    outermost: bool

    def is_position_independent(self, batch_size: int, threads: int) -> bool:
        """Return whether the remainders of vector loops are at the same numbers in every photo, or there are none."""
        total = self.photo * batch_size
        run = total if self.run is None else self.run
        share = -(-total // _threads(total, threads))
        if run % self.step == 0 and share % self.step == 0:
            return True
        whole_runs = self.run is not None and self.outermost and self.photo % run == 0
        return whole_runs and (share == total or share % self.photo == 0)


def elementwise_layout(output: torch.Tensor, source: torch.Tensor, batch_size: int) -> ElementwiseLayout | None:
    """Return the layout of an operation from ``source`` to ``output``, or None if its loop is unknown.

    Args:
        output: one number for each number of ``source``.
        source: may be the same tensor.
        batch_size: photos in the batch.
    """
    if output.shape != source.shape or output.numel() % batch_size or output.dtype != source.dtype:
        return None
    run = _contiguous_run((output, source))
    if run is None:
        return None
    photo = output.numel() // batch_size
    outermost = output.shape[0] % batch_size == 0 and all(_first_is_outermost(t) for t in (output, source))
    whole = run == output.numel()
    return ElementwiseLayout(photo, None if whole else run, _STEP_BYTES // output.element_size(), outermost)


def _contiguous_run(tensors: Sequence[torch.Tensor]) -> int | None:
    """Return the length of the contiguous runs in all ``tensors``; None if not even adjacent numbers are contiguous."""
    shape = tensors[0].shape
    axes = sorted((axis for axis, n in enumerate(shape) if n > 1), key=tensors[0].stride)
    run = 1
    for axis in axes:
        if any(t.stride(axis) != run for t in tensors):
            break
        run *= shape[axis]
    return None if axes and run == 1 else run


def _first_is_outermost(t: torch.Tensor) -> bool:
    return t.shape[0] == 1 or all(t.stride(0) >= t.stride(axis) for axis in range(1, t.dim()) if t.shape[axis] > 1)


def _threads(numbers: int, most: int) -> int:
    """Return the number of threads that share an elementwise operation."""
    return 1 if numbers < _GRAIN else max(1, min(most, -(-numbers // _GRAIN)))
