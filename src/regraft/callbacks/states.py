"""The state of any callback: its ``state_dict``, or its attributes that are plain values."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from regraft.callbacks.callback import Callback

AUTOMATIC = "automatic"
_NONE = object()  # no setting
_NOT_STATE = ("model", "params", "_model", "_params", "validation_data")


def settings_of(callback: Any) -> dict[str, Any]:
    """Return copies of the plain attributes of ``callback`` that have the names of arguments of its constructor.

    As long as they do not change, they belong to the script, which may give others when the training is resumed.
    """
    if not _is_automatic(callback):
        return {}
    try:
        names = inspect.signature(type(callback).__init__).parameters
    except (TypeError, ValueError):
        return {}
    return {name: copy.deepcopy(value) for name, value in vars(callback).items() if name in names and _is_plain(value)}


def state_of(callback: Any, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the state of ``callback`` that a resumed training needs.

    Args:
        callback: any callback.
        settings: what `settings_of` returned at the beginning; unchanged ones are left out.

    A callback without a state of its own (Keras's, or a class that does not fill `Callback.saved`) returns its
    attributes that are numbers, texts, arrays, or lists and dicts of these, and the names of the others.
    """
    if getattr(callback, "display", False):
        return {}
    if not _is_automatic(callback):
        return dict(callback.state_dict())
    values = {name: value for name, value in vars(callback).items() if name not in _NOT_STATE}
    plain = {name: value for name, value in values.items() if _is_plain(value)}
    plain = {
        name: value for name, value in plain.items() if not _is_unchanged(value, (settings or {}).get(name, _NONE))
    }
    others = [name for name, value in values.items() if not _is_plain(value) and value is not None]
    return {AUTOMATIC: plain, "others": others} if plain or others else {}


def load_state(callback: Any, state: Mapping[str, Any]) -> bool:
    """Restore the state of ``callback``; return whether it is complete, so that no hook has to be called again."""
    if AUTOMATIC not in state:
        callback.load_state_dict(state)
        return True
    for name, value in state[AUTOMATIC].items():
        setattr(callback, name, value)
    return all(getattr(callback, name, None) is not None for name in state["others"])


def _is_unchanged(value: Any, setting: Any) -> bool:
    if type(value) is not type(setting):
        return False
    if isinstance(value, (list, tuple)):
        return len(value) == len(setting) and all(map(_is_unchanged, value, setting))
    if isinstance(value, dict):
        return value.keys() == setting.keys() and all(_is_unchanged(value[key], setting[key]) for key in value)
    if isinstance(value, (np.ndarray, Tensor)):
        return value.shape == setting.shape and bool((value == setting).all())
    return bool(value == setting)


def _is_automatic(callback: Any) -> bool:
    if not callable(getattr(callback, "state_dict", None)):
        return True
    own = isinstance(callback, Callback) and type(callback).state_dict is Callback.state_dict
    return own and not type(callback).saved


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return type(value) is dict and all(isinstance(k, (str, int)) and _is_plain(v) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return type(value) in (list, tuple) and all(_is_plain(one) for one in value)
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "biuf"
    return value is None or isinstance(value, (str, bytes, int, float, np.generic, Tensor))
