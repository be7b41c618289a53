"""What keeps given tensors from fitting a module."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def misfits(given: Mapping[str, Tensor], own: Mapping[str, Tensor], where: str) -> list[str]:
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
