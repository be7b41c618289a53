"""Parameters of a loss, such as the centers of classes in metric learning, that the optimizer does not train."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import nn

from regraft.text import shorten


def warn_of_loss_parameters(
    loss: Any, module: nn.Module, groups: Iterable[Mapping[str, Any]], warn: Callable[[str], None]
) -> None:
    """Warn if a loss has trainable parameters that are neither in the module nor in a group of the optimizer.

    Args:
        loss: a loss, or a list or dict of losses.
        module: the module that is trained.
        groups: the parameter groups of the optimizer.
        warn: prints a warning.
    """
    losses = loss.values() if isinstance(loss, Mapping) else loss if isinstance(loss, (list, tuple)) else [loss]
    held = {id(p) for group in groups for p in group["params"]} | {id(p) for p in module.parameters()}
    for one in losses:
        own = one.named_parameters() if isinstance(one, nn.Module) else ()
        left = [name for name, p in own if p.requires_grad and id(p) not in held]
        if left:
            warn(
                f"the loss {type(one).__name__} has parameters of its own, which the optimizer does not train: "
                f"{shorten(left)}; pass parameters=[*module.parameters(), *loss.parameters()] to the Trainer"
            )
