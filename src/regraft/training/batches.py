"""Where batches come from: arrays, data sets, loaders, generators, or a batch source of one's own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, runtime_checkable

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from regraft.errors import TrainingError
from regraft.randomness import permutation
from regraft.training.structure import as_tensor, is_array, leaves, size_of, tree_map


@runtime_checkable
class BatchSource(Protocol):
    """What `Trainer.fit` reads: seekable by construction, because an epoch can begin at any of its batches."""

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """Yield the batches ``x``, ``(x,)``, ``(x, y)`` or ``(x, y, weight)`` of an epoch, from number ``start`` on."""


def order_of(size: int, shuffle: bool | str, batch_size: int, seed: int, epoch: int) -> list[torch.Tensor]:
    """Return the positions of each batch, int64: a pure function of the arguments.

    ``shuffle="batch"`` leaves the batches where they are and shuffles inside them.
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
    """Batches cut from tensors and arrays that are in memory.

    Args:
        data: ``(x, y, weight)``; each None or arrays, in tuples or dicts where there are several.
        batch_size: samples of a batch; the last one may have fewer.
        shuffle: a new order each epoch.
        seed: what the orders depend on, beside the epoch.

    Raises:
        TrainingError: the arrays do not have the same length.
    """

    def __init__(self, data: Any, *, batch_size: int, shuffle: bool | str = False, seed: int = 0) -> None:
        self.data = tree_map(as_tensor, data)
        lengths = sorted({len(leaf) for leaf in leaves(self.data)})
        if len(lengths) != 1:
            raise TrainingError(f"the arrays of x, y and sample_weight have different lengths: {lengths}")
        self.size = lengths[0]
        self.batch_size, self.shuffle, self.seed = batch_size, shuffle, seed

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


def _taking(at: Any) -> Callable[[Any], Any]:
    return lambda leaf: None if leaf is None else leaf[at]


class DatasetBatches:
    """Batches of a map-style data set, read and put together as ``torch.utils.data.DataLoader`` does.

    Args:
        dataset: has ``__len__`` and ``__getitem__`` (and ``__getitems__``, if it can read several at once).
        batch_size: samples of a batch; the last one may have fewer.
        shuffle: a new order each epoch.
        seed: what the orders depend on, beside the epoch.
    """

    def __init__(self, dataset: Dataset[Any], *, batch_size: int, shuffle: bool | str = False, seed: int = 0) -> None:
        self.dataset = dataset
        self.size = len(dataset)  # type: ignore[arg-type]
        self.batch_size, self.shuffle, self.seed = batch_size, shuffle, seed

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        return math.ceil(self.size / self.batch_size)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """Yield the batches of an epoch, from number ``start`` on."""
        order = order_of(self.size, self.shuffle, self.batch_size, self.seed, epoch)[start:]
        return iter(DataLoader(self.dataset, batch_sampler=[part.tolist() for part in order]))


