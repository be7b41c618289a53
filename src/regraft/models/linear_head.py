"""`LinearHead`: the head of a classifier, which may clip the features to a range before its linear layer.

A feature far outside the range of the training photos would count in proportion to its value, although no training
photo shows what such a value means. With few photos, a single such feature can decide a prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from regraft.errors import ConfigError
from regraft.models.feature_novelty import FeatureNovelty

BOUNDS = ("lower", "upper")
"""Names of the bounds, in the head and in files."""

WITHOUT_BOUNDS = (
    "this file contains the weights of the classifier, but not the bounds to which its head clips the features, so "
    "that predictions from it may differ slightly; Classifier.save writes both"
)
"""Warning for a file of a ``state_dict``."""


class LinearHead(nn.Linear):
    """Linear layer from features to logits that first clips the features, if it has bounds.

    Bounds belong to weights that were fitted on the same features. They are not part of the ``state_dict``, and loading
    one removes them.

    Args:
        in_features: number of features D.
        out_features: number of classes C.
        device: where the weights are.

    Attributes:
        lower: lowest value of each feature, shape (D,), float32; None without bounds.
        upper: highest value of each feature, shape (D,), float32; None without bounds.
        novelty: how unlike the training photos features are, or None; it disappears as the bounds do.
    """

    lower: torch.Tensor | None
    upper: torch.Tensor | None

    def __init__(self, in_features: int, out_features: int, device: torch.device | None = None) -> None:
        super().__init__(in_features, out_features, device=device, dtype=torch.float32)
        self.novelty: FeatureNovelty | None = None
        self.register_buffer("lower", None, persistent=False)
        self.register_buffer("upper", None, persistent=False)

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # noqa: A002 (its name in torch)
        """Return the logits of features: (B, D) -> (B, C)."""
        clipped = input if self.lower is None else torch.clamp(input, self.lower, self.upper)
        return super().forward(clipped)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any) -> None:
        if f"{prefix}weight" in state_dict:
            set_bounds(self, None)
        super()._load_from_state_dict(state_dict, prefix, *arguments)


def set_bounds(head: nn.Module, bounds: tuple[torch.Tensor, torch.Tensor] | None) -> None:
    """Let ``head`` clip features to ``bounds``, (lower, upper), each of shape (D,); None ends the clipping.

    The novelty of features is forgotten: it belongs to the features before this call.

    Raises:
        ConfigError: the head is not a `LinearHead`, a shape differs, or a lower bound exceeds its upper bound.
    """
    if not isinstance(head, LinearHead):
        if bounds is None:
            return
        raise ConfigError(f"bounds: expected the head that Classifier makes, found a {type(head).__name__}")
    head.lower, head.upper, head.novelty = None, None, None
    if bounds is None:
        return
    shape, (lower, upper) = (head.in_features,), bounds
    for name, bound in (("lower", lower), ("upper", upper)):
        if tuple(bound.shape) != shape:
            raise ConfigError(f"{name} bounds of the features: expected shape {shape}, found {tuple(bound.shape)}")
    if not bool((lower <= upper).all()):
        raise ConfigError("bounds of the features: expected no lower bound above its upper bound, and only numbers")
    head.lower, head.upper = (bound.detach().to(head.weight).clone() for bound in (lower, upper))


def bounds_of(head: nn.Module) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Return the bounds to which ``head`` clips features, (D,) and (D,), or None if it clips none."""
    if not isinstance(head, LinearHead) or head.lower is None or head.upper is None:
        return None
    return head.lower, head.upper


def set_weights(head: nn.Linear, weight: torch.Tensor, bias: torch.Tensor) -> None:
    """Copy ``weight``, shape (C, D), and ``bias``, shape (C,), into ``head``.

    Raises:
        ConfigError: a shape differs.
    """
    for name, value, own in (("weight", weight, head.weight), ("bias", bias, head.bias)):
        if value.shape != own.shape:
            raise ConfigError(f"head {name}: expected shape {tuple(own.shape)}, found {tuple(value.shape)}")
        with torch.no_grad():
            own.copy_(value)


def checked_weights(head: nn.Module, classes: Sequence[str], features: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weight, shape (C, D), and bias, shape (C,), of ``head``, detached; the bias is zero if it has none.

    Raises:
        ConfigError: the head is not a single linear layer with one output per class.
    """
    shape = (len(classes), features)
    if not isinstance(head, nn.Linear):
        raise ConfigError(
            f"the head is a {type(head).__name__}; expected one torch.nn.Linear{shape[::-1]}: predictions "
            "and model files support no other head"
        )
    if tuple(head.weight.shape) != shape:
        raise ConfigError(
            f"the head has {head.out_features} outputs for {head.in_features} features; expected {shape[0]} "
            f"outputs for {shape[1]} features: the classes are {', '.join(classes)}\n"
            "  for other classes, make a new classifier: Classifier(classifier.backbone, classes)"
        )
    own: torch.Tensor | None = head.bias  # typed as always present
    bias = torch.zeros_like(head.weight[:, 0]) if own is None else own
    return head.weight.detach(), bias.detach()
