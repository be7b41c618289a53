"""Tensors, tuples and dicts of tensors, alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regraft.errors import TrainingError


def tree_map(function: Callable[[Any], Any], tree: Any) -> Any:
    """Return ``tree`` (a leaf, or nested tuples, lists and dicts of leaves) with ``function`` applied to each leaf."""
    if isinstance(tree, Tensor):
        return function(tree)
    if isinstance(tree, Mapping):
        return {key: tree_map(function, value) for key, value in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(tree_map(function, value) for value in tree))
    if isinstance(tree, (tuple, list)):
        return type(tree)(tree_map(function, value) for value in tree)
    return function(tree)


def call(module: Callable[..., Any], x: Any) -> Any:
    """Call a module: a tuple or list is its arguments, a dict its keyword arguments."""
    if isinstance(x, Tensor):
        return module(x)
    if isinstance(x, Mapping):
        return _call_by_name(module, x)
    if isinstance(x, (tuple, list)):
        return module(*x)
    return module(x)


def _call_by_name(module: Callable[..., Any], x: Mapping[str, Any]) -> Any:
    try:
        return module(**x)
    except TypeError as error:
        if "keyword argument" not in str(error):
            raise
        raise TrainingError(
            f"a dict contains the inputs of the module by name, and the module does not take {', '.join(map(str, x))}: "
            f"{error}\n  let the data yield (x, y), such as with a collate_fn: lambda rows: (inputs, targets)"
        ) from error


def leaves(tree: Any) -> Iterator[Any]:
    """Yield the leaves of ``tree`` that are not None, in order."""
    if isinstance(tree, Mapping):
        for value in tree.values():
            yield from leaves(value)
    elif isinstance(tree, (tuple, list)):
        for value in tree:
            yield from leaves(value)
    elif tree is not None:
        yield tree


def size_of(tree: Any) -> int:
    """Return the number of samples in a batch: the first dimension of its first leaf."""
    return tree.shape[0] if isinstance(tree, Tensor) else len(next(leaves(tree)))


def is_array(value: Any) -> bool:
    """Return whether ``value`` is a tensor or something that NumPy takes as an array, and has a first dimension."""
    if isinstance(value, (Tensor, np.ndarray)):
        return value.ndim > 0
    return hasattr(value, "__array__") and hasattr(value, "shape") and len(value.shape) > 0


def as_tensor(value: Any) -> Any:
    """Return an array as a tensor without copying where possible; float64 becomes float32."""
    if isinstance(value, Tensor):
        return value
    if not (hasattr(value, "__array__") or isinstance(value, (int, float, bool))):
        return value
    array = np.asarray(value)
    if array.dtype == np.float64:
        array = array.astype(np.float32)
    if array.dtype == object or array.dtype.kind in "USMm":
        return value
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))  # the byte order of another machine
    if not array.flags.writeable or any(step < 0 for step in array.strides):
        array = array.copy()
    return torch.from_numpy(array) if array.ndim else torch.tensor(array.item())


def concatenate(parts: list[Any]) -> Any:
    """Join batches of the same structure along their first dimension, as NumPy arrays."""
    first = parts[0]
    if isinstance(first, Mapping):
        return {key: concatenate([part[key] for part in parts]) for key in first}
    if isinstance(first, (tuple, list)):
        return type(first)(concatenate([part[i] for part in parts]) for i in range(len(first)))
    try:
        return np.concatenate(parts)
    except ValueError as error:
        shapes = ", ".join(str(np.shape(part)) for part in parts[:3])
        raise TrainingError(
            f"the outputs of the batches have different shapes, so they cannot be joined: {shapes} …\n  call "
            "predict_on_batch for each batch"
        ) from error


def to_numpy(value: Any) -> Any:
    """Return a tensor as an array on the host; bfloat16, which NumPy lacks, as float32."""
    if not isinstance(value, Tensor):
        return value
    value = value.detach()
    return (value.float() if value.dtype is torch.bfloat16 else value).cpu().numpy()
