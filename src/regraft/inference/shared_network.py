"""Members of an ensemble that share their lower blocks, as one network: the shared part runs once for all of them.

A linear probe and the network whose upper blocks were fine-tuned from it are the usual case.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from regraft.models.backbone import Backbone
from regraft.models.classifier import Classifier
from regraft.models.cut import NoCutError
from regraft.models.freeze_ledger import block_checksums


@dataclass(frozen=True)
class SharedNetwork:
    """One network for one or several members of an ensemble.

    Attributes:
        backbone: the network; its features are those of the members, side by side.
        members: numbers of the members.
        starts: column of the first feature of each member.
    """

    backbone: Backbone
    members: tuple[int, ...]
    starts: tuple[int, ...]


def shared_networks(classifiers: Sequence[Classifier]) -> list[SharedNetwork]:
    """Return the networks to run for ``classifiers``: one for all that share at least half of their blocks, from below.

    Members must have the same preprocessing to share blocks. A network that cannot be cut is not shared.
    """
    checksums = [list(block_checksums(one).values())[:-1] for one in classifiers] if len(classifiers) > 1 else [[]]
    left = list(range(len(classifiers)))
    networks = []
    while left:
        first = left[0]
        shared = {other: _shared_blocks(classifiers, checksums, first, other) for other in left[1:]}
        blocks = len(classifiers[first].backbone.blocks)
        alike = [other for other, count in shared.items() if 2 * count >= blocks]
        backbones = [classifiers[number].backbone for number in (first, *alike)]
        joined = _joined(backbones, min((shared[other] for other in alike), default=blocks))
        if joined is None:
            alike, joined = [], SharedNetwork(classifiers[first].backbone, (first,), (0,))
        networks.append(replace(joined, members=(first, *alike)))
        left = [number for number in left if number not in (first, *alike)]
    return networks


def _shared_blocks(classifiers: Sequence[Classifier], checksums: Sequence[list[str]], one: int, other: int) -> int:
    """Return how many blocks from below are equal in both members."""
    first, second = (classifiers[number].backbone.spec for number in (one, other))
    if (first.name, first.preprocessing, first.pooled) != (second.name, second.preprocessing, second.pooled):
        return 0
    pairs = list(zip(checksums[one], checksums[other], strict=True))
    return next((count for count, (a, b) in enumerate(pairs) if a != b), len(pairs))


def _joined(backbones: Sequence[Backbone], at: int) -> SharedNetwork | None:
    """Return one network that runs the blocks below number ``at`` once; None if the networks cannot be cut there."""
    first = backbones[0]
    if at == len(first.blocks):  # equal networks
        return SharedNetwork(first, (), (0,) * len(backbones))
    if first.spec.pooled:  # its features include activations of blocks on both sides of a cut
        return None
    try:
        halves = [backbone.halves(at) for backbone in backbones]
    except NoCutError:
        return None
    width = first.spec.num_features
    network = _Branches(copy.deepcopy(halves[0].lower), [copy.deepcopy(half.upper) for half in halves])
    name = f"{first.spec.name}[{first.blocks[at].name}: × {len(backbones)}]"
    parameters = sum(parameter.numel() for parameter in network.parameters())
    spec = replace(first.spec, name=name, num_features=width * len(backbones), parameters=parameters)
    return SharedNetwork(Backbone(network, spec), (), tuple(width * number for number in range(len(backbones))))


class _Branches(nn.Module):
    """A network that runs several upper parts on the activations of one lower part."""

    def __init__(self, lower: nn.Module, uppers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.lower, self.uppers = lower, nn.ModuleList(uppers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the features of all upper parts side by side: (B, 3, H, W) -> (B, n D)."""
        activations = self.lower(x)
        return torch.cat([upper(activations) for upper in self.uppers], dim=1)
