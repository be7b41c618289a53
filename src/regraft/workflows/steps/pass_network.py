"""One network of a pass over photos: what the store lacks, and the ways to compute it, here or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from regraft.audit.photo_stats_store import PhotoStatsStore
from regraft.data.manifest import Entry
from regraft.errors import StorageError
from regraft.features.engines.engine_interface import Engine
from regraft.features.extract import extract, feature_keys
from regraft.features.stores.store import FeatureStore
from regraft.models.backbone import Backbone
from regraft.screen import Bar, Screen

CHUNK = 4096
"""Photos whose features are in memory at once."""


@dataclass(frozen=True)
class PassNetwork:
    """A network of a pass, with the photos that it has to run.

    Attributes:
        backbone: the network, on its device.
        engine: the engine that runs it.
        stats: decodes the photos and stores their stats; None for networks after the first.
        missing: photos of the shard without an entry in the store.
    """

    backbone: Backbone
    engine: Engine
    stats: PhotoStatsStore | None
    missing: list[Entry]


class ComputeMissing(Protocol):
    """A way to compute the missing entries of a network and put them into the store."""

    def __call__(self, network: PassNetwork, store: FeatureStore, bar: Bar) -> Iterator[tuple[Entry, str]]:
        """Compute the entries, advance the bar by one for each photo, and yield each photo that failed, with why."""


def pass_of(
    backbone: Backbone, engine: Engine, stats: PhotoStatsStore | None, shard: Sequence[Entry], store: FeatureStore
) -> PassNetwork:
    """Return a network, its engine, and the photos of the shard that lack an entry.

    Args:
        backbone: the network, on its device.
        engine: its engine; the weights must not have changed since it was chosen.
        stats: decodes the photos and stores their stats; None for networks after the first.
        shard: photos with content hashes; of several with one content, the last is used.
        store: the store.
    """
    keys = [key for key in feature_keys(shard, backbone, engine.weights, engine.numerics) if key is not None]
    contents = {shard[position].content for position in store.missing(keys)}
    if stats is not None:
        contents |= {entry.content for entry in stats.missing(shard)}
    missing = {entry.content: entry for entry in shard if entry.content in contents}
    return PassNetwork(backbone, engine, stats, list(missing.values()))


def on_cluster(address: str, weights: Path | None, workers: int = 1) -> ComputeMissing:
    """Return the way to compute missing entries on a Ray cluster.

    Args:
        address: ``ray``, or the address of a cluster.
        weights: the local file of the weights of the network, on every machine, or None.
        workers: threads that decode in each actor.

    Raises:
        MissingExtraError: ray is not installed.
        ConfigError: no cluster answers at the address.
    """
    from regraft.on_ray.cluster import connect
    from regraft.on_ray.feature_actors import compute_on_ray, plan_of

    connect(address)

    def compute(network: PassNetwork, store: FeatureStore, bar: Bar) -> Iterator[tuple[Entry, str]]:
        with_stats = network.stats is not None
        plan = plan_of(network.backbone, network.engine, weights, with_stats=with_stats, workers=workers)
        return compute_on_ray(address, plan, network.missing, store, bar)

    return compute


def compute_ahead(compute: ComputeMissing, network: PassNetwork, store: FeatureStore, screen: Screen) -> None:
    """Compute the missing entries of a network; photos that fail are left for the pass that reads the entries."""
    with screen.progress("features", len(network.missing)) as bar:
        for _ in compute(network, store, bar):
            pass


def compute_here(network: PassNetwork, store: FeatureStore, bar: Bar) -> Iterator[tuple[Entry, str]]:
    """Compute the missing entries of a network in this process; see `ComputeMissing`."""
    for first in range(0, len(network.missing), CHUNK):
        yield from compute_chunk(network, network.missing[first : first + CHUNK], store, bar)


def compute_chunk(
    network: PassNetwork, entries: Sequence[Entry], store: FeatureStore, bar: Bar | None = None
) -> list[tuple[Entry, str]]:
    """Compute features, and stats if the network has them, of some photos; return those that failed, each with why."""
    load: Callable[[Entry], Any] | None = None if network.stats is None else network.stats.load
    result = extract(
        entries, network.backbone, network.engine, store, load=load, weights=network.engine.weights, bar=bar
    )
    if network.stats is not None:
        bad = {position for position, _ in result.failed}
        network.stats.add_missing([entry for position, entry in enumerate(entries) if position not in bad])
    return [(entries[position], why) for position, why in result.failed]


def check_stored(network: PassNetwork, store: FeatureStore, failed: Collection[str]) -> None:
    """Check that the store has every entry that was computed.

    Args:
        network: the network.
        store: the store.
        failed: contents of photos that could not be decoded.

    Raises:
        StorageError: it lacks some.
    """
    done = [entry for entry in network.missing if entry.content not in failed]
    keys = feature_keys(done, network.backbone, network.engine.weights, network.engine.numerics)
    lost = store.missing([key for key in keys if key is not None])
    if lost:
        raise StorageError(
            f"the features of {len(lost):,} of {len(done):,} photos could not be stored\n"
            "  check that the store can be written and has room; the same command computes the rest"
        )
