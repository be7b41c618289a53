"""A convolution and the activation after it as one operation of oneDNN, on the processor.

Apart, the activation reads and writes again what the convolution has just written; in the lower layers of a network,
whose tensors do not fit the caches, and in bfloat16, that was up to half of the time. Operation by operation torch does
not join them; its compiler does, by the operator that is called here, but takes far longer than a folder of photos.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
from torch import nn

_FusedActivation: TypeAlias = tuple[
    str, list[float], str
]  # the operator's name for an activation, its numbers, its variant

_PLAIN: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.SiLU: "swish",
    nn.Sigmoid: "sigmoid",
    nn.Tanh: "tanh",
    nn.Hardswish: "hardswish",
    nn.Hardsigmoid: "hardsigmoid",
}

_BATCH = 8  # photos that go through a small network at once


def is_activation(module: nn.Module | None) -> bool:
    """Return whether a module is an activation that a convolution can compute."""
    return module is not None and _fused_activation(module) is not None


def fusible(convolution: nn.Module, activation: nn.Module) -> bool:
    """Return whether the two can be one operation here."""
    return (
        type(convolution) is nn.Conv2d
        and convolution.padding_mode == "zeros"
        and not isinstance(convolution.padding, str)
        and _fused_activation(activation) is not None
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
    )


def worth_fusing(convolution: nn.Module, output: torch.Tensor) -> bool:
    """Return whether an activation has enough to read and write to be worth the operator.

    The operator orders all weights anew for each batch, with large ones slower than torch does.

    Args:
        convolution: what made ``output``.
        output: shape (b, C, H, W).
    """
    weights = sum(p.numel() for p in convolution.parameters())
    return weights <= _BATCH * output[0].numel()


class FusedConvolution(nn.Module):
    """A convolution with the activation after it, on the processor, for inference.

    Args:
        convolution: `fusible` with ``activation``; its weights are shared, not copied.
        activation: what follows it.
    """

    def __init__(self, convolution: nn.Conv2d, activation: nn.Module) -> None:
        super().__init__()
        joined = _fused_activation(activation)
        assert joined is not None
        self.weight, self.bias = convolution.weight, convolution.bias
        self._shape = (convolution.padding, convolution.stride, convolution.dilation, convolution.groups)
        self._joined = joined

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the activation makes of the convolution: (b, C, H, W) -> (b, C', H', W').

        Autocast does not know the operator, so what it would do is done here.
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
