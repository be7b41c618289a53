"""The state of an object that nobody gave a `state_dict`: its attributes that are numbers, texts, arrays or tensors."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor


def plain_state(given: Any) -> dict[str, Any]:
    """Return copies of the attributes of ``given`` that a snapshot can hold."""
    return {name: copy.deepcopy(value) for name, value in vars(given).items() if _is_plain(value)}


def load_plain_state(given: Any, state: Mapping[str, Any]) -> None:
    """Set the attributes that `plain_state` returned."""
    for name, value in state.items():
        own = getattr(given, name, None)
        setattr(given, name, tuple(value) if isinstance(own, tuple) else copy.deepcopy(value))


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(_is_plain(one) for one in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(one) for key, one in value.items())
    return value is None or isinstance(value, (bool, int, float, str, np.ndarray, Tensor))
