"""Number formats of inputs, converted to that of the module where it cannot take them as they are.

Keras converts inputs to single precision. A torch module may want whole numbers (an embedding) or convert images
itself, so inputs are handed over as they are first, and converted only where the module refuses them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from regraft.training.modes import Say, undone_on_error
from regraft.training.pytree import call, leaves, tree_map

_SMALL = (torch.uint8, torch.int8, torch.bool)  # pixels and masks, never an embedding's indices

Convert = Callable[[Any], Any]


class InputTypes:
    """Calls a module with inputs of the number format that it accepts.

    Args:
        module: what is called, for the format of its parameters.
        device: where it runs.
        say: prints a label and a text on the screen.
    """

    def __init__(self, module: nn.Module, device: torch.device, say: Say) -> None:
        self._module, self._device, self._say = module, device, say
        self._decided: dict[tuple[torch.dtype, ...], Convert] = {}
        self.dtype: torch.dtype | None = None
        self.refresh()

    def refresh(self) -> None:
        """Read the number format of the parameters again: None if there are several or none."""
        floats = {p.dtype for p in self._module.parameters() if p.dtype.is_floating_point}
        before, self.dtype = self.dtype, floats.pop() if len(floats) == 1 else None
        if self.dtype is not before:
            self._decided = {}
        self._unchanged: torch.dtype | None = None  # tensors of this format are handed over as they are

    def call(self, forward: Callable[..., Any], x: Any) -> Any:
        """Return ``forward`` of ``x``: a tuple or list is its arguments, a dict its keyword arguments."""
        if isinstance(x, Tensor) and x.dtype is self._unchanged:
            return forward(x)
        if self.dtype is None:
            return call(forward, x)
        kinds = (x.dtype,) if isinstance(x, Tensor) else tuple(i.dtype for i in leaves(x) if isinstance(i, Tensor))
        convert = self._decided.get(kinds)
        if convert is None:
            return self._decide(forward, x, kinds)
        if convert is _as_given and isinstance(x, Tensor):
            self._unchanged = x.dtype
        return call(forward, convert(x))

    def _decide(self, forward: Callable[..., Any], x: Any, kinds: tuple[torch.dtype, ...]) -> Any:
        """Return the outputs, converting inputs by the first conversion that the module accepts."""
        assert self.dtype is not None
        has_table = any(isinstance(part, nn.Embedding) for part in self._module.modules())
        if not has_table and all(kind is self.dtype for kind in kinds):
            self._decided[kinds] = _as_given
            return call(forward, x)
        refusals: list[Exception] = []
        for convert in (_as_given, _conversion_to(self.dtype, _SMALL), _conversion_to(self.dtype, None), _to_indices):
            try:
                with undone_on_error(self._module, self._device):
                    outputs = call(forward, convert(x))
            except (RuntimeError, TypeError) as error:
                refusals.append(error)
                continue
            self._decided[kinds] = convert
            if refusals:
                self._report(kinds, "int64" if convert is _to_indices else _name(self.dtype))
            return outputs
        raise refusals[-1 if has_table else -2]  # the number format is right there, so it names another cause

    def _report(self, kinds: tuple[torch.dtype, ...], taken: str) -> None:
        others = sorted({name for name in map(_name, kinds) if name != taken})
        self._say("inputs", f"{' and '.join(others)} converted to {taken}, values unchanged")


def _as_given(x: Any) -> Any:
    return x


def _conversion_to(dtype: torch.dtype, whole: tuple[torch.dtype, ...] | None) -> Convert:
    """Return a function that converts floats, and integers of the types ``whole`` (None: all), to ``dtype``."""
    return partial(tree_map, partial(_converted, dtype, whole))


def _converted(dtype: torch.dtype, whole: tuple[torch.dtype, ...] | None, leaf: Any) -> Any:
    if not isinstance(leaf, Tensor) or leaf.dtype.is_complex:
        return leaf
    return leaf.to(dtype) if whole is None or leaf.dtype.is_floating_point or leaf.dtype in whole else leaf


def _to_indices(x: Any) -> Any:
    """Return integral values, also of float type, as int64, the type of an embedding's indices."""

    def one(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor) or leaf.dtype.is_complex:
            return leaf
        rows = leaf.long()
        return rows if bool((rows == leaf).all()) else leaf

    return tree_map(one, x)


def _name(dtype: torch.dtype | None) -> str:
    return str(dtype).removeprefix("torch.")
