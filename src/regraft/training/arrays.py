"""Arrays in memory as data: recognised, and made of Python lists of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regraft.errors import TrainingError
from regraft.training.structure import is_array, leaves


def are_arrays(x: Any) -> bool:
    """Return whether ``x`` is an array, or a tuple, list or dict of arrays: several inputs, as in Keras."""
    if x is None or isinstance(x, (str, bytes)):
        return False
    if not isinstance(x, (tuple, list, Mapping)):
        return is_array(x)
    found = list(leaves(x))
    if isinstance(x, list) and x and isinstance(x[0], (tuple, list, Mapping)):
        return False  # a list of batches
    return bool(found) and all(is_array(leaf) for leaf in found)


def with_arrays(given: Any, name: str) -> Any:
    """Return ``given`` with lists of numbers, which may be nested, as arrays; anything else is left as it is.

    Args:
        given: x, y or sample_weight.
        name: its name, for messages.

    Raises:
        TrainingError: lists of numbers of different lengths, or text.
    """
    if isinstance(given, Mapping):
        return {key: with_arrays(value, f"{name}[{key!r}]") for key, value in given.items()}
    if isinstance(given, tuple):
        return tuple(with_arrays(part, name) for part in given) if not _is_numbers(given) else _array(given, name)
    if isinstance(given, list) and _is_numbers(given):
        return _array(given, name)
    if isinstance(given, list) and given and isinstance(given[0], str):
        raise TrainingError(_text(name, given[0]))
    return given


def check_values(given: Any, name: str) -> None:
    """Check that arrays hold numbers.

    Raises:
        TrainingError: they hold text, dates or objects.
    """
    for leaf in leaves(given):
        if isinstance(leaf, Tensor) or not is_array(leaf):
            continue
        array = np.asarray(leaf)
        if array.dtype.kind in "USO" and array.size and isinstance(array.flat[0], str):
            raise TrainingError(_text(name, array.flat[0]))
        if array.dtype.kind in "USOMmV":
            raise TrainingError(
                f"{name} holds values of type {array.dtype}; expected numbers\n  for a table with text, dates or gaps, "
                "choose and convert its columns; for arrays of different shapes, bring them to one shape"
            )


def _text(name: str, example: Any) -> str:
    return (
        f"{name} holds text, such as {str(example)!r}; expected numbers\n  number the classes: "
        "names, y = np.unique(labels, return_inverse=True)"
    )


def _is_numbers(given: Any) -> bool:
    """Return whether a list, or the lists in it, begin with a number or a tensor without dimensions."""
    while isinstance(given, (list, tuple)):
        if not given:
            return False
        given = given[0]
    if isinstance(given, (Tensor, np.ndarray)):
        return given.ndim == 0
    return isinstance(given, (bool, int, float, np.generic))


def _array(given: Any, name: str) -> Any:
    if isinstance(given[0], Tensor):
        return torch.stack(list(given))
    try:
        return np.asarray(given)
    except ValueError as error:
        raise TrainingError(
            f"{name} is a list of lists of different lengths, which make no array\n  fill them up to one length"
        ) from error
