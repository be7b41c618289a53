"""Fusing: a convolution and the activation after it as one oneDNN operation on the CPU.

As a separate operation, the activation reads and writes everything that the convolution has just written. In the lower
layers, whose tensors exceed the caches, and in bfloat16, this took up to half of the time. In eager mode torch does not
join the two. Its compiler does, with the operator that is called here, but compiling takes far longer than running a
folder of photos.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch import nn

_FusedActivation: TypeAlias = tuple[str, list[float], str]  # the operator's name, scalars and algorithm

_PLAIN: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.SiLU: "swish",
    nn.Sigmoid: "sigmoid",
    nn.Tanh: "tanh",
    nn.Hardswish: "hardswish",
    nn.Hardsigmoid: "hardsigmoid",
}

_BATCH = 8  # batch size of small networks


def is_activation(module: nn.Module | None) -> bool:
    """Return whether ``module`` is an activation that a convolution can compute."""
    return module is not None and _fused_activation(module) is not None


def fusible(convolution: nn.Module, activation: nn.Module) -> bool:
    """Return whether the two modules can become one operation on this machine."""
    return (
        type(convolution) is nn.Conv2d
        and convolution.padding_mode == "zeros"
        and not isinstance(convolution.padding, str)
        and _fused_activation(activation) is not None
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
    )


def worth_fusing(convolution: nn.Module, output: torch.Tensor) -> bool:
    """Return whether the activation reads and writes enough for the fused operator to be faster.

    The operator reorders all weights for each batch; with large weights this is slower than separate operations.

    Args:
        convolution: the module that computed ``output``.
        output: shape (b, C, H, W).
    """
    weights = sum(p.numel() for p in convolution.parameters())
    return weights <= _BATCH * output[0].numel()


class FusedConvolution(nn.Module):
    """Convolution with the activation after it, on the CPU, for inference.

    Args:
        convolution: must be `fusible` with ``activation``; its weights are shared, not copied.
        activation: the activation after it.
    """

    def __init__(self, convolution: nn.Conv2d, activation: nn.Module) -> None:
        super().__init__()
        joined = _fused_activation(activation)
        assert joined is not None
        self.weight, self.bias = convolution.weight, convolution.bias
        self._shape = (convolution.padding, convolution.stride, convolution.dilation, convolution.groups)
        self._joined = joined

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the activation of the convolution of ``x``: (b, C, H, W) -> (b, C', H', W').

        Autocast does not cover this operator, so that the casts are made here.
        """
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else self.weight.dtype
        bias = None if self.bias is None else self.bias.to(dtype)
        operator: Any = torch.ops.mkldnn._convolution_pointwise
        y: torch.Tensor = operator(x.to(dtype), self.weight.to(dtype), bias, *self._shape, *self._joined)
        return y


def _fused_activation(activation: nn.Module) -> _FusedActivation | None:
    kind = type(activation)
    if kind in _PLAIN:
        return _PLAIN[kind], [], ""
    if isinstance(activation, nn.Hardtanh) and kind in (nn.Hardtanh, nn.ReLU6):
        return "hardtanh", [float(activation.min_val), float(activation.max_val)], ""
    if isinstance(activation, nn.LeakyReLU) and kind is nn.LeakyReLU:
        return "leaky_relu", [float(activation.negative_slope)], ""
    if isinstance(activation, nn.GELU) and kind is nn.GELU:
        return "gelu", [], activation.approximate
    return None