class IterableBatches:
    """Batches of something that can be iterated again and again, such as a ``DataLoader`` or a list of batches."""

    def __init__(self, batches: Iterable[Any]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        """Return the number of batches, or raise `TypeError` where it is not known."""
        return len(self.batches)  # type: ignore[arg-type]

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """Yield the batches; those before ``start`` are read and left out."""
        iterator = iter(self.batches)
        for _ in range(start):
            next(iterator, None)
        return iterator


class LoaderBatches(IterableBatches):
    """Batches of a ``torch.utils.data.DataLoader``.

    Attributes:
        generators: generators of its own that its order, or that of its sampler, is drawn from.
    """

    def __init__(self, batches: DataLoader[Any]) -> None:
        super().__init__(batches)
        sampler = getattr(batches, "sampler", None)
        own = [getattr(part, "generator", None) for part in (batches, sampler)]
        self.generators = [g for i, g in enumerate(own) if g is not None and g not in own[:i]]

    def state(self) -> Any:
        """Return where the loader is, if it can say so itself as torchdata's stateful one does, or None."""
        return self.batches.state_dict() if hasattr(self.batches, "state_dict") else None

    def restored(self, state: Any) -> Iterator[Any]:
        """Yield the batches that follow ``state``."""
        self.batches.load_state_dict(state)  # type: ignore[attr-defined]
        return iter(self.batches)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """Yield the batches from number ``start`` on, if all generators are as they were when the epoch began.

        The order is drawn again. Samples before ``start`` are not read, unless worker processes with generators of
        their own read them: those must go through the same samples to come to the same state.
        """
        loader: Any = self.batches
        if start == 0 or loader.num_workers or isinstance(loader.dataset, IterableDataset):
            return super().epoch(epoch, start)
        kept = {"collate_fn": loader.collate_fn, "pin_memory": loader.pin_memory}
        order = iter(loader.sampler if loader.batch_sampler is None else loader.batch_sampler)
        torch.empty((), dtype=torch.int64).random_(generator=loader.generator)  # as iter(loader) does, in this order
        for _ in range(start):
            next(order, None)
        if loader.batch_sampler is None:
            return iter(DataLoader(loader.dataset, batch_size=None, sampler=order, **kept))
        return iter(DataLoader(loader.dataset, batch_sampler=order, **kept))


class OneShotBatches:
    """Batches of a generator, which goes on where it was: an epoch begins where the last one ended."""

    def __init__(self, iterator: Iterator[Any]) -> None:
        self.iterator = iterator

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """Return the generator itself."""
        return self.iterator


def batches_of(
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    batch_size: int | None = None,
    shuffle: bool | str = False,
    seed: int = 0,
    steps: int | None = None,
) -> Any:
    """Return a source of batches for whatever ``x`` is.

    A data set that has a method ``batches(batch_size=, shuffle=)`` is asked for its own source.

    Raises:
        TrainingError: ``x`` is nothing that batches can come from, or ``y`` is given where ``x`` brings its own.
    """
    if _all_arrays(x):
        size = size_of(x)
        given = batch_size or (math.ceil(size / steps) if steps else 32)
        return ArrayBatches((x, y, sample_weight), batch_size=given, shuffle=shuffle, seed=seed)
    if y is not None or sample_weight is not None:
        name = "y" if y is not None else "sample_weight"
        raise TrainingError(f"{name} is given, but x is a {type(x).__name__}, which brings its own targets and weights")
    if callable(getattr(x, "epoch", None)) and hasattr(x, "__len__"):
        return x
    if callable(getattr(x, "batches", None)):
        return x.batches(batch_size=batch_size or 32, shuffle=bool(shuffle))
    if isinstance(x, IterableDataset):
        return LoaderBatches(DataLoader(x, batch_size=batch_size or 32))
    if isinstance(x, DataLoader):
        return LoaderBatches(x)
    if _is_map_style(x):
        return DatasetBatches(x, batch_size=batch_size or 32, shuffle=shuffle, seed=seed)
    if isinstance(x, Iterator):
        return OneShotBatches(x)
    if isinstance(x, Iterable) and not isinstance(x, (str, bytes)):
        return IterableBatches(x)
    raise TrainingError(
        f"x is a {type(x).__name__}; expected tensors, arrays, a Dataset, a DataLoader, an iterable of batches, or an "
        "object with __len__() and epoch(epoch, start)"
    )


def _all_arrays(x: Any) -> bool:
    if x is None or isinstance(x, (str, bytes)):
        return False
    if not isinstance(x, (tuple, list, dict)):
        return is_array(x)
    found = list(leaves(x))
    if isinstance(x, list) and x and isinstance(x[0], (tuple, list, dict)):
        return False  # a list of batches
    return bool(found) and all(is_array(leaf) for leaf in found)


def _is_map_style(x: Any) -> bool:
    if isinstance(x, (DataLoader, list, tuple, dict, str, bytes)):
        return False
    return isinstance(x, Dataset) or (hasattr(x, "__getitem__") and hasattr(x, "__len__"))


def split_off(x: Any, y: Any, sample_weight: Any, share: float) -> tuple[tuple[Any, Any, Any], Any]:
    """Take the last ``share`` of the samples, before any shuffling, as validation data.

    Returns:
        ``(x, y, sample_weight)`` of what is left, and the validation data as ``validation_data`` of ``fit`` takes it.

    Raises:
        TrainingError: one of the two would be empty, or ``x`` cannot be cut.
    """
    if not 0 < share < 1:
        raise TrainingError(f"validation_split is {share}; expected a share between 0 and 1")
    arrays = _all_arrays(x)
    if not arrays and not _is_map_style(x):
        raise TrainingError(
            f"validation_split cuts arrays and data sets, not a {type(x).__name__}; pass validation_data instead"
        )
    size = size_of(x) if arrays else len(x)
    cut = math.floor(size * (1.0 - share))
    if cut in (0, size):
        raise TrainingError(f"{size} samples cannot be split with validation_split={share}: one part would be empty")
    if not arrays:
        return (Subset(x, range(cut)), y, sample_weight), Subset(x, range(cut, size))
    tensors = tree_map(as_tensor, (x, y, sample_weight))
    first = tree_map(_taking(slice(0, cut)), tensors)
    last = tree_map(_taking(slice(cut, size)), tensors)
    return first, last
