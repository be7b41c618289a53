"""Messages about tensors that do not fit a module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor


def state_dict_mismatches(given: Mapping[str, Tensor], own: Mapping[str, Tensor], where: str) -> list[str]:
    """Return, in words, every tensor that is missing, too many, or of another shape.

    Args:
        given: tensors by name.
        own: the module's, by name.
        where: what they are given in, such as ``"the file"``.
    """
    problems = [f"{name} is missing in {where}" for name in own if name not in given]
    problems += [f"{name} is in {where}, but the module has no such tensor" for name in given if name not in own]
    problems += [
        f"{name} has shape {tuple(given[name].shape)} in {where}; the module expects {tuple(own[name].shape)}"
        for name in own
        if name in given and given[name].shape != own[name].shape
    ]
    return problems


SHOWN = 3


def listed(names: Sequence[str]) -> str:
    """Return the first names and the number of the others: ``"a, b, c and 4 more"``."""
    shown = ", ".join(name or "the module" for name in names[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"
