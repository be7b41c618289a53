"""The features of one frozen network: computed by one engine, cached on disk, and loaded into memory once per run."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from regraft.context.decisions import Decisions
from regraft.data.loading.fixed_views import fixed_view_task, view_name
from regraft.data.manifest import Entry
from regraft.disk.row_table import leading_columns, take
from regraft.distributed.passes import fill_together
from regraft.errors import ConfigError, MissingExtraError, PhotosError
from regraft.features.engines.engine_choice import REFERENCE, EngineChoice, choose_engine, make_engine
from regraft.features.engines.engine_interface import Engine
from regraft.features.extract import Features, extract
from regraft.features.stores.store import FeatureStore
from regraft.models.backbone import Backbone
from regraft.screen import Bar, Screen


@dataclass(frozen=True)
class FeatureTable:
    """Features of photos in memory.

    Attributes:
        values: shape (n, D), float32.
        row_of: content hash to row.
    """

    values: NDArray[np.float32]
    row_of: dict[str, int]

    def get(self, entries: Sequence[Entry]) -> NDArray[np.float32] | None:
        """Return the features of ``entries``, shape (len, D), or None if one is missing."""
        rows = [self.row_of.get(entry.content, -1) for entry in entries]
        return take(self.values, np.array(rows, dtype=np.int64)) if min(rows, default=0) >= 0 else None


@dataclass(frozen=True)
class NetworkFeatures:
    """The features of one frozen network.

    Attributes:
        backbone: the network; it may be a variant that also returns pooled activations of its blocks.
        weights: hash of its weights.
        store: cache of features.
        workers: threads that decode photos.
        screen: where progress goes.
        engine_source: returns the engine that runs the network, always the same one.
        table: features of the plain photos; None until they have been computed.
    """

    backbone: Backbone
    weights: str
    store: FeatureStore
    workers: int
    screen: Screen
    engine_source: Callable[[], Engine]
    table: FeatureTable | None = None

    @property
    def engine(self) -> Engine:
        """The engine that runs the network, the same throughout a run."""
        return self.engine_source()

    def with_table(self, entries: Sequence[Entry], values: NDArray[np.float32]) -> Self:
        """Return these features with a table in memory: ``values``, shape (n, D), of ``entries``."""
        return replace(self, table=FeatureTable(values, {entry.content: row for row, entry in enumerate(entries)}))

    def of(self, entries: Sequence[Entry], view: int = 0) -> NDArray[np.float32]:
        """Return the features of the top layer for a view of ``entries``; see `all_depths`."""
        return leading_columns(self.all_depths(entries, view), self.backbone.spec.top_features)

    def all_depths(self, entries: Sequence[Entry], view: int = 0) -> NDArray[np.float32]:
        """Return all features of a view of ``entries``, shape (n, D), float32, also those of pooled blocks.

        Args:
            entries: photos that can be decoded.
            view: number of the view; 0 is the plain photo.

        Raises:
            PhotosError: a photo has changed or disappeared during the run.
        """
        in_memory = self.table.get(entries) if view == 0 and self.table is not None else None
        if in_memory is not None:
            return in_memory
        result = self.extract(entries, view)
        for position, why in result.failed:
            raise no_longer_readable(entries[position], why)
        return result.values

    def extract(self, entries: Sequence[Entry], view: int = 0) -> Features:
        """Return the features of a view of those ``entries`` that can be decoded, from the cache or computed."""

        def pass_over(some: Sequence[Entry], bar: Bar | None = None) -> Features:
            return extract(
                some,
                self.backbone,
                self.engine,
                self.store,
                load=fixed_view_task(self.backbone.spec.preprocessing, view),
                view=view_name(view),
                weights=self.weights,
                workers=self.workers,
                bar=bar,
            )

        with self.screen.progress(f"view {view}", len(entries)) as bar:
            fill_together(entries, pass_over)
            return pass_over(entries, bar)


def no_longer_readable(entry: Entry, why: str = "do not change photos during a run") -> PhotosError:
    """Return the error for a photo that was read before and cannot be read now."""
    return PhotosError(f"{entry.name} could be read before, but not now: {why}")


def network_features(
    backbone: Backbone,
    entries: Sequence[Entry],
    decisions: Decisions,
    *,
    device: torch.device,
    store: FeatureStore,
    workers: int,
    weights: str | None = None,
    choice: str = "engine",
) -> NetworkFeatures:
    """Return the features of ``backbone``; its engine is chosen when it is first needed.

    Args:
        backbone: the network, on ``device``.
        entries: photos that the engine has to run, to predict how long it takes.
        decisions: the record of the run; it records the choice of the engine.
        device: where the network runs.
        store: cache of features.
        workers: threads that decode photos.
        weights: hash of the weights; None to compute it.
        choice: name of the choice of the engine.
    """
    sha = backbone.weights_hash() if weights is None else weights

    def fastest() -> EngineChoice:
        bf16 = decisions.config.precision != "fp32"
        return choose_engine(backbone, entries, store, device=device, workers=workers, bf16=bf16, weights=sha)

    source = functools.cache(lambda: recorded_engine(choice, backbone, decisions, device, fastest))
    return NetworkFeatures(backbone, sha, store, workers, decisions.screen, source)


def recorded_engine(
    name: str, backbone: Backbone, decisions: Decisions, device: torch.device, choose: Callable[[], EngineChoice]
) -> Engine:
    """Return the engine for ``backbone`` that ``choose`` returns, or that the replayed run used.

    If the engine of a replayed run is unavailable on this machine, warn and return the reference engine.
    """
    ready: list[Engine | None] = []

    def title() -> str:
        choice = choose()
        ready.append(choice.engine)
        return choice.title

    chosen = decisions.choose(name, "soonest done, set-up included", title)
    if ready and ready[0] is not None:
        return ready[0]
    try:
        return make_engine(chosen, backbone, device)
    except (ConfigError, MissingExtraError) as error:
        decisions.screen.warn(f"{error}; {REFERENCE} runs the network instead, and the last bits of results may differ")
        return make_engine(REFERENCE, backbone, device)
