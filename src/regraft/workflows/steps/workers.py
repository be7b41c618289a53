"""A run on several processes: process 0 owns the run folder, and the others train with it and write to a copy.

A process that follows has a temporary run folder with the small files of the run, so that every step finds what it
needs: choices of earlier processes, the journal, the photos. The copy is deleted at the end.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import torch

from regraft.cache_dir import cache_folder
from regraft.context.config import TrainConfig
from regraft.data.manifest import Manifest
from regraft.distributed.agreement import check_equal, check_shared
from regraft.distributed.hangs import VARIABLE
from regraft.distributed.shards import shards_for_photos
from regraft.distributed.world import current, is_launched
from regraft.errors import ConfigError, several
from regraft.models.catalogue import AUTO
from regraft.recipes.steps.tuning_plan import BATCH_SIZE
from regraft.run.environment import describe_environment
from regraft.run.folder import RunFolder
from regraft.run.lock import RunLock
from regraft.screen import Screen
from regraft.workflows.steps.run_directory import RunDirectory

_USUAL_SIDE = 224
"""Input size of most networks, in pixels; those of others are too close to it to change the number of shards."""

_SMALL_FILES = (
    "config.json",
    "environment.json",
    "events.jsonl",
    "history.csv",
    "resume/photos.csv",
    "resume/identity.json",
)


def configured_for_workers(config: TrainConfig) -> TrainConfig:
    """Return the configuration of a process that `torchrun` started; unchanged for any other process.

    Raises:
        ConfigError: an option makes choices by the clock, which processes would make differently; or it would not let
            a restarted process continue.
    """
    if config.worker_timeout is not None:
        os.environ[VARIABLE] = str(config.worker_timeout)
    if not is_launched():
        return config
    check_options(config, "torchrun", restarted=os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0") != "0")
    return config.model_copy(update={"shards": shards_of(config)})


def shards_of(config: TrainConfig) -> int:
    """Return the number of virtual shards of a batch, for a training on several processes."""
    return config.shards or shards_for_photos(config.batch_size or BATCH_SIZE, config.size or _USUAL_SIDE)


def check_options(config: TrainConfig, starter: str, *, restarted: bool) -> None:
    """Check that the options suit processes that train together.

    Args:
        config: the configuration.
        starter: that which starts the processes.
        restarted: whether it starts them again after one has died.

    Raises:
        ConfigError: an option makes choices by the clock, or would not let a restarted process continue.
    """
    problems = []
    if config.recipe == "auto":
        problems.append("the recipe auto makes choices by the clock; choose feature-extraction or fine-tune")
    if config.backbone == AUTO:
        problems.append("--backbone auto measures networks; name one")
    if config.budget is not None:
        problems.append("--budget ends a training by the clock; choose --epochs")
    if config.fresh and restarted:
        problems.append("--fresh would start a new run at every restart; name a new folder with -o")
    if problems:
        raise ConfigError(several(f"options that {starter} cannot be used with", problems))


def check_workers(config: TrainConfig, manifest: Manifest, weights: str, device: torch.device, screen: Screen) -> None:
    """Check that all processes train the same, before anything is written; warn of processes without work.

    Raises:
        WorkersError: software, options, photos or weights differ.
    """
    size, shards = current().size, config.shards or 1
    if size == 1:
        return
    if size > shards and not config.fast_reduce:
        screen.warn(
            f"{size} processes, but a batch has {shards} virtual shards: the other processes only wait; "
            f"--shards {size} gives each of them a part"
        )
    environment = describe_environment()
    photos = hashlib.sha256()
    for entry in manifest.entries:
        photos.update(f"{entry.name}\0{entry.content}\0{entry.label}\0".encode("utf-8", "surrogatepass"))
    options = {f"option {name}": str(value) for name, value in config.arguments().items()}
    check_equal(
        {f"version of {name}": str(version) for name, version in environment["packages"].items()}
        | {"version of Python": environment["python"], "device": device.type, "threads": str(torch.get_num_threads())}
        | {"hash of the pretrained weights": weights, "hash of the photos and labels": photos.hexdigest()[:16]}
        | options
    )


@contextmanager
def directory_of_workers(directory: AbstractContextManager[RunDirectory], store: str | None) -> Iterator[RunDirectory]:
    """Yield the run directory in process 0, and a copy of its small files in the others.

    Args:
        directory: opens the directory; only process 0 enters it.
        store: the address of the shared store of features; None for the cache folder, which has to be shared too.

    Raises:
        WorkersError: the processes do not share the run folder and the cache.
    """
    world, caches = current(), [cache_folder()] if store is None else []
    if world.rank == 0:
        with directory as opened:
            if world.size > 1:
                paths = [opened.folder.path / name for name in _SMALL_FILES]
                files = {name: p.read_bytes() for name, p in zip(_SMALL_FILES, paths, strict=True) if p.exists()}
                world.broadcast((str(opened.folder.path.absolute()), opened.resumed, files))
                check_shared([opened.folder.path, *caches])
            yield opened
        return
    place, resumed, files = world.broadcast(("", False, dict[str, bytes]()))
    check_shared([])
    with tempfile.TemporaryDirectory(prefix="regraft-worker-") as temporary:
        copy = RunFolder(Path(temporary) / Path(place).name)
        for name, content in files.items():
            path = copy.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        copy.resume.mkdir(parents=True, exist_ok=True)
        lock = RunLock(copy.resume, copy.path).take()
        try:
            yield RunDirectory(copy, resumed, lock)
        finally:
            lock.release()
