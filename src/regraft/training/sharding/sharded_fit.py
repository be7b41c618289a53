"""The setting of a ``fit`` with virtual shards: its processes, its threads and the rows that each process reads."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler

from regraft.distributed.hangs import watched
from regraft.distributed.shards import Sharding
from regraft.distributed.world import alone, current, together
from regraft.errors import TrainingError
from regraft.training.batches.epoch_iterator import EpochIterator
from regraft.training.components import Components


@contextmanager
def sharded_fit(components: Components, *feeds: EpochIterator | None, resumes: bool = False) -> Iterator[None]:
    """Run a ``fit`` with the other processes if it has virtual shards, and alone if it has none.

    Args:
        components: the module, its device, and the way in which batches are cut.
        *feeds: the data; each process reads only the rows of its shards where this is possible.
        resumes: whether ``fit`` writes snapshots.

    Raises:
        WorkersError: the other processes cannot be reached.
        TrainingError: a ``DistributedSampler`` gives each process other samples, or each process has a part of the
            parameters, which virtual shards and snapshots do not support.
    """
    sharding, device = components.update.sharding, components.device
    if has_partial_parameters(components.module):
        _check_partial(sharding, resumes=resumes)
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


def has_partial_parameters(module: nn.Module) -> bool:
    """Return whether each process has only a part of a parameter, as after torch's ``fully_shard``."""
    loaded = sys.modules.get("torch.distributed.tensor")
    return loaded is not None and any(isinstance(parameter, loaded.DTensor) for parameter in module.parameters())


def _check_partial(sharding: Sharding | None, *, resumes: bool) -> None:
    if sharding is not None:
        raise TrainingError(
            "each process has a part of the parameters (fully_shard), which virtual shards do not support; expected "
            f"shards=0, found {sharding.shards}\n"
            "  pass shards=0, and give each process its samples by a DistributedSampler"
        )
    if resumes:
        raise TrainingError(
            "each process has a part of the parameters (fully_shard), which snapshots do not support; expected "
            "resume=None\n  save them in a callback, by torch.distributed.checkpoint"
        )


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
