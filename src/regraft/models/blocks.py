"""Blocks of a network, bottom to top, which are frozen or trained as a whole; and the normalization layers in them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

HEAD = "head"
"""Name of a classifier's head in lists of blocks; no block of a backbone has this name."""


@dataclass(frozen=True, slots=True)
class Block:
    """Part of a network that is frozen or trained as a whole.

    Attributes:
        name: unique within its network, such as ``"blocks.3"`` or ``"layer4"``; the lowest one is often ``"stem"``.
        parameters: names of its parameters in the network.
        buffers: names of its buffers in the network.
    """

    name: str
    parameters: tuple[str, ...]
    buffers: tuple[str, ...]


def split_blocks(network: nn.Module) -> tuple[Block, ...]:
    """Return the blocks of ``network``, bottom to top; each parameter and each buffer is in exactly one of them.

    timm's coarse layer groups define the blocks. If a network has none, each child is a block, and containers such as
    ``stages`` are taken apart. Parameters above the last block that only scale or shift (a final normalization) join
    the block below.

    Args:
        network: any network of timm, or any other module.
    """
    parameters = [name for name, _ in network.named_parameters()]
    groups = _timm_groups(network, parameters) or _child_groups(network, parameters)
    groups = _join_scales(network, groups)
    lowest = _lowest_groups(groups)
    buffers: dict[int, list[str]] = defaultdict(list)
    for name, _ in network.named_buffers():
        buffers[_owning_group(name, lowest)].append(name)
    names = _block_names(groups, parameters)
    return tuple(
        Block(name, tuple(group), tuple(buffers[index]))
        for index, (name, group) in enumerate(zip(names, groups, strict=True))
    )


def blocks_of_modules(network: nn.Module, blocks: Sequence[Block]) -> dict[str, frozenset[int]]:
    """Return the indices of the blocks that each module's tensors belong to, by the module's name.

    A module without parameters or buffers, such as dropout, belongs to its parent's block if there is only one, else to
    the block of the module before it.
    """
    spans: dict[str, set[int]] = defaultdict(set)
    for index, block in enumerate(blocks):
        for name in (*block.parameters, *block.buffers):
            for module in _ancestors(name):
                spans[module].add(index)
    found: dict[str, frozenset[int]] = {}
    before = frozenset({0})
    for name, _ in network.named_modules():
        own = frozenset(spans.get(name, ()))
        if not own:
            around = found.get(name.rpartition(".")[0], before)
            own = around if len(around) == 1 else before
        elif len(own) == 1:
            before = own
        found[name] = own
    return found


def _timm_groups(network: nn.Module, parameters: Sequence[str]) -> list[list[str]]:
    matcher = getattr(network, "group_matcher", None)
    if matcher is None:
        return []
    from timm.models import group_parameters

    try:
        rules = matcher(coarse=True)
    except AssertionError:  # rdnet: "coarse grouping is not implemented"
        rules = matcher()
    grouped: Mapping[int, list[str]] = group_parameters(network, rules)
    groups = [list(grouped[index]) for index in sorted(grouped)]
    return groups if len(groups) > 1 else []


def _child_groups(network: nn.Module, parameters: Sequence[str]) -> list[list[str]]:
    """Group by child; a container of several children counts as several groups."""
    prefixes = []
    for name, child in network.named_children():
        inside = isinstance(child, (nn.Sequential, nn.ModuleList)) and len(child) > 1
        prefixes += [f"{name}.{part}" for part, _ in child.named_children()] if inside else [name]
    groups: dict[str, list[str]] = {prefix: [] for prefix in ("", *prefixes)}
    for name in parameters:
        groups[next((p for p in prefixes if name.startswith(f"{p}.")), "")].append(name)
    loose = groups.pop("")
    filled = [group for group in groups.values() if group]
    if not filled:
        return [loose]
    filled[0] = loose + filled[0]  # tokens and position embeddings act at the bottom
    return filled


def _join_scales(network: nn.Module, groups: list[list[str]]) -> list[list[str]]:
    """Merge a last group that contains only vectors into the group below."""
    shapes = {name: parameter.ndim for name, parameter in network.named_parameters()}
    while len(groups) > 1 and all(shapes[name] <= 1 for name in groups[-1]):
        groups = [*groups[:-2], groups[-2] + groups[-1]]
    return groups


def _lowest_groups(groups: Sequence[Sequence[str]]) -> dict[str, int]:
    """Return the lowest group with a parameter in each module, by the module's name."""
    lowest: dict[str, int] = {}
    for index, group in enumerate(groups):
        for name in group:
            for module in _ancestors(name):
                lowest.setdefault(module, index)
    return lowest


def _owning_group(buffer: str, lowest: Mapping[str, int]) -> int:
    """Return the group of the parameters with the longest common path with ``buffer``; by default the lowest."""
    return next((lowest[module] for module in _ancestors(buffer) if module and module in lowest), 0)


def _ancestors(name: str) -> Iterable[str]:
    """Yield the name of the module that contains ``name``, of its parent, and so on, up to ``""`` for the network."""
    while name:
        name = name.rpartition(".")[0]
        yield name


def _block_names(groups: Sequence[Sequence[str]], parameters: Sequence[str]) -> list[str]:
    everything = Counter(module for name in parameters for module in _ancestors(name))
    names: list[str] = []
    for index, group in enumerate(groups):
        inside = Counter(module for name in group for module in _ancestors(name))
        units = Counter(_widest_module(name, inside, everything) for name in group)
        name = "stem" if index == 0 and len(units) > 1 else units.most_common(1)[0][0]
        if name == HEAD:
            name = _common_prefix(group)
        names.append(name if name not in names else f"{name} ({index})")
    return names


def _widest_module(name: str, inside: Mapping[str, int], everything: Mapping[str, int]) -> str:
    """Return the widest module that contains the parameter ``name`` and lies within its group, or ``name`` itself."""
    widest = name
    for module in _ancestors(name):
        if not module or inside[module] != everything[module]:
            break
        widest = module
    return widest


def _common_prefix(group: Sequence[str]) -> str:
    """Return a name longer than ``head`` for a block that is a whole module of that name."""
    parts = [name.split(".")[:-1] for name in group]
    shared = []
    for level in zip(*parts, strict=False):
        if len(set(level)) > 1:
            break
        shared.append(level[0])
    return ".".join(shared) if len(shared) > 1 else f"backbone.{HEAD}"


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


def normalization_kind(module: nn.Module) -> str | None:
    """Return the kind of normalization of ``module`` itself, such as ``"batch norm"``, or None.

    Subclasses count as their base class, so that timm's ``BatchNormAct2d`` is a batch norm.
    """
    for base in type(module).__mro__:
        name = re.sub(r"[^a-z]", "", base.__name__.lower())
        for part, kind in _KINDS.items():
            if part in name:
                return kind
    return None


def has_running_statistics(module: nn.Module) -> bool:
    """Return whether ``module`` itself has running statistics, which change in training mode."""
    return any(module._buffers.get(name) is not None for name in _STATISTICS)
