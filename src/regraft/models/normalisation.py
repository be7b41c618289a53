"""What kind of normalisation a module does, and whether it keeps running statistics."""

from __future__ import annotations

import re

from torch import nn

_STATISTICS = ("running_mean", "running_var")
_KINDS = {
    "batchnorm": "batch norm",
    "layernorm": "layer norm",
    "groupnorm": "group norm",
    "instancenorm": "instance norm",
    "rmsnorm": "RMS norm",
    "evonorm": "EvoNorm",
    "filterresponsenorm": "filter response norm",
    "simplenorm": "simple norm",
}


def kind_of(module: nn.Module) -> str | None:
    """Return the kind of normalisation that ``module`` itself does, such as ``"batch norm"``, or None.

    Subclasses count as what they derive from, so that timm's ``BatchNormAct2d`` is a batch norm.
    """
    for base in type(module).__mro__:
        name = re.sub(r"[^a-z]", "", base.__name__.lower())
        for part, kind in _KINDS.items():
            if part in name:
                return kind
    return None


def keeps_statistics(module: nn.Module) -> bool:
    """Return whether ``module`` itself has running statistics, which change in training mode."""
    return any(module._buffers.get(name) is not None for name in _STATISTICS)


def is_normalisation(module: nn.Module) -> bool:
    """Return whether ``module`` itself normalises."""
    return keeps_statistics(module) or kind_of(module) is not None
