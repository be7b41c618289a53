"""timm without torch's compiler: its import takes a second, and only to mark functions for a compiler nobody calls.

While timm and torchvision are imported, ``torch._dynamo`` is a stand-in that notes what is asked for and does it when
the function is first called. Whatever else is asked of it brings the real one, then and there.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_NAMES = ("torch._dynamo", "torch._dynamo.utils")


@contextmanager
def dynamo_later() -> Iterator[None]:
    """Within it, importing what merely mentions torch's compiler does not load it; where it is there, it stays."""
    if _NAMES[0] in sys.modules:
        yield
        return
    found = importlib.util.find_spec(_NAMES[0])
    for name in _NAMES:
        sys.modules[name] = stand_in = _StandIn(name)
        stand_in.__path__ = list(found.submodule_search_locations or ()) if found else []
    try:
        yield
    finally:
        _withdraw()


class _StandIn(ModuleType):
    """In the place of a module that is to be loaded later."""

    def __getattr__(self, name: str) -> Any:
        if name in _LATER and self.__name__ == _LATER[name].home:
            return _LATER[name]
        if name.startswith("__"):
            raise AttributeError(name)
        _withdraw()
        return getattr(importlib.import_module(self.__name__), name)


class _Function:
    """A function of a module that is to be loaded later."""

    def __init__(self, home: str, name: str) -> None:
        self.home, self._name = home, name

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        return getattr(importlib.import_module(self.home), self._name)(*arguments, **more)


class _Disable(_Function):
    """``torch._dynamo.disable``: the function it is given is disabled when it is first called."""

    def __call__(self, fn: Callable[..., Any] | None = None, recursive: bool = True, **more: Any) -> Any:
        if fn is None:
            return functools.partial(self, recursive=recursive, **more)
        return _disabled(fn, functools.partial(super().__call__, fn, recursive, **more))


def _disabled(fn: Callable[..., Any], disable: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
    real = functools.cache(disable)

    @functools.wraps(fn)
    def later(*arguments: Any, **more: Any) -> Any:
        return real()(*arguments, **more)

    return later


_LATER = {
    "disable": _Disable(_NAMES[0], "disable"),
    "is_compile_supported": _Function(_NAMES[1], "is_compile_supported"),
}


def _withdraw() -> None:
    for name in _NAMES:
        if isinstance(sys.modules.get(name), _StandIn):
            del sys.modules[name]
