"""A user's own callbacks, named as ``module:Class``.

Callback objects that a person hands to `train`: checked, described for the run folder, compared when it is resumed.

An object cannot be made again from a file. Its description can be compared: its class and those of its arguments that
are plain values, as they were when the training began.
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


SETS_RATE = ("LearningRateScheduler", "ReduceLROnPlateau", "StepSchedule")
"""Classes of regraft and of Keras, by name, whose objects set the learning rate."""

_OWN_SNAPSHOTS = "BackupAndRestore"


@dataclass(frozen=True)
class Given:
    """Callbacks as `train` takes them.

    Attributes:
        objects: callback objects, in their order.
        names: classes as ``module:Class``, in their order.
        descriptions: of the objects, see `described`.
    """

    objects: tuple[Any, ...] = ()
    names: tuple[str, ...] = ()
    descriptions: tuple[str, ...] = ()


def given_callbacks(callbacks: Any) -> Given:
    """Return the callbacks in ``callbacks``: one or several, also in nested lists; objects and ``module:Class``.

    Raises:
        ConfigError: something is no callback, or of no use in a recipe; all of them are named in one message.
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
            problems.append(str(error).removeprefix("callbacks holds "))
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
    """Return whether ``callback`` is of a class that is known to set the learning rate."""
    return not _kinds(callback).isdisjoint(SETS_RATE)


def described(callback: Any) -> str:
    """Return a callback's class and its plain arguments, such as ``"my:Alarm(level=3, action=<function beep>)"``.

    An argument counts if the object keeps it under its own name. Equal objects have equal descriptions, also in
    another process.
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
        known = inspect.signature(kind).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in known if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]


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
        objects: those that were given now.
        optional: whether they need not be given, as for a run that is finished.

    Raises:
        ConfigError: they are not those that the configuration describes.
    """
    found = [described(one) for one in objects]
    if list(expected) == found or (optional and not found):
        return
    if not found:
        raise ConfigError(
            several("callbacks were given to this training as objects, which no file can hold", list(expected))
            + "\n  give objects like them in Python: regraft.train(PHOTOS, config=FILE, callbacks=[...]), or "
            "regraft.resume(RUN, callbacks=[...])"
            "\n  or, for a new training without them, remove callbacks from the file; classes by name go under callback"
        )
    pairs = [f"then {text}" for text in expected] + [f"now  {text}" for text in found]
    raise ConfigError(several("callbacks are not those that the training began with", pairs))


def check_schedules(own: Sequence[Any], chosen: dict[str, Any]) -> None:
    """Refuse own callbacks that set the learning rate beside options that set it too.

    Args:
        own: the person's callbacks.
        chosen: options by name, such as ``lr_schedule``; those that are None or False were not given.

    Raises:
        ConfigError: both would set the learning rate.
    """
    setting = [type(one).__name__ for one in own if sets_rate(one)]
    options = [f"{name}={value!r}" for name, value in chosen.items() if value not in (None, False)]
    if setting and options:
        raise ConfigError(
            f"{' and '.join(setting)} and {' and '.join(options)} would both set the learning rate; choose one of them"
        )
