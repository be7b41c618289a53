"""`Classifier`: a backbone with a linear head."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import nn

from regraft.errors import ConfigError
from regraft.models.backbone import Backbone
from regraft.models.blocks import HEAD
from regraft.models.freezing import What
from regraft.models.unfilled import unfilled


class Classifier(nn.Module):
    """A backbone with a linear head. A new one has a frozen backbone and a head of zeros.

    Args:
        backbone: what gives the features. The classifier takes a copy, so that training it changes no other
            classifier, nor what was computed with the backbone.
        classes: names of the classes, in the order of the outputs.
        own: take the backbone itself and not a copy.

    Raises:
        ConfigError: there are fewer than two classes, or two of the same name.
    """

    def __init__(self, backbone: Backbone, classes: Sequence[str], *, own: bool = False) -> None:
        super().__init__()
        if len(classes) < 2 or len(set(classes)) != len(classes):
            raise ConfigError(f"a classifier needs two or more different classes, not {list(classes)}")
        self.backbone = backbone if own else copy.deepcopy(backbone)
        self.classes: tuple[str, ...] = tuple(classes)
        place = next(backbone.network.parameters()).device
        shape = backbone.spec.num_features, len(self.classes)
        with unfilled():  # the random numbers of the process are left alone
            self.head = nn.Linear(*shape, device=place, dtype=torch.float32)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.freeze()
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits of ``x``.

        Args:
            x: shape (B, 3, H, W), float32, normalised as the backbone's preprocessing says.

        Returns:
            Shape (B, C), float32, also under autocast.
        """
        features = self.backbone(x)
        with torch.autocast(features.device.type, enabled=False):
            logits: torch.Tensor = self.head(features.float())
        return logits

    def freeze(self) -> None:
        """Freeze the whole backbone; the head is always trained."""
        self.backbone.freeze()

    def unfreeze(self, what: What = "all", *, norm_statistics: bool = False) -> None:
        """Train some blocks of the backbone too: see `Backbone.unfreeze`."""
        self.backbone.unfreeze(what, norm_statistics=norm_statistics)

    @property
    def trainable_blocks(self) -> tuple[str, ...]:
        """Names of the backbone's blocks that are trained, bottom to top."""
        return self.backbone.trainable_blocks

    def set_head(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        """Take over a head that was solved elsewhere.

        Args:
            weight: shape (C, D), any floating dtype.
            bias: shape (C,).

        Raises:
            ConfigError: a shape is another one.
        """
        for name, value, own in (("weight", weight, self.head.weight), ("bias", bias, self.head.bias)):
            if value.shape != own.shape:
                raise ConfigError(f"head {name}: expected shape {tuple(own.shape)}, found {tuple(value.shape)}")
            with torch.no_grad():
                own.copy_(value)

    def parameter_groups(
        self, lr: float, *, layer_decay: float = 1.0, weight_decay: float = 0.0, head_lr: float | None = None
    ) -> list[dict[str, Any]]:
        """Return the parameters that are trained, as groups for an optimizer of torch, bottom to top.

        Each block gives up to two groups of its name: matrices, and vectors, which weight decay would only shrink
        (normalisation, biases; He et al. 2019, https://arxiv.org/abs/1812.01187, section 3.1). Learning rates fall
        from block to block towards the bottom (Clark et al. 2020, https://arxiv.org/abs/2003.10555).

        Args:
            lr: learning rate of the topmost block of the backbone.
            layer_decay: what the learning rate of a block is multiplied by for the block below it.
            weight_decay: of the matrices.
            head_lr: learning rate of the head; ``lr`` if None.

        Returns:
            Dictionaries with ``name``, ``params``, ``lr`` and ``weight_decay``.
        """
        network = self.backbone.network
        parameters = dict(network.named_parameters())
        spared = _spared(network)
        top = len(self.backbone.blocks) - 1
        groups: list[dict[str, Any]] = []
        for index, block in enumerate(self.backbone.blocks):
            named = {name: parameters[name] for name in block.parameters if parameters[name].requires_grad}
            groups += _decayed_or_not(block.name, named, spared, lr * layer_decay ** (top - index), weight_decay)
        head = {name: parameter for name, parameter in self.head.named_parameters() if parameter.requires_grad}
        return groups + _decayed_or_not(HEAD, head, set(), lr if head_lr is None else head_lr, weight_decay)


def _spared(network: nn.Module) -> set[str]:
    """Return the parameters that timm says weight decay should spare, such as position tables."""
    names: Callable[[], Iterable[str]] = getattr(network, "no_weight_decay", tuple)
    return set(names())


def _decayed_or_not(
    name: str, parameters: dict[str, nn.Parameter], spared: set[str], lr: float, weight_decay: float
) -> list[dict[str, Any]]:
    decayed = [p for key, p in parameters.items() if p.ndim > 1 and key not in spared]
    others = [p for key, p in parameters.items() if p.ndim <= 1 or key in spared]
    pairs = ((decayed, weight_decay), (others, 0.0))
    return [{"name": name, "params": params, "lr": lr, "weight_decay": decay} for params, decay in pairs if params]
