"""Batches of data loaders, lists of batches and generators."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    RandomSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

from regraft.errors import TrainingError
from regraft.training.pytree import tree_map


def with_number_lists(batch: Any) -> Any:
    """Return the batch, with targets that are a list of numbers as an array."""
    if isinstance(batch, (tuple, list)) and len(batch) > 1 and isinstance(batch[1], list) and batch[1]:
        first = batch[1][0]
        if isinstance(first, (int, float, np.generic)):
            return (batch[0], np.asarray(batch[1]), *batch[2:])
    return batch


class IterableBatches:
    """Batches of an iterable that can be iterated several times, such as a ``DataLoader`` or a list of batches."""

    def __init__(self, batches: Iterable[Any]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        """Return the number of batches, or raise `TypeError` if it is unknown."""
        return len(self.batches)  # type: ignore[arg-type]

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """Yield the batches; those before ``start`` are read and skipped."""
        iterator = iter(self.batches)
        for _ in range(start):
            next(iterator, None)
        return map(with_number_lists, iterator)


class LoaderBatches(IterableBatches):
    """Batches of a ``torch.utils.data.DataLoader``.

    Attributes:
        generators: its own random generators and those of its sampler, which the order depends on.
    """

    def __init__(self, batches: DataLoader[Any]) -> None:
        super().__init__(batches)
        sampler = getattr(batches, "sampler", None)
        generators = [getattr(part, "generator", None) for part in (batches, sampler)]
        self.generators = [g for i, g in enumerate(generators) if g is not None and g not in generators[:i]]

    def state(self) -> Any:
        """Return the loader's state if it can save one, as torchdata's stateful loader; otherwise None."""
        return self.batches.state_dict() if hasattr(self.batches, "state_dict") else None

    def restored(self, state: Any) -> Iterator[Any]:
        """Yield the batches that follow ``state``."""
        self.batches.load_state_dict(state)  # type: ignore[attr-defined]
        return explained(iter(self.batches))

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """Yield the batches from number ``start`` on, if all generators have their state from the start of the epoch.

        The order is drawn again. Samples before ``start`` are not read, except by worker processes: their own
        generators reach the same state only by reading the same samples.
        """
        loader: Any = self.batches
        if start == 0 or loader.num_workers or isinstance(loader.dataset, IterableDataset):
            return explained(super().epoch(epoch, start))
        options = {"collate_fn": loader.collate_fn, "pin_memory": loader.pin_memory}
        order = iter(loader.sampler if loader.batch_sampler is None else loader.batch_sampler)
        torch.empty((), dtype=torch.int64).random_(generator=loader.generator)  # as iter(loader) does, in this order
        for _ in range(start):
            next(order, None)
        if loader.batch_sampler is None:
            return explained(iter(DataLoader(loader.dataset, batch_size=None, sampler=order, **options)))
        return explained(iter(DataLoader(loader.dataset, batch_sampler=order, **options)))


class OneShotBatches:
    """Batches of a generator: an epoch begins where the last one ended."""

    def __init__(self, iterator: Iterator[Any]) -> None:
        self.iterator = iterator

    @property
    def endless(self) -> bool:
        """True if the data is known to be infinite."""
        return isinstance(self.iterator, (itertools.cycle, itertools.count))

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """Return the generator itself."""
        return map(with_number_lists, self.iterator)


class KeptBatches:
    """Batches of a generator, which the first pass copies and later passes repeat.

    Validation reads a generator in this way, so that all epochs are evaluated with the same samples.

    Args:
        iterator: the generator.
        steps: maximum number of batches to read; None: all.
    """

    def __init__(self, iterator: Iterator[Any], steps: int | None) -> None:
        self.iterator, self.steps = iterator, steps
        self.kept: list[Any] = []

    @property
    def endless(self) -> bool:
        """True if the data is known to be infinite."""
        return self.steps is None and isinstance(self.iterator, (itertools.cycle, itertools.count))

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """Yield the batches from number ``start`` on."""
        yield from self.kept[start:]
        while self.steps is None or len(self.kept) < self.steps:
            for batch in self.iterator:
                self.kept.append(tree_map(_copied, with_number_lists(batch)))
                if len(self.kept) > start:
                    yield self.kept[-1]
                break
            else:
                return


def _copied(leaf: Any) -> Any:
    """Return a copy of an array, because generators often fill the same array again."""
    if isinstance(leaf, Tensor):
        return leaf.clone()
    return leaf.copy() if isinstance(leaf, np.ndarray) else leaf


def warn_of_order(loader: Any) -> None:
    """Warn if a loader gives predictions in an order that the caller does not know, or not for all samples."""
    if not isinstance(loader, DataLoader):
        return
    if isinstance(loader.sampler, (RandomSampler, SubsetRandomSampler, WeightedRandomSampler)):
        warnings.warn(
            "predict got a DataLoader with a random order, and returns the outputs in that order, not in the order of "
            "the data set: pass a DataLoader with shuffle=False",
            RuntimeWarning,
            stacklevel=3,
        )
    sampler = loader.batch_sampler
    if not isinstance(sampler, BatchSampler) or not sampler.drop_last:
        return
    size = len(sampler.sampler)  # type: ignore[arg-type]
    left = size % sampler.batch_size
    if left:
        warnings.warn(
            f"predict got a DataLoader with drop_last=True, which leaves out {left} of {size} samples",
            RuntimeWarning,
            stacklevel=3,
        )


def explained(batches: Iterator[Any]) -> Iterator[Any]:
    """Yield the batches of a `DataLoader`, and explain torch's errors about samples that cannot be collated.

    Raises:
        TrainingError: samples contain values that cannot be collated, such as photos, or have different shapes.
    """
    try:
        yield from batches
    except TypeError as error:
        if "default_collate" not in str(error):
            raise
        type_name = str(error).rsplit("found ", 1)[-1].strip()
        raise TrainingError(
            f"the samples of the data set cannot be collated into batches: they contain {type_name}\n  let the data "
            "set return tensors, arrays and numbers (photos: torchvision.transforms.v2.functional.to_dtype and "
            "to_image, or np.asarray), or pass a DataLoader with a collate_fn"
        ) from error
    except RuntimeError as error:
        if "stack expects each tensor to be equal size" not in str(error):
            raise
        shapes = str(error).rsplit("equal size, but ", 1)[-1].strip()
        raise TrainingError(
            f"the samples of the data set have different shapes, so they cannot be collated: {shapes}\n  resize "
            "them in the data set, or pass a DataLoader with a collate_fn"
        ) from error
