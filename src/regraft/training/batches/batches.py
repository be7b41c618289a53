"""The protocol of batch sources, and batches of arrays and of map-style data sets."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from regraft.errors import TrainingError
from regraft.randomness import permutation
from regraft.training.batches.loaders import explained
from regraft.training.pytree import as_tensor, leaves, tree_map


@runtime_checkable
class BatchSource(Protocol):
    """The protocol of a source of batches for `Trainer.fit`. An epoch can begin at any of its batches.

    Example:
        >>> class RandomBatches:
        ...     def __len__(self):
        ...         return 10
        ...     def epoch(self, epoch, start=0):
        ...         for i in range(start, len(self)):
        ...             generator = torch.Generator().manual_seed(100 * epoch + i)
        ...             x = torch.randn(16, 8, generator=generator)
        ...             yield x, (x[:, 0] > 0).long() + (x[:, 1] > 0.5).long()
        >>> isinstance(RandomBatches(), BatchSource)
        True
        >>> history = model.fit(RandomBatches(), epochs=2, verbose=0)
    """

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """Yield the batches ``x``, ``(x,)``, ``(x, y)`` or ``(x, y, weight)`` of an epoch, from number ``start`` on."""


def order_of(size: int, shuffle: bool | str, batch_size: int, seed: int, epoch: int) -> list[torch.Tensor]:
    """Return the positions of the samples of each batch, int64: a pure function of the arguments.

    ``shuffle="batch"`` keeps the order of the batches and shuffles within them.
    """
    if shuffle and shuffle != "batch":
        order = torch.from_numpy(permutation(size, "order", seed, epoch))
    else:
        order = torch.arange(size)
    parts = list(torch.split(order, batch_size))
    if shuffle == "batch":
        parts = [p[torch.from_numpy(permutation(len(p), "batch", seed, epoch, i))] for i, p in enumerate(parts)]
    return parts


class ArrayBatches:
    """Batches of tensors and arrays in memory.

    Args:
        data: ``(x, y, weight)``; each None, an array, or a tuple or dict of several. Memory-mapped arrays are read
            batch by batch.
        batch_size: samples per batch; the last batch may have fewer.
        shuffle: whether each epoch has a new order.
        seed: seed of the orders, together with the epoch.

    Raises:
        TrainingError: the arrays have different lengths, or no samples.
    """

    def __init__(self, data: Any, *, batch_size: int, shuffle: bool | str = False, seed: int = 0) -> None:
        self.data = _detached(tree_map(lambda leaf: leaf if isinstance(leaf, np.memmap) else as_tensor(leaf), data))
        self.size = _common_length(self.data)
        self.batch_size, self.shuffle, self.seed = batch_size, shuffle, seed
        _warn_of_nan(self.data)

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return math.ceil(self.size / self.batch_size)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """Yield the batches of an epoch, from number ``start`` on."""
        if not self.shuffle:
            for i in range(start * self.batch_size, self.size, self.batch_size):
                yield tree_map(_taking(slice(i, i + self.batch_size)), self.data)
            return
        for positions in order_of(self.size, self.shuffle, self.batch_size, self.seed, epoch)[start:]:
            yield tree_map(_taking(positions), self.data)


def _detached(data: Any) -> Any:
    """Return the data without the computation that it comes from, which only one batch could go back through."""
    if any(isinstance(leaf, Tensor) and leaf.grad_fn is not None for leaf in leaves(data)):
        warnings.warn(
            "the data is the output of a module, with its gradient graph: it is used as fixed numbers, and what "
            "computed it is not trained; to train that module too, make it a part of the Trainer's",
            RuntimeWarning,
            stacklevel=2,
        )
        data = tree_map(lambda leaf: leaf.detach() if isinstance(leaf, Tensor) and leaf.grad_fn else leaf, data)
    return data


def _taking(at: Any) -> Callable[[Any], Any]:
    """Return a function that selects the samples ``at``, a slice or positions, of an array."""

    def take(leaf: Any) -> Any:
        if isinstance(leaf, np.memmap):
            return as_tensor(np.array(leaf[at.numpy() if isinstance(at, Tensor) else at]))
        return None if leaf is None else leaf[at]

    return take


def _common_length(data: Any) -> int:
    """Return the number of samples.

    Raises:
        TrainingError: the arrays have different lengths, or no samples.
    """
    if isinstance(data, (tuple, list)) and len(data) == 3:
        parts = dict(zip(("x", "y", "sample_weight"), data, strict=True))
    else:
        parts = {"x": data}
    lengths = {name: sorted({len(leaf) for leaf in leaves(part)}) for name, part in parts.items()}
    lengths = {name: found for name, found in lengths.items() if found}
    every = {length for found in lengths.values() for length in found}
    if len(every) != 1:
        words = ", ".join(f"{name} has {' and '.join(map(str, found))}" for name, found in lengths.items())
        several = isinstance(parts["x"], (list, tuple)) and len(parts["x"]) > 1
        hint = (
            f"\n  x is a list of {len(parts['x'])} arrays, which are {len(parts['x'])} inputs, as in Keras; one array "
            "of all samples is np.stack(x)"
        )
        raise TrainingError(f"x, y and sample_weight have different lengths: {words}{hint if several else ''}")
    if 0 in every:
        raise TrainingError("the data has 0 samples")
    return every.pop()


def _warn_of_nan(data: Any) -> None:
    if not isinstance(data, (tuple, list)) or len(data) != 3:
        return
    for name, leaf in [("y", leaf) for leaf in leaves(data[1])] + [("sample_weight", leaf) for leaf in leaves(data[2])]:
        if isinstance(leaf, Tensor) and leaf.is_floating_point():
            count = int(leaf.isnan().flatten(1).any(1).sum() if leaf.ndim > 1 else leaf.isnan().sum())
            if count:
                warnings.warn(f"{name} contains NaN in {count} of {len(leaf)} samples", RuntimeWarning, stacklevel=2)


class DatasetBatches:
    """Batches of a map-style data set, read and collated by ``torch.utils.data.DataLoader``.

    Args:
        dataset: object with ``__len__`` and ``__getitem__`` (and ``__getitems__``, if it can read several samples at
            once).
        batch_size: samples per batch; the last batch may have fewer.
        shuffle: whether each epoch has a new order.
        seed: seed of the orders, together with the epoch.

    Raises:
        TrainingError: the data set has no samples.
    """

    def __init__(self, dataset: Dataset[Any], *, batch_size: int, shuffle: bool | str = False, seed: int = 0) -> None:
        self.dataset = dataset
        self.size = len(dataset)  # type: ignore[arg-type]
        if not self.size:
            raise TrainingError(f"the data set ({type(dataset).__name__}) has 0 samples")
        self.batch_size, self.shuffle, self.seed = batch_size, shuffle, seed

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return math.ceil(self.size / self.batch_size)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """Yield the batches of an epoch, from number ``start`` on."""
        order = order_of(self.size, self.shuffle, self.batch_size, self.seed, epoch)[start:]
        return explained(iter(DataLoader(self.dataset, batch_sampler=[part.tolist() for part in order])))
