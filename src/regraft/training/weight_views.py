"""Parameters and buffers with the attributes of a Keras variable, for callbacks that read and set weights."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from regraft.errors import TrainingError
from regraft.training.pytree import as_tensor, to_numpy, tree_map


class Weight(Tensor):
    """A view of a parameter or buffer: a tensor without gradient on the same memory, with the methods of a variable.

    Changing it in place, or by `assign`, changes the module. ``value`` is the parameter itself, which ``grad``,
    ``requires_grad`` and ``trainable`` belong to. Copies are plain tensors.

    Example:
        >>> bias = model.layers[-1].weights[1]
        >>> bias.name, bias.numpy().shape
        ('3.bias', (3,))
        >>> bias.assign(np.zeros(3)).sum()
        tensor(0.)
    """

    _source: Tensor
    _name: str

    @classmethod
    def of(cls, source: Tensor, name: str) -> Self:
        """Return the view of a parameter or buffer called ``name``."""
        view = source.detach().as_subclass(cls)
        view._source, view._name = source, name
        return view

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run a function on plain tensors; gradients are asked of the parameter itself."""
        if function is torch.autograd.grad:
            args, kwargs = tree_map(_source_of, args), tree_map(_source_of, kwargs or {})
        with torch._C.DisableTorchFunctionSubclass():
            return function(*args, **(kwargs or {}))

    @property
    def name(self) -> str:
        """The name in the network, such as ``"layer1.0.conv1.weight"``."""
        return self._name

    @property
    def path(self) -> str:
        """The name, with slashes."""
        return self._name.replace(".", "/")

    @property
    def value(self) -> Tensor:
        """The parameter or buffer itself."""
        return self._source

    @property
    def trainable(self) -> bool:
        """True if training changes it."""
        return self._source.requires_grad

    @trainable.setter
    def trainable(self, value: Any) -> None:
        self._source.requires_grad_(bool(value))

    @property
    def requires_grad(self) -> bool:
        """True if the parameter needs a gradient."""
        return self._source.requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self._source.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set whether the parameter needs a gradient."""
        self._source.requires_grad_(requires_grad)
        return self

    @property
    def grad(self) -> Tensor | None:
        """The gradient of the parameter."""
        return self._source.grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        self._source.grad = value

    @property
    def is_leaf(self) -> bool:  # type: ignore[override]
        """False: an optimizer needs the parameter itself, ``value``, and refuses this view."""
        return False

    def numpy(self, **_: Any) -> np.ndarray[Any, Any]:
        """Return a copy as an array."""
        return np.array(to_numpy(self._source))

    def assign(self, value: Any, *_: Any, **__: Any) -> Self:
        """Set the values; return this view.

        Raises:
            TrainingError: the shape differs.
        """
        new = as_tensor(value)
        if not isinstance(new, Tensor) or new.shape != self.shape:
            shape = tuple(new.shape) if isinstance(new, Tensor) else type(value).__name__
            raise TrainingError(f"{self._name} has shape {tuple(self.shape)}, and was assigned {shape}")
        with torch.no_grad():
            self._source.copy_(new.detach())
        return self

    def assign_add(self, value: Any, *_: Any, **__: Any) -> Self:
        """Add to the values; return this view."""
        return self.assign(self._source.detach() + as_tensor(value))

    def assign_sub(self, value: Any, *_: Any, **__: Any) -> Self:
        """Subtract from the values; return this view."""
        return self.assign(self._source.detach() - as_tensor(value))

    def __deepcopy__(self, memo: Any) -> Any:
        return self._source.detach().clone()

    def __copy__(self) -> Any:
        return self._source.detach().clone()

    def __reduce_ex__(self, protocol: Any) -> Any:
        return copy.copy(self).__reduce_ex__(protocol)

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"<{self._name}, shape {tuple(self.shape)}: {self._source.detach()!r}>"


def _source_of(leaf: Any) -> Any:
    return leaf._source if isinstance(leaf, Weight) else leaf


def views(tensors: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]], prefix: str = "") -> list[Weight]:
    """Return the views of parameters and buffers by name."""
    pairs = tensors.items() if isinstance(tensors, Mapping) else tensors
    start = f"{prefix}." if prefix else ""
    return [Weight.of(tensor, f"{start}{name}") for name, tensor in pairs]


def views_of(module: nn.Module, *, trainable: bool, recurse: bool = True, prefix: str = "") -> list[Weight]:
    """Return the views of the parameters that need a gradient; or of the others, and of the buffers."""
    named = [(n, p) for n, p in module.named_parameters(recurse=recurse) if p.requires_grad == trainable]
    return views([*named, *(() if trainable else module.named_buffers(recurse=recurse))], prefix)
