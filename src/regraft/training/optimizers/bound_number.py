"""Numbers of an optimizer that are read like plain numbers and set like a Keras variable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np


class _Bound:
    """The methods of a Keras variable, for `BoundFloat` and `BoundInt`.

    Like any Python number, the object has the value at the time when it was read, so that a list of them is a history.
    ``numpy()``, ``value``, ``item()`` and a call read the optimizer again. After `assign`, arithmetic, comparisons and
    formatting of this object also use the optimizer's present value.
    """

    _owner: Any
    _attribute: str
    _follows: bool
    shape: tuple[int, ...] = ()
    ndim = 0
    trainable = False

    def _bind(self, owner: Any, attribute: str) -> Self:
        self._owner, self._attribute, self._follows = owner, attribute, False
        return self

    @property
    def name(self) -> str:
        """The name of the attribute."""
        return self._attribute

    path = name

    @property
    def value(self) -> Self:
        """The optimizer's present value. It can also be called, like ``value()`` of TensorFlow's variables."""
        present: Self = getattr(self._owner, self._attribute)
        return present

    def __call__(self, *args: Any, **kwargs: Any) -> Self:
        return self.value

    read_value = __call__

    def numpy(self) -> Any:
        """Return the present value as a NumPy scalar."""
        return np.float64(self.item()) if isinstance(self, float) else np.int64(self.item())

    def item(self) -> Any:
        """Return the present value as a plain Python number."""
        return _plain(self.value)

    def assign(self, value: Any, *args: Any, **kwargs: Any) -> Self:
        """Set the optimizer's value; return it."""
        setattr(self._owner, self._attribute, value)
        self._follows = True
        return self.value

    def assign_add(self, value: Any, *args: Any, **kwargs: Any) -> Self:
        """Add to the optimizer's value; return the sum."""
        return self.assign(self.item() + _plain(value))

    def assign_sub(self, value: Any, *args: Any, **kwargs: Any) -> Self:
        """Subtract from the optimizer's value; return the difference."""
        return self.assign(self.item() - _plain(value))

    def __copy__(self) -> Any:
        return self.__reduce_ex__(2)[1][0]

    def __deepcopy__(self, memo: Any) -> Any:
        return self.__copy__()


class BoundFloat(_Bound, float):
    """A float of an optimizer, such as its learning rate. Copies and pickles are plain floats."""

    dtype = np.dtype("float32")

    def __reduce_ex__(self, protocol: Any) -> Any:
        return float, (self._number(),)

    def _number(self) -> float:
        return float.__float__(self.value if self._follows else self)


class BoundInt(_Bound, int):
    """A whole number of an optimizer, such as its iterations. Copies and pickles are plain ints."""

    dtype = np.dtype("int32")

    def __reduce_ex__(self, protocol: Any) -> Any:
        return int, (self._number(),)

    def _number(self) -> int:
        return int.__int__(self.value if self._follows else self)


def bound(value: float, owner: Any, attribute: str) -> Any:
    """Return ``value`` as a number whose ``assign`` sets ``owner.attribute``."""
    kind = BoundInt if isinstance(value, int) else BoundFloat
    return kind(value)._bind(owner, attribute)


def _plain(value: Any) -> Any:
    if isinstance(value, BoundFloat):
        return float.__float__(value)
    if isinstance(value, BoundInt):
        return int.__int__(value)
    return value.item() if callable(getattr(value, "item", None)) else value


def _forwarding(kind: Any, name: str) -> Callable[..., Any]:
    method = getattr(kind, name)

    def forwarded(self: Any, *args: Any) -> Any:
        return method(self._number(), *args)

    forwarded.__name__ = name
    return forwarded


_OPERATIONS = (
    "abs", "add", "bool", "divmod", "eq", "float", "floordiv", "format", "ge", "gt", "hash", "int", "le", "lt", "mod",
    "mul", "ne", "neg", "pos", "pow", "radd", "rdivmod", "repr", "rfloordiv", "rmod", "rmul", "round", "rpow", "rsub",
    "rtruediv", "str", "sub", "truediv", "trunc",
)  # fmt: skip
for _kind, _base in ((BoundFloat, float), (BoundInt, int)):
    for _operation in _OPERATIONS:
        setattr(_kind, f"__{_operation}__", _forwarding(_base, f"__{_operation}__"))
