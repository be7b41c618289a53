"""Freezing of blocks (gradients, running statistics and dropout), and parameter groups for optimizers."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from torch import nn

from regraft.errors import ConfigError, did_you_mean, several
from regraft.models.blocks import Block, blocks_of_modules, has_running_statistics

BlockSelection: TypeAlias = Literal["all"] | int | Sequence[str]
"""Selection of blocks: all, the number from the top, or names (``"blocks.6"``, or a pattern such as ``"blocks.*"``)."""


class Freezer:
    """Keeps the frozen blocks of a network in inference mode when the network's mode changes.

    A block is trainable if one of its parameters requires gradients. `freeze` and `unfreeze` set this; users may also
    set ``requires_grad``, which `follow` then detects.

    Args:
        network: the network; at first, all of it is frozen.
        blocks: its blocks, bottom to top.
    """

    def __init__(self, network: nn.Module, blocks: Sequence[Block]) -> None:
        self._network, self._blocks = network, tuple(blocks)
        self._trained: dict[int, bool] = {}  # trainable blocks, and whether they use batch statistics
        self._held: list[nn.Module] = []
        self.apply()

    @property
    def trained(self) -> tuple[str, ...]:
        """Names of the trainable blocks, bottom to top."""
        self.follow()
        return tuple(self._blocks[index].name for index in sorted(self._trained))

    def trains_statistics(self, index: int) -> bool:
        """Return whether block ``index`` uses the statistics of its batches in training."""
        self.follow()
        return self._trained.get(index, False)

    def freeze(self) -> None:
        """Freeze all blocks."""
        self._trained.clear()
        self.apply()

    def unfreeze(self, what: BlockSelection, *, norm_statistics: bool) -> None:
        """Unfreeze the selected blocks; blocks that are already trainable remain trainable.

        Raises:
            ConfigError: the network has fewer blocks, or none of this name.
        """
        self.follow()
        for index in self._selected(what):
            self._trained[index] = norm_statistics
        self.apply()

    def apply(self) -> None:
        """Set ``requires_grad`` of all parameters, and find the modules that stay in inference mode."""
        for index, parameters in enumerate(self._parameters()):
            for parameter in parameters:
                parameter.requires_grad_(index in self._trained)
        self._find_eval_modules()

    def follow(self) -> None:
        """Update the trainable blocks from ``requires_grad``, and keep modules of frozen blocks in inference mode."""
        trained = [i for i, parameters in enumerate(self._parameters()) if any(p.requires_grad for p in parameters)]
        if trained != sorted(self._trained):
            self._trained = {index: self._trained.get(index, False) for index in trained}
            self._find_eval_modules()
        else:
            self.hold()

    def _parameters(self) -> list[list[nn.Parameter]]:
        """Return the parameters of each block; users may have replaced some."""
        parameters = dict(self._network.named_parameters())
        return [[parameters[name] for name in block.parameters if name in parameters] for block in self._blocks]

    def _find_eval_modules(self) -> None:
        spans = blocks_of_modules(self._network, self._blocks)
        self._held = [
            module for name, module in self._network.named_modules() if self._stays_in_eval(module, spans[name])
        ]
        self.hold()

    def hold(self) -> None:
        """Set modules that must stay in inference mode back to it, after a change of the network's mode."""
        for module in self._held:
            if module.training:
                module.training = False

    def _stays_in_eval(self, module: nn.Module, span: frozenset[int]) -> bool:
        if not all(index in self._trained for index in span):
            return True
        return has_running_statistics(module) and not all(self._trained[index] for index in span)

    def _selected(self, what: BlockSelection) -> list[int]:
        names = [block.name for block in self._blocks]
        if isinstance(what, str) and what == "all":
            return list(range(len(names)))
        if isinstance(what, bool) or not isinstance(what, (int, str, Sequence)):
            raise ConfigError(f"unfreeze: expected 'all', a number of blocks from the top, or names; found {what!r}")
        if isinstance(what, int):
            if not 0 <= what <= len(names):
                raise ConfigError(f"unfreeze: expected 0 to {len(names)} blocks, found {what}")
            return list(range(len(names) - what, len(names)))
        wanted = [what] if isinstance(what, str) else list(what)
        selected = {
            pattern: [i for i, name in enumerate(names) if fnmatch.fnmatchcase(name, pattern)] for pattern in wanted
        }
        problems = [
            f"no block {pattern!r}{did_you_mean(pattern, names)}" for pattern in wanted if not selected[pattern]
        ]
        if problems:
            raise ConfigError(several("unfreeze", problems) + f"\n  blocks: {', '.join(names)}")
        return sorted({index for indices in selected.values() for index in indices})


def check_rates(rates: Mapping[str, Any]) -> None:
    """Check the rates of `Classifier.parameter_groups`; None means not given.

    Raises:
        ConfigError: a rate is not a number above 0, or ``weight_decay`` is negative; the message lists all of them.
    """
    problems = [
        f"{name}: expected a number {'from' if name == 'weight_decay' else 'above'} 0, found {value!r}"
        for name, value in rates.items()
        if value is not None and not _is_valid_rate(value, or_zero=name == "weight_decay")
    ]
    if problems:
        raise ConfigError(several("parameter_groups", problems))


def _is_valid_rate(value: Any, *, or_zero: bool) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and (value > 0 or (or_zero and value == 0))


def no_decay_names(network: nn.Module) -> set[str]:
    """Return the names of the parameters that timm excludes from weight decay, such as position embeddings."""
    names: Callable[[], Iterable[str]] = getattr(network, "no_weight_decay", tuple)
    return set(names())


def decay_groups(
    name: str, parameters: dict[str, nn.Parameter], no_decay: set[str], lr: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Return up to two groups of a block: its matrices, and its vectors without weight decay."""
    decayed = [p for key, p in parameters.items() if p.ndim > 1 and key not in no_decay]
    others = [p for key, p in parameters.items() if p.ndim <= 1 or key in no_decay]
    pairs = ((decayed, weight_decay), (others, 0.0))
    return [{"name": name, "params": params, "lr": lr, "weight_decay": decay} for params, decay in pairs if params]


def block_groups(
    network: nn.Module, blocks: Sequence[Block], lr: float, layer_decay: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Return the groups of the trainable parameters of ``blocks``, bottom to top; ``lr`` is that of the top block."""
    parameters = dict(network.named_parameters())
    spared = no_decay_names(network)
    groups: list[dict[str, Any]] = []
    for index, block in enumerate(blocks):
        named = {name: parameters[name] for name in block.parameters if parameters[name].requires_grad}
        rate = lr * layer_decay ** (len(blocks) - 1 - index)
        groups += decay_groups(block.name, named, spared, rate, weight_decay)
    return groups
