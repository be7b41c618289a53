"""Warnings about outputs that a loss or a metric misreads: an activation too many, or a logarithm too few."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

_ACTIVATIONS = {"SoftmaxBackward0": "softmax", "SigmoidBackward0": "sigmoid"}
_VIEWS = (
    "View",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "ToCopy",
    "Clone",
    "Slice",
    "Select",
    "Permute",
    "Transpose",
    "Alias",
)
_MOST_VIEWS = 4
_LOGARITHMS = ("nll_loss", "nllloss", "kl_div", "kldivloss")


def warn_of_activation(loss: str, output: Any) -> None:
    """Warn if outputs of a softmax or sigmoid go into a loss of logits, which applies it once more."""
    activation = _last_activation(output)
    if activation is None:
        return
    instead = "'sparse_categorical_crossentropy'" if activation == "softmax" else "'binary_crossentropy'"
    warnings.warn(
        f"the loss {loss} takes logits and applies a {activation} itself, and the module ends with a {activation}: "
        f"remove it from the module, or pass loss={instead}, which takes probabilities",
        RuntimeWarning,
        stacklevel=2,
    )


def _last_activation(output: Any) -> str | None:
    """Return the softmax or sigmoid that outputs come from, also through changes of their shape or type."""
    node: Any = output.grad_fn if isinstance(output, Tensor) else None
    for _ in range(_MOST_VIEWS):
        if node is None:
            return None
        name = node.name()
        if name in _ACTIVATIONS:
            return _ACTIVATIONS[name]
        if not name.removeprefix("Unsafe").removeprefix("_").startswith(_VIEWS):
            return None
        node = node.next_functions[0][0]
    return None


def warn_of_logarithms(loss: str, output: Any) -> None:
    """Warn if a loss of logarithms of probabilities gets numbers above 0; this synchronizes with the device."""
    if loss in _LOGARITHMS and isinstance(output, Tensor) and bool((output > 1e-4).any()):
        warnings.warn(
            f"the loss {loss} takes logarithms of probabilities, which are 0 or less, and the module returns larger "
            "numbers: let it end with log_softmax, or pass loss='cross_entropy' for logits",
            RuntimeWarning,
            stacklevel=2,
        )


def warn_of_measured_targets(metric: str, target: Tensor) -> None:
    """Warn if an accuracy of two classes is computed on targets beyond -1 and 1; this synchronizes with the device."""
    if target.dtype is torch.bool or not target.numel():
        return
    low, high = float(target.min()), float(target.max())
    if low < -1 or high > 1:
        warnings.warn(
            f"the metric {metric} counts answers of two classes, and the targets go from {low:g} to {high:g}: for "
            "values pass 'mae' or 'r2_score', for several classes give the module an output for each",
            RuntimeWarning,
            stacklevel=2,
        )
