"""Adapters from the data of ``fit``, ``evaluate`` and ``predict`` to a source of batches."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from regraft.errors import TrainingError
from regraft.training.batches.batches import ArrayBatches, DatasetBatches
from regraft.training.batches.indexed import IndexedBatches
from regraft.training.batches.loaders import IterableBatches, LoaderBatches, OneShotBatches
from regraft.training.pytree import as_tensor, is_array, leaves, size_of, tree_map
from regraft.training.third_party import is_keras


def are_arrays(x: Any) -> bool:
    """Return whether ``x`` is an array, or a tuple, list or dict of arrays: several inputs, as in Keras."""
    if x is None or isinstance(x, (str, bytes)):
        return False
    if not isinstance(x, (tuple, list, Mapping)):
        return is_array(x)
    if isinstance(x, list) and x and isinstance(x[0], (tuple, list, Mapping)):
        return False  # a list of batches
    parts = list(leaves(x))
    return bool(parts) and all(is_array(leaf) for leaf in parts)


def with_arrays(data: Any, name: str) -> Any:
    """Return ``data`` with (nested) lists of numbers as arrays; all other values are unchanged.

    Args:
        data: x, y or sample_weight.
        name: its name, for messages.

    Raises:
        TrainingError: ``data`` contains lists of different lengths, or text.
    """
    if isinstance(data, Mapping):
        return {key: with_arrays(value, f"{name}[{key!r}]") for key, value in data.items()}
    if isinstance(data, tuple):
        return tuple(with_arrays(part, name) for part in data) if not is_numbers(data) else _array(data, name)
    if isinstance(data, list) and is_numbers(data):
        return _array(data, name)
    if isinstance(data, list) and data and isinstance(data[0], str):
        raise TrainingError(_text(name, data[0]))
    return data


def check_values(data: Any, name: str) -> None:
    """Check that arrays contain numbers.

    Raises:
        TrainingError: an array contains text, dates or objects.
    """
    for leaf in leaves(data):
        if isinstance(leaf, Tensor) or not is_array(leaf):
            continue
        array = np.asarray(leaf)
        if array.dtype.kind in "USO" and array.size and isinstance(array.flat[0], str):
            raise TrainingError(_text(name, array.flat[0]))
        if array.dtype.kind in "USOMmV":
            raise TrainingError(
                f"{name} has values of type {array.dtype}; expected numbers\n  for a table with text, dates or gaps, "
                "choose and convert its columns; give arrays of different shapes one shape"
            )


def _text(name: str, example: Any) -> str:
    return (
        f"{name} contains text, such as {str(example)!r}; expected numbers\n  number the classes: "
        "names, y = np.unique(labels, return_inverse=True)"
    )


def is_numbers(data: Any) -> bool:
    """Return whether the first item of a (nested) list is a number or a tensor without dimensions."""
    while isinstance(data, (list, tuple)):
        if not data:
            return False
        data = data[0]
    if isinstance(data, (Tensor, np.ndarray)):
        return data.ndim == 0
    return isinstance(data, (bool, int, float, np.generic))


def _array(data: Any, name: str) -> Any:
    if isinstance(data[0], Tensor):
        return torch.stack(list(data))
    try:
        return np.asarray(data)
    except ValueError as error:
        raise TrainingError(
            f"{name} is a list of lists of different lengths; expected equal lengths\n  pad them to one length"
        ) from error


def as_batch_source(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    batch_size: int | None = None,
    shuffle: bool | str = False,
    seed: int = 0,
    steps: int | None = None,
) -> Any:
    """Return a source of batches for ``x``, which may be arrays, a data set, a loader, or a source itself.

    A data set with a method ``batches(batch_size=, shuffle=)`` provides its own source.

    Raises:
        TrainingError: ``x`` has an unknown type, or ``y`` is given although ``x`` has its own targets.
    """
    if isinstance(x, (type, str, bytes)) or hasattr(x, "toarray"):
        raise TrainingError(_unknown_data_message(x))
    x, y, sample_weight = _lists_as_arrays(x, y, sample_weight)
    if are_arrays(x):
        size = size_of(x)
        samples = batch_size or (max(1, math.ceil(size / steps)) if steps else 32)
        return ArrayBatches((x, y, sample_weight), batch_size=samples, shuffle=shuffle, seed=seed)
    if y is not None or sample_weight is not None:
        name = "y" if y is not None else "sample_weight"
        raise TrainingError(f"{name} is given, but x is a {type(x).__name__}, which has its own targets and weights")
    if callable(getattr(x, "epoch", None)) and hasattr(x, "__len__"):
        return x
    if callable(getattr(x, "batches", None)):
        return x.batches(batch_size=batch_size or 32, shuffle=bool(shuffle))
    if isinstance(x, IterableDataset):
        return LoaderBatches(DataLoader(x, batch_size=batch_size or 32))
    if isinstance(x, DataLoader):
        return LoaderBatches(x)
    if gives_batches(x):
        return IndexedBatches(x, shuffle=shuffle, seed=seed)
    if is_map_style(x):
        return DatasetBatches(x, batch_size=batch_size or 32, shuffle=shuffle, seed=seed)
    if isinstance(x, Iterator):
        return OneShotBatches(x)
    if isinstance(x, Iterable) and not isinstance(x, (Mapping, set)):
        return IterableBatches(x)
    raise TrainingError(_unknown_data_message(x))


def _lists_as_arrays(x: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, Any]:
    x = with_arrays(x, "x") if isinstance(x, (list, Mapping)) else x
    if not are_arrays(x):
        return x, y, sample_weight
    y, sample_weight = with_arrays(y, "y"), with_arrays(sample_weight, "sample_weight")
    if isinstance(sample_weight, Mapping) and not all(map(is_array, leaves(sample_weight))):
        raise TrainingError(
            "sample_weight is a dict of numbers; expected a weight for each sample\n  weights by class are class_weight"
        )
    for part, name in ((x, "x"), (y, "y"), (sample_weight, "sample_weight")):
        check_values(part, name)
    return x, y, sample_weight


def _unknown_data_message(x: Any) -> str:
    kinds = (
        "expected tensors, arrays, a Dataset, a DataLoader, an iterable of batches, or an object with __len__() and "
        "epoch(epoch, start)"
    )
    if inspect.isfunction(x) or inspect.ismethod(x):
        return f"x is the function {x.__name__}, not what it returns; write {x.__name__}()"
    if isinstance(x, type):
        return f"x is the class {x.__name__}; expected an instance: {x.__name__}(...)"
    if isinstance(x, Mapping):
        parts = ", ".join(f"{key!r}: {type(value).__name__}" for key, value in list(x.items())[:5])
        return (
            f"x is a dict of {{{parts}}}; expected a dict of arrays, by input\n  pass one of them, such as x['train']"
        )
    if hasattr(x, "toarray"):
        return f"x is a sparse {type(x).__name__}; {kinds}\n  x.toarray() is an array"
    return f"x is a {type(x).__name__}; {kinds}"


def gives_batches(x: Any) -> bool:
    """Return whether ``x[0]`` is a whole batch.

    True for Keras's ``PyDataset`` and ``Sequence`` and for classes with ``on_epoch_end``; False for a
    ``torch.utils.data.Dataset``. For any other class the first item decides: if its target is a number, it is a sample;
    x and y of equal lengths may be a batch or a sample, and are refused.

    Raises:
        TrainingError: the items may be samples or batches.
    """
    if isinstance(x, (Dataset, DataLoader, tuple, Mapping, str, bytes)) or is_array(x):
        return False
    if not (hasattr(x, "__getitem__") and (hasattr(x, "__len__") or hasattr(x, "num_batches"))):
        return False
    if isinstance(x, list):
        return False
    if is_keras(x) or callable(getattr(x, "on_epoch_end", None)):
        return True
    if not len(x):
        return False
    item = x[0]
    if not _may_be_batch(item):
        return False
    shapes = ", ".join(str(tuple(part.shape)) for part in leaves(item))
    name = type(x).__name__
    raise TrainingError(
        f"{name}[0] contains arrays of shapes {shapes}, which may be one sample or a whole batch\n  for samples derive "
        f"{name} from torch.utils.data.Dataset; for batches derive it from keras.utils.PyDataset, give it a method "
        "on_epoch_end, or pass a DataLoader(..., batch_size=None)"
    )


def _may_be_batch(item: Any) -> bool:
    """Return whether an item may be a batch: arrays of equal lengths; a single array has two dimensions or more."""
    if isinstance(item, Mapping):
        return False
    parts = list(leaves(item))
    if not parts or not all(is_array(part) for part in parts):
        return False
    return len({len(part) for part in parts}) == 1 and (len(parts) > 1 or len(parts[0].shape) > 1)


def is_map_style(x: Any) -> bool:
    """Return whether ``x`` is a data set of samples, with a length and samples by number."""
    if isinstance(x, list):
        return _is_list_of_samples(x)
    if isinstance(x, (DataLoader, tuple, Mapping, str, bytes)):
        return False
    return isinstance(x, Dataset) or (hasattr(x, "__getitem__") and hasattr(x, "__len__"))


def _is_list_of_samples(x: list[Any]) -> bool:
    """Return whether a list contains samples (x, y), not batches: its first target is a number or a text."""
    if not x or not isinstance(x[0], (tuple, list)) or len(x[0]) < 2:
        return False
    target = x[0][1]
    return isinstance(target, (bool, int, float, str)) or (hasattr(target, "ndim") and target.ndim == 0)


def split_validation(x: Any, y: Any, sample_weight: Any, share: float) -> tuple[tuple[Any, Any, Any], Any]:
    """Use the last ``share`` of the samples, before any shuffling, as validation data.

    Returns:
        ``(x, y, sample_weight)`` of the remaining samples, and the validation data as ``validation_data`` of ``fit``.

    Raises:
        TrainingError: one of the two parts would be empty, or ``x`` cannot be split.
    """
    if not 0 < share < 1:
        raise TrainingError(f"validation_split is {share}; expected a share between 0 and 1")
    x, y, sample_weight = _lists_as_arrays(x, y, sample_weight)
    arrays = are_arrays(x)
    if not arrays and (not is_map_style(x) or gives_batches(x)):
        raise TrainingError(
            f"validation_split splits arrays and data sets of samples, not a {type(x).__name__}; pass validation_data "
            "instead"
        )
    size = size_of(x) if arrays else len(x)
    cut = math.floor(size * (1.0 - share))
    if cut in (0, size):
        raise TrainingError(f"{size} samples cannot be split with validation_split={share}: one part would be empty")
    if not arrays:
        return (Subset(x, range(cut)), y, sample_weight), Subset(x, range(cut, size))
    ArrayBatches((x, y, sample_weight), batch_size=1)  # checks that the lengths are equal
    data = tree_map(_sliceable, (x, y, sample_weight))
    first, last = (tree_map(_select(part), data) for part in (slice(0, cut), slice(cut, size)))
    return first, last


def _sliceable(leaf: Any) -> Any:
    return leaf if isinstance(leaf, np.memmap) else as_tensor(leaf)


def _select(part: slice) -> Callable[[Any], Any]:
    return lambda leaf: None if leaf is None else leaf[part]
