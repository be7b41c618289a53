"""Conversion of what a user gives to ``fit`` as callbacks, of regraft, Keras or torch, to a flat list of callbacks."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from regraft.callbacks.callback import Callback
from regraft.callbacks.torch_scheduler import TorchScheduler
from regraft.errors import TrainingError, did_you_mean


def as_callback(given: Any) -> Any:
    """Return ``given`` as a callback: torch schedulers are wrapped, objects with Keras's hooks are returned unchanged.

    Raises:
        TrainingError: ``given`` is not a callback.
    """
    if isinstance(given, (torch.optim.lr_scheduler.LRScheduler, torch.optim.lr_scheduler.ReduceLROnPlateau)):
        return TorchScheduler(given)
    if isinstance(given, type):
        raise TrainingError(f"callbacks contains the class {given.__name__}; expected an instance: {given.__name__}()")
    if all(callable(getattr(given, name, None)) for name in ("set_model", "set_params", "on_epoch_end")):
        _check_foreign(given)
        _warn_of_misspelt_hooks(given)
        return given
    raise TrainingError(
        f"callbacks contains a {type(given).__name__}; expected regraft or Keras callbacks, or torch schedulers"
    )


def flat_callbacks(callbacks: Any) -> list[Any]:
    """Return all callbacks in ``callbacks``: None, one callback, or nested lists and dicts of them."""
    if callbacks is None:
        return []
    if isinstance(callbacks, Mapping):
        callbacks = list(callbacks.values())
    if isinstance(callbacks, Iterable) and not isinstance(callbacks, (str, bytes)) and not isinstance(callbacks, type):
        return [one for some in callbacks for one in flat_callbacks(some)]
    return [callbacks]


def check_unique(callbacks: Sequence[Any]) -> None:
    """Raise `TrainingError` if ``callbacks`` contains the same object twice."""
    objects = [callback.scheduler if isinstance(callback, TorchScheduler) else callback for callback in callbacks]
    for i, one in enumerate(objects):
        if any(one is other for other in objects[:i]):
            raise TrainingError(
                f"callbacks contains the same {type(one).__name__} twice: each hook would be called twice; "
                "create a second instance, or leave it out"
            )


def _check_foreign(callback: Any) -> None:
    """Raise `TrainingError` for callbacks of Keras that need Keras's own model or optimizer."""
    home, name = type(callback).__module__, type(callback).__name__
    if home.startswith("keras.") and name in ("TensorBoard", "SwapEMAWeights", "BackupAndRestore", "OrbaxCheckpoint"):
        instead = "BackupAndRestore or ModelCheckpoint" if name == "OrbaxCheckpoint" else name
        raise TrainingError(f"keras.callbacks.{name} needs a model of Keras; use {instead} of regraft.callbacks")


def _warn_of_misspelt_hooks(callback: Any) -> None:
    """Warn of methods that look like hooks and are none, such as ``on_epoch_ends``: nothing calls them."""
    kinds = [kind for kind in type(callback).__mro__ if kind.__module__.partition(".")[0] not in ("keras", "regraft")]
    named = {name for kind in kinds for name, value in vars(kind).items() if name.startswith("on_") and callable(value)}
    for name in sorted(named - set(HOOKS)):
        warnings.warn(
            f"{type(callback).__name__} has a method {name}, which is not a hook of callbacks, so that nothing calls it"
            f"{did_you_mean(name, HOOKS)}",
            UserWarning,
            stacklevel=4,
        )


HOOKS = tuple(name for name in dir(Callback) if name.startswith("on_"))
