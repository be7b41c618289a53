"""Agreement of the data with the module, before the first step: a data set may have something to say about it.

A data set that offers ``check_module(module)`` raises where the module cannot be meant, and returns a warning or an
empty text otherwise. It is found inside loaders, subsets and concatenations too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from regraft.screen import Screen


def check_agreement(module: nn.Module, screen: Screen, *data: Any) -> None:
    """Let every data set in ``data`` compare itself with ``module``; warnings go to ``screen``.

    Raises:
        UserError: a data set was made for another module; see its ``check_module``.
    """
    for dataset in dict.fromkeys(_datasets(data)):
        warning = dataset.check_module(module)
        if warning:
            screen.warn(warning)


def _datasets(data: Any, depth: int = 8) -> Iterator[Any]:
    """Yield the data sets in ``data`` that have something to say."""
    if isinstance(data, tuple):
        for one in data:
            yield from _datasets(one, depth - 1)
    elif callable(getattr(data, "check_module", None)):
        yield data
    elif depth > 0:
        inner = [getattr(data, "dataset", None), *(getattr(data, "datasets", None) or ())]
        for one in inner:
            if one is not None and one is not data:
                yield from _datasets(one, depth - 1)
