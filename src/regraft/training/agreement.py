"""Agreement of the data with the module, before the first step: both may have something to say about it.

A data set that offers ``check_module(module)`` raises where the module cannot be meant, and returns a warning or an
empty text otherwise. Others, such as torchvision's, have names of their classes at most. Data sets are found inside
loaders, subsets and concatenations too. A module that offers ``check_outputs()`` raises where it cannot be trained.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from regraft.errors import TrainingError
from regraft.screen import Screen


def check_agreement(module: nn.Module, screen: Screen, *data: Any) -> None:
    """Let every data set in ``data`` compare itself with ``module``; warnings go to ``screen``.

    Raises:
        UserError: a data set was made for another module; see its ``check_module``.
        TrainingError: a data set has the classes of the module in another order, or another number of them.
    """
    check = getattr(module, "check_outputs", None)
    if callable(check):
        check()
    for dataset in {id(one): one for one in _datasets(data)}.values():
        if callable(getattr(dataset, "check_module", None)):
            warning = dataset.check_module(module)
            if warning:
                screen.warn(warning)
        else:
            _check_names(_names(getattr(dataset, "classes", None)), _names(getattr(module, "classes", None)))


def _check_names(data: list[str], module: list[str]) -> None:
    """Compare names of classes; of other names in equal number nobody knows that they are wrong."""
    if data and module and (len(data) != len(module) or (sorted(data) == sorted(module) and data != module)):
        raise TrainingError(
            f"the classes of the data set are {', '.join(data[:10])}, those of the module {', '.join(module[:10])}: "
            "expected the same, in the same order"
        )


def _names(classes: Any) -> list[str]:
    given = list(classes) if isinstance(classes, (list, tuple)) else []
    return given if all(isinstance(name, str) for name in given) else []


def _datasets(data: Any, depth: int = 8) -> Iterator[Any]:
    """Yield the data sets in ``data`` that have something to say."""
    if isinstance(data, tuple):
        for one in data:
            yield from _datasets(one, depth - 1)
    elif callable(getattr(data, "check_module", None)) or _names(getattr(data, "classes", None)):
        yield data
    elif depth > 0:
        inner = [getattr(data, "dataset", None), *(getattr(data, "datasets", None) or ())]
        for one in inner:
            if one is not None and one is not data:
                yield from _datasets(one, depth - 1)
