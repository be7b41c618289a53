"""The start of a run: its network, its folder, and the record of its decisions."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from regraft.context.config import TrainConfig
from regraft.context.dataset import Dataset, expects_validation_photos
from regraft.context.decisions import Decisions
from regraft.context.frozen_features import FrozenFeatures
from regraft.context.network_features import NetworkFeatures, network_features
from regraft.data.archives.archive import is_compressed_tar
from regraft.data.loading.worker_processes import running_processes, start_processes, stop_processes
from regraft.data.threads import MIN_DECODING_THREADS, decoding_threads, workers_or_default
from regraft.disk.atomic import sweep
from regraft.errors import ConfigError, RunFolderError
from regraft.features.stores.store import FeatureStore
from regraft.inference.device import pick_device
from regraft.models.backbone import Backbone
from regraft.models.cut import NoCutError
from regraft.models.zoo import build_backbones
from regraft.recipes.steps.epoch_callbacks import check_validation_photos
from regraft.run.environment import describe_environment
from regraft.run.folder import RunFolder, write_start
from regraft.run.heartbeat import Heartbeat
from regraft.screen import Screen
from regraft.text import duration
from regraft.workflows.steps.photos_of_run import store_labels
from regraft.workflows.steps.prepared_photos import PreparedPhotos
from regraft.workflows.steps.run_directory import RunDirectory, check_outside, clear, open_or_create_run_directory
from regraft.workflows.steps.workers import check_workers, directory_of_workers

SMALL_FILES = 8 << 20
"""Bytes reserved for the tables, logs and figures of a run."""


@dataclass(frozen=True)
class PreparedRun:
    """A run whose folder is open, before its photos have been decoded.

    Attributes:
        config: the resolved configuration.
        folder: the run folder, locked.
        screen: where progress and warnings go.
        dataset: the photos, not split yet.
        backbone: the pretrained network, the first of several.
        device: where it runs.
        store: cache of features.
        workers: threads that decode photos.
        user_callbacks: callbacks of the user.
        decisions: the record of the run.
        features: the features of all networks; none has been computed yet.
    """

    config: TrainConfig
    folder: RunFolder
    screen: Screen
    dataset: Dataset
    backbone: Backbone
    device: torch.device
    store: FeatureStore
    workers: int
    user_callbacks: Sequence[Any]
    decisions: Decisions
    features: FrozenFeatures


@contextmanager
def prepare_run(
    config: TrainConfig, screen: Screen, prepared: PreparedPhotos, started: float, name: str | None = None
) -> Iterator[PreparedRun]:
    """Yield the run with its network and its folder, which is locked until the block ends.

    Args:
        config: the configuration.
        screen: where progress and warnings go.
        prepared: the photos.
        started: start of the process, in seconds since 1970; the budget runs from then.
        name: middle part of the folder's name if it is not the recipe; a run with such a name is never resumed.

    Raises:
        UserError: a callback needs validation photos and there are none; the network is unavailable; the run folder
            lies inside the photos, belongs to another run or cannot be written.
    """
    device = pick_device(config.device)
    if config.recipe in ("feature-extraction", "fine-tune"):
        validated = expects_validation_photos(prepared.dataset, config)
        check_validation_photos(config, prepared.user_callbacks, validated=validated)
    backbones = build_backbones(config.networks, weights=config.weights, size=config.size)
    for backbone in backbones:
        backbone.render(prepared.rendering)
    if config.out is not None and not _folder_of_table(config):
        for folder in (config.photos, *(config.more_photos or ())):
            check_outside(config.out, folder)
    weights = [backbone.weights_hash() for backbone in backbones]
    frozen = [_with_depths(backbone) for backbone in backbones] if config.all_depths else backbones
    manifest, resume = prepared.dataset.manifest, name is None
    check_workers(config, manifest, "+".join(weights), device, screen)
    opened = open_or_create_run_directory(
        config, manifest, "+".join(weights), name or config.recipe, screen, resume=resume
    )
    with (
        directory_of_workers(opened, config.store) as directory,
        _decoding_processes(config, device),
        Heartbeat(directory.folder.resume, screen) as heartbeat,
    ):
        screen = heartbeat.screen
        workers = _workers(config, prepared.dataset)
        decisions = _start_or_resume(config, directory, screen, prepared.dataset, backbones, device, started)
        networks = _networks(backbones, frozen, weights, device, prepared, workers, decisions)
        yield PreparedRun(
            config=config,
            folder=directory.folder,
            screen=screen,
            dataset=prepared.dataset,
            backbone=backbones[0],
            device=device,
            store=prepared.store,
            workers=workers,
            user_callbacks=prepared.user_callbacks,
            decisions=decisions,
            features=FrozenFeatures(networks),
        )


def _networks(
    backbones: Sequence[Backbone],
    frozen: Sequence[Backbone],
    weights: Sequence[str],
    device: torch.device,
    prepared: PreparedPhotos,
    workers: int,
    decisions: Decisions,
) -> tuple[NetworkFeatures, ...]:
    """Move the networks to ``device``, print them, and return their features; none has been computed yet."""
    networks = []
    for number, (backbone, digest) in enumerate(zip(backbones, weights, strict=True)):
        backbone.to(device)
        _print_network(backbone, decisions.screen)
        networks.append(
            network_features(
                frozen[number].to(device),
                prepared.dataset.usable,
                decisions,
                device=device,
                store=prepared.store,
                workers=workers,
                weights=digest if frozen[number] is backbone else None,
                choice=f"engine of {backbone.spec.name}" if number else "engine",
            )
        )
    return tuple(networks)


def _folder_of_table(config: TrainConfig) -> bool:
    """Return whether the folder of photos is that of the table of labels, as for ``regraft train labels.csv``."""
    return config.labels is not None and config.labels.absolute().parent == config.photos.absolute()


@contextmanager
def _decoding_processes(config: TrainConfig, device: torch.device) -> Iterator[None]:
    """Decode photos in processes within this block, if threads are too slow for the device."""
    number = workers_or_default(config.workers)
    folders = (config.photos, *(config.more_photos or ()))
    useful = device.type != "cpu" and number > MIN_DECODING_THREADS and not any(map(is_compressed_tar, folders))
    processes = start_processes(number) if useful else None
    try:
        yield
    finally:
        if processes is not None:
            stop_processes(processes)


def _workers(config: TrainConfig, dataset: Dataset) -> int:
    """Return the number of threads that decode photos."""
    if config.workers is not None:
        return config.workers
    processes = running_processes()
    return decoding_threads([entry.path for entry in dataset.usable]) if processes is None else processes.number


def _start_or_resume(
    config: TrainConfig,
    directory: RunDirectory,
    screen: Screen,
    dataset: Dataset,
    backbones: Sequence[Backbone],
    device: torch.device,
    started: float,
) -> Decisions:
    """Return the record of the run, with the start of this process written to it."""
    folder, now = directory.folder, time.time()
    facts = {"running_for": round(now - started, 3), "device": str(device)}
    replay = {**config.choices, **folder.journal.chosen()}
    sweep(folder.path, below=True)
    if not directory.resumed:
        check_space(folder, config, backbones)
        write_start(folder, config.as_dict(), describe_environment())
        store_labels(config.labels, folder)
        folder.journal.add("start", photos=len(dataset.usable), classes=len(dataset.classes), **facts)
        return Decisions(config, folder, screen, started, replay=replay)
    earlier = folder.journal.events()
    spent, last = folder.journal.times()
    choices = dict(folder.read_config().get("choices", {}))
    decisions = Decisions(config, folder, screen, started, spent, replay, choices, earlier)
    gap = max(0.0, now - last)
    decisions.note("resume", after_seconds=round(gap, 1), **facts)
    screen.line("resume", f"continuing {folder.path}, interrupted {duration(gap)} ago")
    _warn_changed_environment(folder, screen)
    return decisions


def _warn_changed_environment(folder: RunFolder, screen: Screen) -> None:
    """Warn if other software or hardware may change the last bits of the weights."""
    try:
        then = json.loads(folder.environment.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    now = describe_environment()
    packages = then.get("packages", {})
    changes = [f"{n} {packages.get(n)} before, {v} now" for n, v in now["packages"].items() if packages.get(n) != v]
    changes += [f"{n} {then.get(n)} before, {now[n]} now" for n in ("processor", "cores") if then.get(n) != now[n]]
    if changes:
        screen.warn(
            "this run was started with other software or hardware, so the weights may differ in the last bits: "
            + "; ".join(changes)
        )


def check_space(folder: RunFolder, config: TrainConfig, backbones: Sequence[Backbone]) -> None:
    """Check that the disk can hold the files of a run.

    The estimate is the model and two snapshots of everything that fine-tuning changes, all of it in the first network:
    weights, two moments, the best weights.

    Raises:
        RunFolderError: there is too little space.
    """
    weights = [4 * backbone.spec.parameters for backbone in backbones]
    fine_tuned = config.recipe in ("fine-tune", "auto")
    need = sum(weights) + (8 * weights[0] if fine_tuned else 0) + SMALL_FILES
    free = shutil.disk_usage(folder.path).free
    if free < need:
        clear(folder)
        raise RunFolderError(
            f"{folder.path}: the disk has {free / 1e6:,.0f} MB left, and this run needs about {need / 1e6:,.0f} MB"
            "\n  free some space, or name a folder on another disk with -o"
        )


def _with_depths(backbone: Backbone) -> Backbone:
    """Return the variant of the network that also returns pooled activations of its blocks."""
    try:
        return backbone.with_pooled_depth()
    except NoCutError as error:
        raise ConfigError(f"--all-depths: {error}\n  train without it, or choose another network") from error


def _print_network(backbone: Backbone, screen: Screen) -> None:
    spec = backbone.spec
    size = spec.preprocessing
    pixels = f"{size.height} px" if size.height == size.width else f"{size.height} × {size.width} px"
    license_ = spec.licence or "license unknown"
    if spec.commercial is False:
        license_ += " (no commercial use)"
    parameters = f"{spec.parameters / 1e6:.1f} M parameters"
    screen.line("network", f"{spec.name} · {spec.trained_on} · {license_} · {pixels} · {parameters}")
    for note in backbone.notes:
        screen.line("", note)
    if spec.commercial is False:
        screen.warn(
            f"the weights may not be used commercially ({spec.licence}); the same restriction applies to the trained "
            "model"
        )
