"""`features`: the frozen features of photos, or of one shard of them, computed into the store and nothing else.

The same call may run any number of times and in any number of processes: what is in the store is not computed again.
The entries are those that `train` and `check` look for: the features of each network, and the photo stats of the first
one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from regraft.audit.photo_stats_store import PhotoStatsStore
from regraft.data.decoding.rendering import measure_rendering
from regraft.data.manifest import Entry, Manifest, scan
from regraft.data.selection import PhotoSelection
from regraft.data.shards import Shard
from regraft.data.source import select_photos
from regraft.data.threads import workers_or_default
from regraft.errors import ConfigError, PhotosError, UnreadableError
from regraft.features.engines.certification import is_certified
from regraft.features.engines.engine_choice import REFERENCE, choose_engine, make_engine
from regraft.features.engines.engine_interface import Engine
from regraft.features.stores.store import FeatureStore
from regraft.inference.device import pick_device
from regraft.models.backbone import Backbone
from regraft.models.catalogue import DEFAULT_BACKBONE, backbone_names
from regraft.models.zoo import build_backbones
from regraft.screen import Screen
from regraft.workflows.steps.pass_network import ComputeMissing, PassNetwork, check_stored, compute_here, pass_of


@dataclass(frozen=True)
class PassOptions:
    """The options of a pass.

    Attributes:
        selection: the photos; their labels are not used.
        shard: the part of the photos to compute.
        backbone: the network, or several joined by ``+``.
        weights: a local file of its weights, or a folder of files for several networks, or None.
        size: its input size in pixels, or None for its default.
        engine: name of the engine of all networks; None for the one that finishes all photos soonest on this machine.
        device: where the networks run.
        workers: threads that decode, or None for the default.
    """

    selection: PhotoSelection
    shard: Shard = field(default_factory=Shard)
    backbone: str = DEFAULT_BACKBONE
    weights: Path | None = None
    size: int | None = None
    engine: str | None = None
    device: str = "auto"
    workers: int | None = None


@dataclass(frozen=True)
class PassPhotos:
    """The photos of a pass and its networks, before anything is computed.

    Attributes:
        manifest: every file.
        shard: the photos of the shard, one for each content, in the order of their contents.
        networks: the networks.
    """

    manifest: Manifest
    shard: list[Entry]
    networks: tuple[PassNetwork, ...]

    @property
    def missing(self) -> list[Entry]:
        """Photos of the shard for which an entry is missing, for any network."""
        contents = {entry.content for network in self.networks for entry in network.missing}
        return [entry for entry in self.shard if entry.content in contents]


def prepare_pass(options: PassOptions, store: FeatureStore, screen: Screen) -> PassPhotos:
    """Return the photos and networks of a pass, with what the store lacks; nothing is computed.

    Every photo is read once for its content hash.

    Raises:
        PhotosError: the folder is missing or has no photo.
        BackboneError, WeightsError: the network is unavailable.
        ConfigError: the engine is unknown or unsuitable for the network.
    """
    workers = workers_or_default(options.workers)
    source = select_photos(options.selection, one_class=True)
    with screen.progress("photos", len(source.photos)) as bar:
        manifest = scan(source, workers=workers, bar=bar)
    for note in source.notes:
        screen.warn(note)
    entries = manifest.usable
    if not entries:
        raise PhotosError(f"{manifest.root}: none of its {len(manifest.entries):,} files can be used as a photo")
    measured = measure_rendering(entries, workers=workers)
    for note in measured.notes:
        screen.line("", note)
    device = pick_device(options.device)
    shard = options.shard.of(entries)
    networks: list[PassNetwork] = []
    for backbone in build_backbones(network_names(options.backbone), weights=options.weights, size=options.size):
        backbone.render(measured.rendering)
        stats = None if networks else PhotoStatsStore(backbone.spec.preprocessing, store)
        engine = _engine(options, backbone.to(device), device, entries, store)
        networks.append(pass_of(backbone, engine, stats, shard, store))
    return PassPhotos(manifest, shard, tuple(networks))


def run_pass(
    photos: PassPhotos, store: FeatureStore, screen: Screen, compute: ComputeMissing | None = None
) -> dict[str, Any]:
    """Compute what the store lacks, and return the counts as JSON values.

    Args:
        photos: the result of `prepare_pass`.
        store: the store.
        screen: where progress and warnings go.
        compute: computes the missing entries; in this process if None.

    Raises:
        StorageError: entries could not be written to the store.
        UnreadableError: no photo of the shard can be decoded.
    """
    begun = time.monotonic()
    failed: dict[str, str] = {}
    figures = []
    for network in photos.networks:
        with screen.progress("features", len(network.missing)) as bar:
            bad: dict[str, str] = {}
            for entry, why in (compute or compute_here)(network, store, bar):
                bad[entry.content] = why
                failed[entry.name] = why
        check_stored(network, store, bad)
        figures.append(
            {
                "network": network.backbone.spec.name,
                "engine": network.engine.title,
                "computed": len(network.missing) - len(bad),
                "from_store": len(photos.shard) - len(network.missing),
                "unreadable": len(bad),
            }
        )
    if photos.shard and len(failed) == len(photos.shard):
        first = next(iter(failed))
        raise UnreadableError(f"none of the {len(failed):,} photos can be decoded\n  {first}: {failed[first]}")
    return {
        "networks": figures,
        "unreadable": [{"path": name, "why": why} for name, why in sorted(failed.items())],
        "seconds": round(time.monotonic() - begun, 1),
    }


def _engine(
    options: PassOptions,
    backbone: Backbone,
    device: torch.device,
    entries: Sequence[Entry],
    store: FeatureStore,
) -> Engine:
    """Return the engine: the chosen one for all photos, so that every shard uses the same, or the one that is named."""
    weights = backbone.weights_hash()
    if options.engine is None:
        choice = choose_engine(backbone, entries, store, device=device, workers=options.workers, weights=weights)
        engine = choice.engine_for(backbone, device)
        engine.set_weights_hash(weights)
        return engine
    engine = make_engine(options.engine, backbone, device)
    engine.set_weights_hash(weights)
    if options.engine != REFERENCE and not is_certified(engine, backbone, weights, entries, options.workers):
        raise ConfigError(
            f"--engine: the features of {options.engine} differ too much from those of {REFERENCE} for "
            f"{backbone.spec.name}\n  use --engine '{REFERENCE}', or leave the option out"
        )
    return engine


def network_names(backbone: str) -> tuple[str, ...]:
    """Return the names of networks that are joined by ``+``.

    Raises:
        ConfigError: they do not go together.
    """
    try:
        return backbone_names(backbone)
    except ValueError as error:
        raise ConfigError(f"backbone: {error}") from None
