"""The setting of a ``fit`` with virtual shards: its processes, its threads and the rows that each process reads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler

from regraft.distributed.hangs import watched
from regraft.distributed.shards import Sharding
from regraft.distributed.world import alone, current, together
from regraft.errors import TrainingError
from regraft.training.batches.epoch_iterator import EpochIterator


@contextmanager
def sharded_fit(sharding: Sharding | None, device: torch.device, *feeds: EpochIterator | None) -> Iterator[None]:
    """Run a ``fit`` with the other processes if it has virtual shards, and alone if it has none.

    Args:
        sharding: the way in which batches are cut.
        device: where the module is.
        *feeds: the data; each process reads only the rows of its shards where this is possible.

    Raises:
        WorkersError: the other processes cannot be reached.
        TrainingError: a ``DistributedSampler`` gives each process other samples.
    """
    with ExitStack() as stack:
        if sharding is None:
            stack.enter_context(alone())
        else:
            world = stack.enter_context(together())
            stack.enter_context(_threads_of_one_process(device))
            if world.size > 1:
                stack.enter_context(watched())
                for feed in feeds:
                    _read_own_rows(feed, sharding)
        yield


def _read_own_rows(feed: EpochIterator | None, sharding: Sharding) -> None:
    if feed is None:
        return
    loader: Any = getattr(feed.source, "batches", None)
    if isinstance(loader, DataLoader) and isinstance(loader.sampler, DistributedSampler):
        raise TrainingError(
            "the DataLoader has a DistributedSampler, which gives each process other samples; expected the same "
            "batches in all processes, because fit divides each batch\n  pass the loader without that sampler"
        )
    feed.bounds = sharding.bounds(current())


@contextmanager
def _threads_of_one_process(device: torch.device) -> Iterator[None]:
    """Compute with the threads of ``OMP_NUM_THREADS``, else with one: their number changes the order of additions."""
    if device.type != "cpu" or "OMP_NUM_THREADS" in os.environ:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
