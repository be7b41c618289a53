"""`Backbone`: a network of timm's zoo without its classifier, and its description."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from typing import Self

import torch
from torch import nn

from regraft.data.decoding.rendering import Rendering
from regraft.data.preprocessing import Preprocessing
from regraft.errors import ConfigError
from regraft.models.blocks import Block, split_blocks
from regraft.models.cut import Halves, NoCutError, cut_network
from regraft.models.freezing import BlockSelection, Freezer
from regraft.models.pooled_depth import POOLING_VERSION, pool_blocks
from regraft.models.spec import BackboneSpec
from regraft.tensors import tensors_checksum


class Backbone(nn.Module):
    """A pretrained network that turns photos into features. A new backbone is frozen and in inference mode.

    Attributes:
        network: timm's network, created with ``num_classes=0``.
        spec: its name, weights, license and preprocessing.
        blocks: its blocks, bottom to top; found in the network unless they are given.
        notes: messages about how its weights were loaded.

    Example:
        >>> import torch
        >>> import regraft as rg
        >>> backbone = rg.build_backbone("test_resnet", pretrained=False, size=64)
        >>> backbone(torch.zeros(2, *backbone.input_shape)).shape == (2, backbone.spec.num_features)
        True
        >>> backbone.trainable_blocks
        ()
        >>> backbone.unfreeze(1)
        >>> backbone.trainable_blocks == (backbone.blocks[-1].name,)
        True
    """

    def __init__(self, network: nn.Module, spec: BackboneSpec, blocks: tuple[Block, ...] | None = None) -> None:
        super().__init__()
        self.network = network
        self.spec = spec
        self.blocks: tuple[Block, ...] = split_blocks(network) if blocks is None else blocks
        self.notes: tuple[str, ...] = ()
        self._freezer = Freezer(network, self.blocks)
        self._entered: tuple[Halves, ...] = ()  # a tuple hides its modules from torch
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the features of ``x``.

        Args:
            x: shape (B, 3, H, W), float32, normalized by ``spec.preprocessing``; or activations, shape (B, ...), inside
                `entered_at`.

        Returns:
            Shape (B, D), in the dtype that the network computes in.
        """
        self._freezer.hold()  # train() may have been called on the network itself
        network = self._entered[0].upper if self._entered else self.network
        features: torch.Tensor = network(x)
        return features

    @property
    def preprocessing(self) -> Preprocessing:
        """Preprocessing of photos for this network."""
        return self.spec.preprocessing

    def render(self, rendering: Rendering) -> None:
        """Prepare photos with those choices of ``rendering`` that are not the usual ones."""
        self.spec = replace(self.spec, preprocessing=self.spec.preprocessing.rendered(rendering))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input of `forward`: (3, H, W), or that of activations inside `entered_at`."""
        p = self.spec.preprocessing
        return self._entered[0].shape if self._entered else (3, p.height, p.width)

    def halves(self, at: int) -> Halves:
        """Cut the network below block number ``at``; both halves share the network's own modules.

        Raises:
            NoCutError: the network cannot be cut there.
        """
        p = self.spec.preprocessing
        return cut_network(self.network, self.blocks, at, p.height, p.width)

    def lower(self, at: int) -> Backbone:
        """Return a copy of the part below block number ``at`` as a backbone that computes activations.

        Its spec keeps the number of parameters of the whole network, which engines use to estimate costs.

        Raises:
            NoCutError: the network cannot be cut there.
        """
        halves = self.halves(at)
        spec = replace(self.spec, name=f"{self.spec.name}[:{self.blocks[at].name}]", num_features=prod(halves.shape))
        return Backbone(copy.deepcopy(halves.lower), spec)

    def with_pooled_depth(self) -> Backbone:
        """Return a frozen copy whose features end with pooled activations of all blocks; `pool_blocks` describes them.

        Raises:
            NoCutError: the network has no such variant, or is one already.
        """
        if self.spec.pooled:
            raise NoCutError(f"the features of this {self.spec.name} end with pooled activations already")
        p = self.spec.preprocessing
        pooled = pool_blocks(copy.deepcopy(self.network).eval(), self.blocks, p.height, p.width)
        features = self.spec.num_features + 2 * sum(pooled.channels)
        spec = replace(self.spec, num_features=features, pooled=pooled.channels)
        return Backbone(pooled.network, spec, self.blocks)

    @contextmanager
    def entered_at(self, halves: Halves) -> Iterator[None]:
        """Context manager in which `forward` takes the activations of ``halves`` in place of photos."""
        self._entered = (halves,)
        try:
            yield
        finally:
            self._entered = ()

    def leave_cut(self) -> None:
        """Let `forward` take photos again, in a copy that was made inside `entered_at`."""
        self._entered = ()

    def train(self, mode: bool = True) -> Self:
        """Set trainable blocks to training or inference mode; frozen blocks stay in inference mode."""
        super().train(mode)
        self._freezer.follow()
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Unfreeze or freeze all blocks."""
        if requires_grad:
            self.unfreeze("all")
        else:
            self.freeze()
        return self

    def freeze(self) -> None:
        """Freeze all blocks: their parameters, running statistics and dropout."""
        self._freezer.freeze()
        self.train(self.training)

    def unfreeze(self, what: BlockSelection, *, norm_statistics: bool = False) -> None:
        """Unfreeze the selected blocks; blocks that are already trainable remain trainable.

        Args:
            what: ``"all"``, the number of blocks from the top, or names of blocks; patterns such as ``"blocks.*"`` are
                allowed.
            norm_statistics: whether normalization layers in these blocks use and update the statistics of each batch.
                By default they keep those of the pretraining, because small batches of other photos give worse ones.

        Raises:
            ConfigError: the backbone has fewer blocks, or none of this name, or also returns pooled activations.
        """
        if self.spec.pooled:
            raise ConfigError(
                f"this {self.spec.name} also returns pooled activations of its blocks, and can only be used frozen\n"
                "  to train blocks, use a plain backbone: build_backbone(NAME)"
            )
        self._freezer.unfreeze(what, norm_statistics=norm_statistics)
        self.train(self.training)

    @property
    def trainable_blocks(self) -> tuple[str, ...]:
        """Names of the trainable blocks, bottom to top."""
        return self._freezer.trained

    @property
    def lowest_trained(self) -> int:
        """Index of the lowest trainable block; the number of blocks if there is none."""
        trained = set(self.trainable_blocks)
        return next((i for i, block in enumerate(self.blocks) if block.name in trained), len(self.blocks))

    def trains_statistics(self, block: int) -> bool:
        """Return whether block number ``block`` uses the statistics of its batches in training."""
        return self._freezer.trains_statistics(block)

    def weights_hash(self) -> str:
        """Return the SHA-256, in hex, of the names, shapes and bytes of all parameters and buffers.

        With pooled activations it is another one than that of the plain network, which gives other features.
        """
        plain = tensors_checksum({**dict(self.network.named_parameters()), **dict(self.network.named_buffers())})
        if not self.spec.pooled:
            return plain
        return hashlib.sha256(f"{plain} {POOLING_VERSION} {self.spec.pooled}".encode()).hexdigest()
