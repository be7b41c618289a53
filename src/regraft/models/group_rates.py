"""Parameter groups of one block: matrices, which weight decay shrinks, and the rest; and rates that can be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import nn

from regraft.errors import ConfigError, several


def check_rates(rates: Mapping[str, Any]) -> None:
    """Check the rates of `Classifier.parameter_groups`; those that are None were not given.

    Raises:
        ConfigError: a rate is not a number above 0, or ``weight_decay`` is not one from 0; all of them are named.
    """
    problems = [
        f"{name}: expected a number {'from' if name == 'weight_decay' else 'above'} 0, found {value!r}"
        for name, value in rates.items()
        if value is not None and not _proper(value, or_zero=name == "weight_decay")
    ]
    if problems:
        raise ConfigError(several("parameter_groups", problems))


def _proper(value: Any, *, or_zero: bool) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and (value > 0 or (or_zero and value == 0))


def spared_from_decay(network: nn.Module) -> set[str]:
    """Return the parameters that timm says weight decay should spare, such as position tables."""
    names: Callable[[], Iterable[str]] = getattr(network, "no_weight_decay", tuple)
    return set(names())


def decayed_or_not(
    name: str, parameters: dict[str, nn.Parameter], spared: set[str], lr: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Return up to two groups of a block: its matrices, and its vectors, which have no weight decay."""
    decayed = [p for key, p in parameters.items() if p.ndim > 1 and key not in spared]
    others = [p for key, p in parameters.items() if p.ndim <= 1 or key in spared]
    pairs = ((decayed, weight_decay), (others, 0.0))
    return [{"name": name, "params": params, "lr": lr, "weight_decay": decay} for params, decay in pairs if params]
