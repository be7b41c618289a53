"""Callbacks of the user: classes named as ``module:Class``, and objects passed to `train`.

Objects are checked, described in the run folder, and compared when the run is resumed. An object cannot be created from
a file, but its description can be compared: its class and its arguments that are plain values.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from torch.optim.lr_scheduler import LRScheduler
from torch.optim.lr_scheduler import ReduceLROnPlateau as PlateauScheduler

from regraft.callbacks import TorchScheduler
from regraft.callbacks.as_callback import as_callback
from regraft.errors import ConfigError, TrainingError, did_you_mean, several


def own_callbacks(names: Sequence[str]) -> list[Any]:
    """Return an object of each class in ``names``, created without arguments.

    Modules come from Python's path, to which the current folder is appended.

    Args:
        names: names such as ``"my_callbacks:Alarm"``, of subclasses of regraft's or Keras's callbacks, or of classes
            with their hooks.

    Raises:
        ConfigError: a module or class is missing, is not a callback, or cannot be created; one message names all.
    """
    made: list[Any] = []
    problems: list[str] = []
    causes: list[BaseException] = []
    for name in names:
        try:
            made.append(_create(name))
        except ConfigError as error:
            problems.append(str(error))
            causes.append(error.__cause__ or error)
    if problems:
        raise ConfigError(several("callback", problems)) from causes[0]
    return made


def _create(name: str) -> Any:
    module_name, _, path = name.partition(":")
    target: Any = _module(module_name)
    where = module_name
    for part in path.split("."):
        if not hasattr(target, part):
            near = did_you_mean(part, [public for public in vars(target) if not public.startswith("_")])
            raise ConfigError(f"{where} has no {part!r}{near}")
        target, where = getattr(target, part), f"{where}:{part}"
    if isinstance(target, type):
        try:
            target = target()
        except Exception as error:
            raise ConfigError(f"{name} cannot be created without arguments: {_one_line(error)}") from error
    try:
        return as_callback(target)
    except TrainingError as error:
        raise ConfigError(
            f"{name} is not a callback; expected a subclass of regraft.callbacks.Callback or keras.callbacks.Callback"
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
            raise ConfigError(f"importing {name} failed: {_one_line(error)}") from error
        modules = [path.stem for path in Path.cwd().iterdir() if path.suffix == ".py" or path.is_dir()]
        near = did_you_mean(name, modules)
        raise ConfigError(f"there is no module {error.name!r}, neither installed nor in {here}{near}") from error
    except Exception as error:
        raise ConfigError(f"importing {name} failed: {_one_line(error)}") from error


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


SETS_RATE = ("LearningRateScheduler", "ReduceLROnPlateau", "StepSchedule")
"""Names of the classes of regraft and Keras that set the learning rate."""

_OWN_SNAPSHOTS = "BackupAndRestore"


@dataclass(frozen=True)
class Given:
    """The callbacks that the user passed to `train`.

    Attributes:
        objects: callback objects, in their order.
        names: classes as ``module:Class``, in their order.
        descriptions: descriptions of the objects, see `described`.
    """

    objects: tuple[Any, ...] = ()
    names: tuple[str, ...] = ()
    descriptions: tuple[str, ...] = ()


def given_callbacks(callbacks: Any) -> Given:
    """Return the callbacks in ``callbacks``: objects and ``module:Class`` names, one or several, also in nested lists.

    Raises:
        ConfigError: a value is not a callback, or has no effect in a recipe; one message names all.
    """
    objects: list[Any] = []
    names: list[str] = []
    problems: list[str] = []
    for one in _flat(callbacks):
        if isinstance(one, str):
            names.append(one)
            continue
        try:
            objects.append(_usable(one))
        except (ConfigError, TrainingError) as error:
            problems.append(str(error).removeprefix("callbacks contains "))
    if problems:
        raise ConfigError(several("callbacks", problems))
    return Given(tuple(objects), tuple(names), tuple(described(one) for one in objects))


def _usable(one: Any) -> Any:
    if isinstance(one, (LRScheduler, PlateauScheduler, TorchScheduler)):
        raise ConfigError(
            f"a {type(one).__name__} belongs to an optimizer, and a recipe makes its own: use "
            "LearningRateScheduler or ReduceLROnPlateau of regraft.callbacks, or lr_schedule="
        )
    if _OWN_SNAPSHOTS in _kinds(one):
        raise ConfigError(f"a {_OWN_SNAPSHOTS} is not needed: a run keeps its own snapshots, see snapshot_every=")
    if inspect.isroutine(one):
        name = getattr(one, "__name__", "f")
        raise ConfigError(f"the function {name}; write LambdaCallback(on_epoch_end={name}) of regraft.callbacks")
    return as_callback(one)


def _flat(callbacks: Any) -> list[Any]:
    if callbacks is None:
        return []
    if isinstance(callbacks, (list, tuple)):
        return [one for some in callbacks for one in _flat(some)]
    return [callbacks]


def _kinds(one: Any) -> set[str]:
    return {base.__name__ for base in type(one).__mro__}


def sets_rate(callback: Any) -> bool:
    """Return whether the class of ``callback`` sets the learning rate."""
    return not _kinds(callback).isdisjoint(SETS_RATE)


def described(callback: Any) -> str:
    """Return a callback's class and its plain arguments, such as ``"my:Alarm(level=3, action=<function beep>)"``.

    The description includes an argument if the object has an attribute of the same name. Equal objects have equal
    descriptions, also in another process.
    """
    kind = type(callback)
    arguments = []
    for name in _parameters(kind):
        value = getattr(callback, name, _parameters)
        if value is not _parameters:
            arguments.append(f"{name}={_text(value)}")
    return f"{kind.__module__}:{kind.__qualname__}({', '.join(arguments)})"


def _parameters(kind: type) -> list[str]:
    try:
        parameters = inspect.signature(kind).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]


def _text(value: Any) -> str:
    if value is None or isinstance(value, (bool, int, float, str)):
        return repr(value)
    if isinstance(value, os.PathLike):
        return repr(os.fspath(value))
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_text(one) for one in value)}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_text(key)}: {_text(one)}' for key, one in value.items())}}}"
    if inspect.isroutine(value):
        return f"<function {getattr(value, '__qualname__', '?')}>"
    return f"<{type(value).__name__}>"


def check_given(expected: Sequence[str], objects: Sequence[Any], *, optional: bool) -> None:
    """Compare callback objects with those that a configuration describes.

    Args:
        expected: descriptions in the configuration.
        objects: the objects of this call.
        optional: whether they may be missing, as for a finished run.

    Raises:
        ConfigError: the objects do not match the descriptions.
    """
    descriptions = [described(one) for one in objects]
    if list(expected) == descriptions or (optional and not descriptions):
        return
    if not descriptions:
        raise ConfigError(
            several(
                "callbacks were given to this training as objects, which cannot be stored in a file", list(expected)
            )
            + "\n  give objects like them in Python: regraft.train(PHOTOS, config=FILE, callbacks=[...]), or "
            "regraft.resume(RUN, callbacks=[...])"
            "\n  or, for a new training without them, remove callbacks from the file; classes by name go under callback"
        )
    pairs = [f"then {text}" for text in expected] + [f"now  {text}" for text in descriptions]
    raise ConfigError(several("callbacks differ from those that the training began with", pairs))


def check_schedules(own: Sequence[Any], chosen: dict[str, Any]) -> None:
    """Check that callbacks of the user and options do not both set the learning rate.

    Args:
        own: the user's callbacks.
        chosen: options by name, such as ``lr_schedule``; None and False mean that an option is not set.

    Raises:
        ConfigError: both would set the learning rate.
    """
    setting = [type(one).__name__ for one in own if sets_rate(one)]
    options = [f"{name}={value!r}" for name, value in chosen.items() if value not in (None, False)]
    if setting and options:
        raise ConfigError(
            f"{' and '.join(setting)} and {' and '.join(options)} would both set the learning rate; choose one of them"
        )
