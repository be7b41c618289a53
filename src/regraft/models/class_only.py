"""`class_only`: a class method that an object refuses, because its result would be lost.

``classifier.load(path)`` looks as if it changed ``classifier``, as in Keras. It would return another one, and a
script that ignores that predicts with untrained weights (Lightning-AI/pytorch-lightning#5648, #19218).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, update_wrapper
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class class_only(Generic[P, R]):  # noqa: N801 (used as a decorator, such as classmethod)
    """Decorate a function of (class, ...) so that it is called on the class alone; on an object it raises TypeError."""

    def __init__(self, function: Callable[Concatenate[Any, P], R]) -> None:
        self._function = function
        update_wrapper(self, function)  # type: ignore[arg-type]

    def __get__(self, instance: Any, owner: type[Any]) -> Callable[P, R]:
        """Return the function for the class, or, for an object, one that raises."""
        bound = update_wrapper(partial(self._function, owner), self._function)
        if instance is None:
            del bound.__wrapped__  # its signature has the class too
            return bound
        name, method = owner.__name__, self._function.__name__

        def refuse(*args: P.args, **kwargs: P.kwargs) -> R:
            raise TypeError(
                f"{method} was called on an object, and would return another one; write "
                f"{name.lower()} = {name}.{method}(...)"
            )

        return refuse
