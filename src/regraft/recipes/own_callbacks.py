"""A user's own callbacks, named as ``module:Class``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from regraft.callbacks.callback_list import as_callback
from regraft.errors import ConfigError, TrainingError, did_you_mean, several


def own_callbacks(names: Sequence[str]) -> list[Any]:
    """Return an object of each class in ``names``, made without arguments.

    Modules are found as Python finds them, and in the current folder, which is put at the end of the path.

    Args:
        names: such as ``"my_callbacks:Alarm"``; classes of regraft's or Keras's callbacks, or with their hooks.

    Raises:
        ConfigError: a module or class is missing, is no callback, or cannot be made; all in one message.
    """
    made: list[Any] = []
    problems: list[str] = []
    causes: list[BaseException] = []
    for name in names:
        try:
            made.append(_made(name))
        except ConfigError as error:
            problems.append(str(error))
            causes.append(error.__cause__ or error)
    if problems:
        raise ConfigError(several("callback", problems)) from causes[0]
    return made


def _made(name: str) -> Any:
    module_name, _, path = name.partition(":")
    found: Any = _module(module_name)
    where = module_name
    for part in path.split("."):
        if not hasattr(found, part):
            near = did_you_mean(part, [known for known in vars(found) if not known.startswith("_")])
            raise ConfigError(f"{where} has no {part!r}{near}")
        found, where = getattr(found, part), f"{where}:{part}"
    if isinstance(found, type):
        try:
            found = found()
        except Exception as error:
            raise ConfigError(f"{name} cannot be made without arguments: {_said(error)}") from error
    try:
        return as_callback(found)
    except TrainingError as error:
        raise ConfigError(
            f"{name} is no callback; expected a subclass of regraft.callbacks.Callback or keras.callbacks.Callback"
        ) from error


def _module(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
            raise ConfigError(f"importing {name} failed: {_said(error)}") from error
        known = [path.stem for path in Path.cwd().iterdir() if path.suffix == ".py" or path.is_dir()]
        near = did_you_mean(name, known)
        raise ConfigError(f"there is no module {error.name!r}, neither installed nor in {here}{near}") from error
    except Exception as error:
        raise ConfigError(f"importing {name} failed: {_said(error)}") from error


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
