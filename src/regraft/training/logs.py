"""Figures of a batch that cost nothing until someone looks at them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from regraft.training.structure import to_numpy


class BatchLogs(dict[str, Any]):
    """A dict of figures that are computed, all at once, when the dict is first looked at.

    On a GPU that is when the processor waits for the device: once, and only if a callback asks.

    Args:
        figures: by name, ``(total, count)`` of which the figure is the ratio, or a function that computes it.
    """

    __slots__ = ("__weakref__", "_figures")

    def __init__(self, figures: Mapping[str, Any]) -> None:
        super().__init__(figures)  # json looks at the size in C before it asks for the items
        self._figures: Mapping[str, Any] | None = figures

    def settle(self) -> None:
        """Compute the figures, if that was not done."""
        figures, self._figures = self._figures, None
        if figures:
            dict.clear(self)
            dict.update(self, _computed(figures))

    def __reduce__(self) -> Any:
        self.settle()
        return dict, (dict(self),)


def _settling(name: str) -> Callable[..., Any]:
    own = getattr(dict, name)

    def method(self: BatchLogs, *args: Any, **kwargs: Any) -> Any:
        if self._figures is not None:
            self.settle()
        return own(self, *args, **kwargs)

    method.__name__ = name
    method.__doc__ = own.__doc__
    return method


for _name in (
    "__getitem__", "__setitem__", "__delitem__", "__iter__", "__len__", "__contains__", "__eq__", "__ne__", "__repr__",
    "__or__", "__ror__", "__ior__", "__reversed__", "get", "keys", "values", "items", "pop", "popitem", "setdefault",
    "update", "copy", "clear",
):  # fmt: skip
    setattr(BatchLogs, _name, _settling(_name))


def _computed(figures: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: figure() if callable(figure) else figure for name, figure in figures.items()}
    sides = [side for value in found.values() if isinstance(value, tuple) for side in value]
    numbers = iter(_fetch(sides))
    figured: dict[str, Any] = {}
    for name, value in found.items():
        if isinstance(value, tuple):
            figured[name] = _ratio(next(numbers), next(numbers))
        else:
            figured.update(_flat(name, value))
    return figured


def _fetch(values: list[Any]) -> list[float]:
    """Return figures, some of them tensors without dimensions, on the host; those of a device in one transfer."""
    away = [v for v in values if isinstance(v, Tensor) and not v.is_cpu]
    if not away:
        return [v.item() if isinstance(v, Tensor) else v for v in values]
    precise = torch.float32 if away[0].device.type == "mps" else torch.float64
    brought = iter(torch.stack([t.to(precise) for t in away]).tolist())
    return [_here(v, brought) if isinstance(v, Tensor) else v for v in values]


def _here(value: Tensor, brought: Iterator[float]) -> float:
    return float(value.item()) if value.is_cpu else next(brought)


def _ratio(total: float, count: float) -> float:
    return total / count if count else 0.0


def _flat(name: str, value: Any) -> dict[str, Any]:
    """Return what a metric computed as figures: a number, or an array, or a dict of them."""
    if isinstance(value, Mapping):
        return {str(key): one for part, inner in value.items() for key, one in _flat(part, inner).items()}
    array = to_numpy(value)
    return {name: array.item() if hasattr(array, "item") and array.ndim == 0 else array}
