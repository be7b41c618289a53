"""Discriminative learning rates: smaller ones below, larger ones above."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from regraft.errors import TrainingError


def discriminative_groups(
    module: nn.Module,
    learning_rate: float | tuple[float, float],
    *,
    decay: float = 1.0,
    weight_decay: float | None = None,
    blocks: Sequence[nn.Module] | None = None,
) -> list[dict[str, Any]]:
    """Return parameter groups for a torch optimizer, one or two for each block of ``module``, bottom to top.

    As in Howard and Ruder, *Universal Language Model Fine-tuning* (https://arxiv.org/abs/1801.06146), section 3.1.

    Args:
        module: its parameters that need a gradient are grouped, each once.
        learning_rate: of the topmost block; or a pair, of the lowest and of the topmost one, with equal ratios between.
        decay: rate of a block divided by that of the block above it; with a single ``learning_rate``.
        weight_decay: of weights; biases and other parameters with one dimension get none. None: the optimizer's own.
        blocks: the blocks, bottom to top; None: what ``module.parameter_blocks()`` gives where there is such a method,
            as of a `Classifier`; else the children of ``module``, or of its only child.

    Raises:
        TrainingError: a rate or ``decay`` is not above 0, both a pair and ``decay`` are given, or the blocks leave out
            or repeat a parameter.
    """
    own: Any = getattr(module, "parameter_blocks", None)
    if blocks is None and callable(own):
        parts = [[p for p in block if p.requires_grad] for block in own()]
    else:
        parts = [_trainable(block) for block in (_blocks(module) if blocks is None else blocks)]
    _check_cover(module, parts)
    parts = [part for part in parts if part]
    rates = _rates(learning_rate, decay, len(parts))
    groups = []
    for part, rate in zip(parts, rates, strict=True):
        if weight_decay is None:
            groups.append({"params": part, "lr": rate})
            continue
        for some, own in (([p for p in part if p.ndim > 1], weight_decay), ([p for p in part if p.ndim <= 1], 0.0)):
            if some:
                groups.append({"params": some, "lr": rate, "weight_decay": own})
    return groups


def _blocks(module: nn.Module) -> list[nn.Module]:
    children = list(module.children())
    own = [p for p in module.parameters(recurse=False) if p.requires_grad]
    if own or not children:
        return [module]
    return _blocks(children[0]) if len(children) == 1 else children


def _trainable(block: nn.Module) -> list[nn.Parameter]:
    return [p for p in block.parameters() if p.requires_grad]


def _check_cover(module: nn.Module, parts: Sequence[Sequence[nn.Parameter]]) -> None:
    covered = [id(p) for part in parts for p in part]
    missing = [name for name, p in module.named_parameters() if p.requires_grad and id(p) not in covered]
    if missing:
        raise TrainingError(f"the blocks leave out parameters that need a gradient: {missing}")
    if len(set(covered)) < len(covered):
        raise TrainingError("a parameter is in more than one of the blocks")


def _rates(learning_rate: float | tuple[float, float], decay: float, count: int) -> list[float]:
    if isinstance(learning_rate, tuple):
        low, high = learning_rate
        if decay != 1.0:
            raise TrainingError("give either a pair of learning rates or decay, not both")
    else:
        high = learning_rate
        low = high * decay ** (count - 1)
    if low <= 0 or high <= 0:
        raise TrainingError(f"learning_rate is {learning_rate} and decay {decay}; expected numbers above 0")
    if count == 1:
        return [high]
    return [low * (high / low) ** (i / (count - 1)) for i in range(count)]
