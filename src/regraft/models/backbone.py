"""`Backbone`: a network of timm's zoo without its classifier, and all that is known of it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from typing import Self

import torch
from torch import nn

from regraft.data.preprocessing import Preprocessing
from regraft.models.blocks import Block, split_blocks
from regraft.models.checksums import tensors_checksum
from regraft.models.cut import Halves, cut_network
from regraft.models.freezing import BlockSelection, Freezer
from regraft.models.spec import BackboneSpec


class Backbone(nn.Module):
    """A pretrained network that turns photos into features. A new one is frozen and in inference mode.

    Attributes:
        network: the network of timm, made with ``num_classes=0``.
        spec: its name, weights, licence and preprocessing.
        blocks: its blocks, bottom to top.
        notes: what is worth saying about how its weights were loaded.
    """

    def __init__(self, network: nn.Module, spec: BackboneSpec) -> None:
        super().__init__()
        self.network = network
        self.spec = spec
        self.blocks: tuple[Block, ...] = split_blocks(network)
        self.notes: tuple[str, ...] = ()
        self._freezer = Freezer(network, self.blocks)
        self._entered: tuple[Halves, ...] = ()  # a tuple, so that torch does not take its modules for further ones
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the features of ``x``.

        Args:
            x: shape (B, 3, H, W), float32, normalised as ``spec.preprocessing`` says; activations where the backbone
                is `entered_at` a cut point.

        Returns:
            Shape (B, D), of the dtype that the network computes in.
        """
        self._freezer.hold()  # somebody may have called train() on the network itself
        network = self._entered[0].upper if self._entered else self.network
        features: torch.Tensor = network(x)
        return features

    @property
    def preprocessing(self) -> Preprocessing:
        """Preprocessing that the network needs of its photos."""
        return self.spec.preprocessing

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of what `forward` takes, without the batch: (3, H, W), or that of activations."""
        p = self.spec.preprocessing
        return self._entered[0].shape if self._entered else (3, p.height, p.width)

    def halves(self, at: int) -> Halves:
        """Cut the network below block number ``at``; both halves are the network's own modules.

        Raises:
            NoCutError: it cannot be cut there.
        """
        p = self.spec.preprocessing
        return cut_network(self.network, self.blocks, at, p.height, p.width)

    def lower(self, at: int) -> Backbone:
        """Return a copy of all that lies below block number ``at`` as a backbone, whose features are the activations.

        Its spec keeps the parameters of the whole network, by which engines estimate what it costs.

        Raises:
            NoCutError: it cannot be cut there.
        """
        halves = self.halves(at)
        spec = replace(self.spec, name=f"{self.spec.name}[:{self.blocks[at].name}]", num_features=prod(halves.shape))
        return Backbone(copy.deepcopy(halves.lower), spec)

    @contextmanager
    def entered_at(self, halves: Halves) -> Iterator[None]:
        """Let `forward` take the activations of ``halves``, which `halves` gave, until the block is left."""
        self._entered = (halves,)
        try:
            yield
        finally:
            self._entered = ()

    def leave_cut(self) -> None:
        """Let `forward` take photos again, in a copy that was made inside `entered_at`."""
        self._entered = ()

    def train(self, mode: bool = True) -> Self:
        """Switch the trained blocks to training mode or back; frozen ones stay in inference mode."""
        super().train(mode)
        self._freezer.follow()
        return self

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Train all blocks, or freeze all of them."""
        if requires_grad:
            self.unfreeze("all")
        else:
            self.freeze()
        return self

    def freeze(self) -> None:
        """Freeze all blocks: their parameters, their running statistics, their dropout."""
        self._freezer.freeze()
        self.train(self.training)

    def unfreeze(self, what: BlockSelection, *, norm_statistics: bool = False) -> None:
        """Train the blocks that ``what`` names, beside those that are trained already; `freeze` starts over.

        Args:
            what: ``"all"``, the number of blocks from the top, or names of blocks; patterns such as
                ``"blocks.*"`` will do.
            norm_statistics: whether normalisation in these blocks uses, and updates by, the statistics of each batch.
                By default it keeps those of the pretraining: small batches of another kind of photo make worse ones.

        Raises:
            ConfigError: there are not so many blocks, or none of that name.
        """
        self._freezer.unfreeze(what, norm_statistics=norm_statistics)
        self.train(self.training)

    @property
    def trainable_blocks(self) -> tuple[str, ...]:
        """Names of the blocks that are trained, bottom to top."""
        return self._freezer.trained

    @property
    def lowest_trained(self) -> int:
        """Index of the lowest block that is trained; the number of blocks where none is."""
        trained = set(self.trainable_blocks)
        return next((i for i, block in enumerate(self.blocks) if block.name in trained), len(self.blocks))

    def trains_statistics(self, block: int) -> bool:
        """Return whether block number ``block`` is trained with the statistics of its batches."""
        return self._freezer.trains_statistics(block)

    def weights_hash(self) -> str:
        """Return the SHA-256, in hex, of the names, shapes and bytes of all parameters and buffers."""
        return tensors_checksum({**dict(self.network.named_parameters()), **dict(self.network.named_buffers())})
