"""The inputs and random numbers of the shards of a batch, the same in whichever process a shard is computed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from regraft.distributed.shards import Part, Sharding
from regraft.distributed.world import World
from regraft.errors import TrainingError
from regraft.randomness import derive
from regraft.training.numerics import generator_states, restore_generators
from regraft.training.pytree import as_tensor, leaves, size_of, tree_map
from regraft.training.steps import unpack


def size_of_batch(batch: Any) -> int:
    """Return the number of samples in a batch of the data, or in the whole batch that it is a part of."""
    return batch.size if isinstance(batch, Part) else size_of(unpack(batch)[0])


def own_shards(batch: Any, sharding: Sharding, world: World) -> list[tuple[Any, Any, Any]]:
    """Return the shards ``(x, y, weight)`` that this process computes, each in memory of its own.

    A view into a larger tensor may lie at another address modulo the width of a vector, and some kernels add in another
    order then.
    """
    size = size_of_batch(batch)
    first, end = sharding.own(size, world)
    if first == end:
        return []
    rows = sharding.rows(size, world)
    whole = unpack(batch.batch) if isinstance(batch, Part) else unpack(batch)
    start = rows[first][0] if isinstance(batch, Part) else 0
    return [tree_map(_rows(a - start, b - start), whole) for a, b in rows[first:end]]


def _rows(first: int, end: int) -> Callable[[Any], Any]:
    """Return a function that copies rows of an array."""

    def of(leaf: Any) -> Any:
        tensor = as_tensor(leaf)
        return fresh(tensor[first:end]) if isinstance(tensor, Tensor) else tensor

    return of


def fresh(tensor: Tensor) -> Tensor:
    """Return a copy with the strides of one of two layouts: channels-last if ``tensor`` has it, else row-major."""
    last = tensor.ndim == 4 and not tensor.is_contiguous() and tensor.is_contiguous(memory_format=torch.channels_last)
    return tensor.clone(memory_format=torch.channels_last if last else torch.contiguous_format)


def joined(parts: Sequence[Any]) -> Any:
    """Return trees of tensors joined along their first dimension.

    Raises:
        TrainingError: a leaf is a number, or has no samples.
    """
    columns = [list(leaves(part)) for part in parts]
    for column in columns:
        if any(not isinstance(leaf, Tensor) or not leaf.ndim for leaf in column):
            raise TrainingError(
                "outputs and targets of the shards of a batch cannot be joined; expected tensors whose first dimension "
                "is the samples, found a number\n  return one value per sample, or train in one process without shards"
            )
    rows = iter([torch.cat(column) for column in zip(*columns, strict=True)])
    return tree_map(lambda leaf: None if leaf is None else next(rows), parts[0])


@contextmanager
def shard_generators(device: torch.device, *, training: bool) -> Iterator[int]:
    """Yield a key for the random numbers of a batch; afterwards all generators are as in any other process.

    The key of a training batch is drawn from torch's generator, so that ``torch.manual_seed`` has its usual effect. A
    validation draws nothing.
    """
    key = int(torch.randint(2**63 - 1, ()).item()) if training else 0
    states = generator_states(device)
    try:
        yield key
    finally:
        restore_generators(states, device)


def seed_shard(key: int, shard: int) -> None:
    """Seed all generators for one shard of a batch, for dropout and stochastic depth."""
    number = derive("shard", key, shard) >> 65
    torch.manual_seed(number)
    random.seed(number)
    np.random.seed(number & 0xFFFFFFFF)  # noqa: NPY002  (modules of users may draw from it)
