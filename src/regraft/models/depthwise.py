"""Depthwise convolutions whose gradients are cheap on a processor.

For the gradient of a 5 × 5 depthwise kernel, oneDNN has no fast routine: on 672 channels of 8 × 8 it takes ten times as
long as the convolution itself, and in bfloat16 seventy times. That of a kernel of three columns is fast, and the
gradient of a wide kernel consists of those of narrow ones. In bfloat16, the gradient of the input of a strided
depthwise convolution is slow too; single precision takes a fiftieth of the time. All results are the same sums, in
another order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

COLUMNS = 3
"""Maximum columns of a kernel whose gradient oneDNN computes fast."""

NARROW = 16
"""Maximum columns of the output of a strided convolution for which this pays in single precision."""


def is_depthwise(layer: nn.Conv2d) -> bool:
    """Return whether a convolution is depthwise, with one kernel for each channel, and plain otherwise."""
    one_each = layer.groups == layer.in_channels == layer.out_channels > 1
    return one_each and layer.dilation == (1, 1) and layer.padding_mode == "zeros"


def depthwise(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple[int, ...], padding: tuple[int, ...]
) -> Tensor:
    """Return a depthwise convolution, as torch computes it, with cheap gradients.

    Args:
        x: shape (B, C, H, W), on the CPU.
        weight: shape (C, 1, height, width), in the dtype of ``x``.
        bias: shape (C,), in the same dtype, or None.
        stride: vertical and horizontal, in pixels.
        padding: rows and columns of zeros on each side, in pixels.

    Returns:
        Shape (B, C, H', W').
    """
    result: Tensor = _Depthwise.apply(x, weight, bias, stride, padding)  # type: ignore[no-untyped-call]
    return result


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Sequence[int], padding: Sequence[int]
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return nn.functional.conv2d(x, weight, bias, stride, padding, 1, weight.shape[0])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        for_x, for_weight, for_bias = ctx.needs_input_grad[:3]
        dx = _input_gradient(g, x, weight, ctx.stride, ctx.padding) if for_x else None
        dw = None
        if for_weight:
            gradient = _split_kernel_gradient if _splits(g, weight, ctx.stride) else _kernel_gradient
            dw = gradient(g, x, weight, ctx.stride, ctx.padding)
        return dx, dw, g.sum((0, 2, 3)) if for_bias else None, None, None


def _splits(g: Tensor, weight: Tensor, stride: Sequence[int]) -> bool:
    """Return whether the gradient of a kernel is faster in parts: nearly always, with SSE4, AVX2 and AVX512."""
    if weight.shape[3] <= COLUMNS:
        return False
    return g.dtype == torch.bfloat16 or max(stride) == 1 or g.shape[3] <= NARROW


def _input_gradient(g: Tensor, x: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int]) -> Tensor:
    if g.dtype == torch.bfloat16 and max(stride) > 1:
        single = _gradients(g.float(), x.float(), weight.float(), stride, padding, (True, False, False))
        return single[0].to(x.dtype)
    return _gradients(g, x, weight, stride, padding, (True, False, False))[0]


def _kernel_gradient(g: Tensor, x: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int]) -> Tensor:
    return _gradients(g, x, weight, stride, padding, (False, True, False))[1]


def _split_kernel_gradient(
    g: Tensor, x: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int]
) -> Tensor:
    """Return the gradient of a wide kernel: that of `COLUMNS` columns at a time, on the columns of ``x`` they meet."""
    height, width = weight.shape[2:]
    rows, columns = padding
    low = g.shape[2] < height  # oneDNN has no fast routine that pads these rows
    reach = (g.shape[3] - 1) * stride[1] + COLUMNS
    gradient = torch.empty_like(weight)
    for first in [*range(0, width - COLUMNS, COLUMNS), width - COLUMNS]:
        left = columns - first
        sides = (left, reach - x.shape[3] - left, *((rows, rows) if low else ()))
        met = nn.functional.pad(x, sides)
        kernel = weight[..., first : first + COLUMNS]
        part = _kernel_gradient(g, met, kernel, stride, (0 if low else rows, 0))
        gradient[..., first : first + COLUMNS] = part
    return gradient


def _gradients(
    g: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    wanted: tuple[bool, bool, bool],
) -> tuple[Tensor, Tensor, Tensor]:
    gradients: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.convolution_backward(
        g, x, weight, None, stride, padding, (1, 1), False, (0, 0), weight.shape[0], wanted
    )
    return gradients
