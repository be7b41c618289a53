"""Import of timm: with mismatched builds of torch and torchvision, and without torch's compiler.

timm imports torchvision. A torchvision whose compiled operators do not load, such as a CUDA build with a CPU build of
torch, fails while it registers shapes for operators that it never defined: ``operator torchvision::nms does not
exist``. A classifier needs none of these operators. Declaring their schemas is enough for the import to succeed. A call
of such an operator still fails, with torch's message that it has no kernel. ``import regraft`` installs this repair, so
that ``import timm`` and ``import torchvision`` also succeed in the user's own script. The repair acts on this one
failure only, and imports nothing itself.

Importing torch's compiler, ``torch._dynamo``, takes a second, and timm only uses it to mark functions. While timm and
torchvision are imported, a lazy module replaces it, and marks each function when it is first called. Any other access
loads the real module.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

_SYMPTOM = "operator torchvision::nms does not exist"
_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_OPERATORS = ("nms", "qnms")
_INSTALL = "pip install --force-reinstall torch torchvision --index-url https://download.pytorch.org/whl/cpu"

_declared_libraries: list[object] = []  # torch drops the schemas when the library object is freed


def import_timm() -> ModuleType:
    """Import timm and return it. The import takes seconds, so call this only when a network is built or listed.

    Raises:
        BackboneError: timm or torchvision is missing, or torchvision does not match torch.
    """
    if "timm" in sys.modules:
        return sys.modules["timm"]
    from regraft.errors import BackboneError
    from regraft.process import importing

    with importing(), lazy_dynamo():
        try:
            import_torchvision()
            return importlib.import_module("timm")
        except (ImportError, RuntimeError, OSError, AttributeError) as error:
            raise BackboneError(_import_error_message(error)) from error


def import_torchvision() -> None:
    """Import torchvision, and repair the one known failure described above; a good installation is not changed.

    Any other failure is raised unchanged, also if one remains after the repair.
    """
    if "torchvision" in sys.modules:
        return
    install_torchvision_repair()
    try:
        importlib.import_module("torchvision")
    except ModuleNotFoundError as error:
        if error.name != "torchvision":
            raise


def install_torchvision_repair() -> None:
    """Install the repair in this process; all later imports of torchvision use it."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Import finder that gives torchvision a loader with the repair."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of torchvision; None for any other module."""
        if fullname != "torchvision":
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or type(spec.loader) is not SourceFileLoader:
            return None
        spec.loader = _RepairingLoader(spec.loader.name, spec.loader.path)
        return spec


class _RepairingLoader(SourceFileLoader):
    """Loader that runs the module; on the known failure, it declares the operators and runs the module again."""

    def exec_module(self, module: ModuleType) -> None:
        """Run ``module``."""
        try:
            super().exec_module(module)
        except RuntimeError as error:
            if _SYMPTOM not in str(error):
                raise
            for name in [name for name in sys.modules if name.startswith("torchvision.")]:
                del sys.modules[name]
            _declare_operators()
            super().exec_module(module)


def _declare_operators() -> None:
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in _OPERATORS:
        if not hasattr(torch.ops.torchvision, name):
            library.define(name + _SIGNATURE)  # type: ignore[no-untyped-call]
    _declared_libraries.append(library)


def _import_error_message(error: Exception) -> str:
    versions = ", ".join(f"{package} {_version(package)}" for package in ("torch", "torchvision", "timm"))
    return (
        f"timm cannot be imported ({type(error).__name__}: {error}); expected timm, and builds of torch and "
        f"torchvision that match, found {versions}; install torch and torchvision with one command, such as: "
        f"{_INSTALL}"
    )


def _version(package: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "(missing)"


_DYNAMO = ("torch._dynamo", "torch._dynamo.utils")


@contextmanager
def lazy_dynamo() -> Iterator[None]:
    """Context manager in which imports do not load torch's compiler; if it is already loaded, nothing changes."""
    if _DYNAMO[0] in sys.modules:
        yield
        return
    spec = importlib.util.find_spec(_DYNAMO[0])
    for name in _DYNAMO:
        sys.modules[name] = stand_in = _LazyModule(name)
        stand_in.__path__ = list(spec.submodule_search_locations or ()) if spec else []
    try:
        yield
    finally:
        _remove_lazy_modules()


class _LazyModule(ModuleType):
    """Replacement for a module that is loaded later."""

    def __getattr__(self, name: str) -> Any:
        if name in _LAZY_FUNCTIONS and self.__name__ == _LAZY_FUNCTIONS[name].home:
            return _LAZY_FUNCTIONS[name]
        if name.startswith("__"):
            raise AttributeError(name)
        _remove_lazy_modules()
        return getattr(importlib.import_module(self.__name__), name)


class _LazyFunction:
    """Function of a module that is loaded when the function is called."""

    def __init__(self, home: str, name: str) -> None:
        self.home, self._name = home, name

    def __call__(self, *arguments: Any, **more: Any) -> Any:
        return getattr(importlib.import_module(self.home), self._name)(*arguments, **more)


class _LazyDisable(_LazyFunction):
    """``torch._dynamo.disable``: it disables the given function when that function is first called."""

    def __call__(self, fn: Callable[..., Any] | None = None, recursive: bool = True, **more: Any) -> Any:
        if fn is None:
            return functools.partial(self, recursive=recursive, **more)
        return _disabled_on_first_call(fn, functools.partial(super().__call__, fn, recursive, **more))


def _disabled_on_first_call(fn: Callable[..., Any], disable: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
    real = functools.cache(disable)

    @functools.wraps(fn)
    def later(*arguments: Any, **more: Any) -> Any:
        return real()(*arguments, **more)

    return later


_LAZY_FUNCTIONS = {
    "disable": _LazyDisable(_DYNAMO[0], "disable"),
    "is_compile_supported": _LazyFunction(_DYNAMO[1], "is_compile_supported"),
}


def _remove_lazy_modules() -> None:
    for name in _DYNAMO:
        if isinstance(sys.modules.get(name), _LazyModule):
            del sys.modules[name]
