"""`class_only`: a class method that cannot be called on an object, because its result would be lost.

``classifier.load(path)`` looks as if it changed ``classifier``, as in Keras. It would return another object, and a
script that ignores the result predicts with untrained weights (Lightning-AI/pytorch-lightning#5648, #19218).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, update_wrapper
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class class_only(Generic[P, R]):  # noqa: N801 (used as a decorator, such as classmethod)
    """Decorate a function of (class, ...) as a method of the class; on an instance it raises TypeError."""

    def __init__(self, function: Callable[Concatenate[Any, P], R]) -> None:
        self._function = function
        update_wrapper(self, function)  # type: ignore[arg-type]

    def __get__(self, instance: Any, owner: type[Any]) -> Callable[P, R]:
        """Return the function bound to the class; on an object, a function that raises."""
        bound = update_wrapper(partial(self._function, owner), self._function)
        if instance is None:
            del bound.__wrapped__  # its signature includes the class
            return bound
        name, method = owner.__name__, self._function.__name__

        def refuse(*args: P.args, **kwargs: P.kwargs) -> R:
            raise TypeError(
                f"{method} was called on an object, but returns a new one; write {name.lower()} = {name}.{method}(...)"
            )

        return refuse
