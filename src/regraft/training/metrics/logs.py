"""The logs of a batch, whose values are computed only if a callback reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from regraft.training.pytree import to_numpy


class BatchLogs(dict[str, Any]):
    """A dict of values that are computed, all at once, when the dict is first read.

    On a GPU, this is when the processor synchronizes with the device: once, and only if a callback reads the dict.

    Args:
        figures: by name, either ``(total, count)``, whose ratio is the value, or a function that computes the value.
    """

    __slots__ = ("__weakref__", "_figures")

    def __init__(self, figures: Mapping[str, Any]) -> None:
        super().__init__(figures)  # json's C code reads the size before the items
        self._figures: Mapping[str, Any] | None = figures

    def compute(self) -> None:
        """Compute the values, if they are not computed yet."""
        figures, self._figures = self._figures, None
        if not figures:
            return
        values = _ratios_on_host(figures)
        if values is None:
            dict.clear(self)
            values = _computed(figures)
        dict.update(self, values)

    def __reduce__(self) -> Any:
        self.compute()
        return dict, (dict(self),)


def _compute_first(name: str) -> Callable[..., Any]:
    own = getattr(dict, name)

    def method(self: BatchLogs, *args: Any, **kwargs: Any) -> Any:
        if self._figures is not None:
            self.compute()
        return own(self, *args, **kwargs)

    method.__name__ = name
    method.__doc__ = own.__doc__
    return method


for _name in (
    "__getitem__", "__setitem__", "__delitem__", "__iter__", "__len__", "__contains__", "__eq__", "__ne__", "__repr__",
    "__or__", "__ror__", "__ior__", "__reversed__", "get", "keys", "values", "items", "pop", "popitem", "setdefault",
    "update", "copy", "clear",
):  # fmt: skip
    setattr(BatchLogs, _name, _compute_first(_name))


def _ratios_on_host(figures: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the values if all are ratios of numbers and tensors on the host, the usual case; otherwise None."""
    values = {}
    for name, figure in figures.items():
        if not isinstance(figure, tuple):
            return None
        total, count = figure
        if isinstance(total, Tensor):
            if not total.is_cpu:
                return None
            total = total.item()
        if isinstance(count, Tensor):
            if not count.is_cpu:
                return None
            count = count.item()
        values[name] = total / count if count else 0.0
    return values


def _computed(figures: Mapping[str, Any]) -> dict[str, Any]:
    results = {name: figure() if callable(figure) else figure for name, figure in figures.items()}
    sides = [side for value in results.values() if isinstance(value, tuple) for side in value]
    numbers = iter(_fetch(sides))
    values: dict[str, Any] = {}
    for name, value in results.items():
        if isinstance(value, tuple):
            values[name] = _ratio(next(numbers), next(numbers))
        else:
            values.update(_flat(name, value))
    return values


def _fetch(values: list[Any]) -> list[float]:
    """Return numbers and tensors without dimensions as numbers; those on a device are fetched in one transfer."""
    away = [v for v in values if isinstance(v, Tensor) and not v.is_cpu]
    if not away:
        return [v.item() if isinstance(v, Tensor) else v for v in values]
    precise = torch.float32 if away[0].device.type == "mps" else torch.float64
    transferred = iter(torch.stack([t.to(precise) for t in away]).tolist())
    return [_number(v, transferred) if isinstance(v, Tensor) else v for v in values]


def _number(value: Tensor, transferred: Iterator[float]) -> float:
    return float(value.item()) if value.is_cpu else next(transferred)


def _ratio(total: float, count: float) -> float:
    return total / count if count else 0.0


def _flat(name: str, value: Any) -> dict[str, Any]:
    """Return the result of a metric by name: numbers and arrays, also of a nested dict."""
    if isinstance(value, Mapping):
        return {str(key): one for part, inner in value.items() for key, one in _flat(part, inner).items()}
    array = to_numpy(value)
    return {name: array.item() if hasattr(array, "item") and array.ndim == 0 else array}
