"""Virtual shards: a batch cut in a way that depends on the batch alone, not on the number of processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from regraft.distributed.tree import Node, share
from regraft.distributed.world import World, is_launched
from regraft.errors import TrainingError

SHARDS = 8
"""Number of virtual shards of a batch, if the user chose none."""

SHARD_PIXELS = 1 << 16
"""Minimum pixels of the photos in a shard, if the number of shards is chosen for photos.

A network reads all its weights for each shard, which takes longer than computing a few small photos. With this many,
a step costs at most 15 % more than one that computes the photos of a process at once.
"""

MIN_SAMPLES = 2
"""Minimum samples of a shard: batch normalization needs two values per channel."""

Bounds = Callable[[int], tuple[int, int]]
"""Returns the rows of a batch of that size that this process computes: the first, and the one after the last."""


class Part(NamedTuple):
    """The rows of a batch that one process computes.

    Attributes:
        size: number of samples in the whole batch.
        batch: those rows of ``(x, y, weight)``; None if this process has none.
    """

    size: int
    batch: Any


@dataclass(frozen=True)
class Sharding:
    """The way in which batches are cut into shards, and gradients of shards are added.

    Attributes:
        shards: maximum number of virtual shards of a batch.
        fast: whether each process computes one shard, and sums may depend on the number of processes.
    """

    shards: int = SHARDS
    fast: bool = False

    def count(self, size: int, world: World) -> int:
        """Return the number of shards of a batch of ``size`` samples."""
        if self.fast:
            return max(1, min(world.size, size))
        return max(1, min(self.shards, size // MIN_SAMPLES))

    def rows(self, size: int, world: World) -> list[tuple[int, int]]:
        """Return the rows of each shard: the first, and the one after the last; sizes differ by one at most."""
        count = self.count(size, world)
        edges = [size * i // count for i in range(count + 1)]
        return list(pairwise(edges))

    def own(self, size: int, world: World) -> Node:
        """Return the shards that this process computes: the first, and the one after the last."""
        return share(self.count(size, world), world.rank, world.size)

    def bounds(self, world: World) -> Bounds:
        """Return the function from the size of a batch to the rows that this process computes."""

        def own_rows(size: int) -> tuple[int, int]:
            first, end = self.own(size, world)
            rows = self.rows(size, world)
            return (rows[first][0], rows[end - 1][1]) if end > first else (0, 0)

        return own_rows


def shards_for_photos(batch: int, side: int) -> int:
    """Return the number of virtual shards for a batch of photos: `SHARDS`, or 4 or 2 if the photos are small.

    Args:
        batch: photos in a batch.
        side: height and width of a photo in pixels.

    Example:
        >>> [shards_for_photos(32, side) for side in (224, 96, 64)]
        [8, 4, 2]
    """
    fitting = batch * side * side // SHARD_PIXELS
    return next((count for count in (SHARDS, SHARDS // 2) if count <= fitting), 2)


def sharding_for(shards: int | None, *, fast: bool = False) -> Sharding | None:
    """Return the sharding of a training; None if each batch is computed as one.

    Args:
        shards: number of virtual shards; 0 for none; None for `SHARDS` in processes that `torchrun` started.
        fast: whether sums may depend on the number of processes.

    Raises:
        TrainingError: ``shards`` is negative.
    """
    number = (SHARDS if is_launched() else 0) if shards is None else shards
    if number < 0:
        raise TrainingError(f"shards is {shards}; expected 1 virtual shard of a batch or more, or 0 for none")
    return Sharding(number, fast) if number else None
