"""Features on a Ray cluster: actors run the network, and their results return to the store by content.

Ray Data divides the photos into blocks, starts actors on all machines, and repeats the blocks of an actor or a machine
that died. This process alone writes to the store, so the machines need no access to it. They need the photos under the
same paths.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from regraft.audit.photo_stats_store import PhotoStatsStore
from regraft.data.manifest import Entry
from regraft.data.preprocessing import Preprocessing
from regraft.features.engines.engine_choice import make_engine
from regraft.features.engines.engine_interface import Engine
from regraft.features.extract import extract
from regraft.features.stores.store import FeatureArray, FeatureKey, FeatureStore, pack, unpack
from regraft.models.backbone import Backbone
from regraft.models.zoo import build_backbone
from regraft.on_ray.cluster import check_agreement, connect, map_blocks, versions
from regraft.screen import Bar

DONE, FAILED = "done", "failed"
"""Kinds of results that are not entries of the store: a photo is done, or could not be decoded for a reason."""


@dataclass(frozen=True)
class ActorPlan:
    """Everything that an actor needs to run the same network in the same way.

    Attributes:
        network: name of the network.
        weights: a local file of its weights, on every machine, or None.
        preprocessing: its preprocessing, with the rendering of the photos, as JSON values.
        engine: name of the engine.
        with_stats: whether photo stats are computed too.
        workers: threads that decode in each actor.
        agreed: versions, hash of the weights and numerics, by name; every machine must have the same.
    """

    network: str
    weights: Path | None
    preprocessing: dict[str, Any]
    engine: str
    with_stats: bool
    workers: int
    agreed: dict[str, str]


def plan_of(backbone: Backbone, engine: Engine, weights: Path | None, *, with_stats: bool, workers: int) -> ActorPlan:
    """Return the plan for actors that compute what ``engine`` computes here."""
    spec = backbone.spec
    agreed = {**versions(), "weights": engine.refresh(), "numerics": engine.numerics}
    return ActorPlan(spec.name, weights, spec.preprocessing.as_dict(), engine.title, with_stats, workers, agreed)


def compute_on_ray(
    on: str, plan: ActorPlan, entries: Sequence[Entry], store: FeatureStore, bar: Bar
) -> Iterator[tuple[Entry, str]]:
    """Compute features of ``entries`` on a cluster and put them into ``store``; yield photos that failed, with why.

    Raises:
        MissingExtraError, ConfigError: see `regraft.on_ray.cluster.connect`.
        ClusterError: a machine differs from this one.
    """
    if not entries:
        return
    import pyarrow as pa

    ray = connect(on)
    by_content = {entry.content: entry for entry in entries}
    table = pa.table({"path": [str(e.path.absolute()) for e in entries], "content": [e.content for e in entries]})
    for batch in map_blocks(ray, table, FeatureActor, (plan,)):
        rows = batch.to_pylist()
        _store(rows, store)
        bar.advance(sum(row["kind"] in (DONE, FAILED) for row in rows))
        for row in rows:
            if row["kind"] == FAILED:
                yield by_content[row["content"]], row["entry"].decode()


class FeatureActor:
    """Stateful actor of Ray Data: a network that is ready to run, on one machine.

    Args:
        plan: what to run.

    Raises:
        ClusterError: this machine has other versions, weights or numerics.
    """

    def __init__(self, plan: ActorPlan) -> None:
        check_agreement({**plan.agreed, "weights": "", "numerics": ""}, {**versions(), "weights": "", "numerics": ""})
        preprocessing = Preprocessing.from_dict(plan.preprocessing)
        self._backbone = build_backbone(plan.network, weights=plan.weights, size=preprocessing.height)
        self._backbone.render(preprocessing.rendering)
        self._engine = make_engine(plan.engine, self._backbone)
        here = {**versions(), "weights": self._engine.refresh(), "numerics": self._engine.numerics}
        check_agreement(plan.agreed, here)
        self._plan = plan

    def __call__(self, batch: Any) -> Any:
        """Return the results for a block of photos, a row for each store entry and each failure."""
        import pyarrow as pa

        paths, contents = (batch.column(name).to_pylist() for name in ("path", "content"))
        entries = [Entry(path, Path(path), content, "") for path, content in zip(paths, contents, strict=True)]
        results = _Results()
        stats = PhotoStatsStore(self._backbone.spec.preprocessing, results) if self._plan.with_stats else None
        found = extract(
            entries,
            self._backbone,
            self._engine,
            results,
            load=None if stats is None else stats.load,
            weights=self._plan.agreed["weights"],
            workers=self._plan.workers,
        )
        if stats is not None:
            stats.add_missing([entries[row] for row in found.rows.tolist()], self._plan.workers)
        done = [_row(content=contents[row], kind=DONE) for row in found.rows.tolist()]
        bad = [_row(content=contents[row], kind=FAILED, entry=why.encode()) for row, why in found.failed]
        types = {"content": pa.string(), "key": pa.string(), "kind": pa.string(), "entry": pa.large_binary()}
        return pa.Table.from_pylist([*results.rows, *done, *bad], schema=pa.schema(list(types.items())))


class _Results:
    """A `FeatureStore` that has nothing, and collects what is put into it."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self._keys: set[FeatureKey] = set()

    def get(self, key: FeatureKey) -> FeatureArray | None:
        """Return None."""
        return None

    def get_many(self, keys: Sequence[FeatureKey]) -> Iterator[tuple[int, FeatureArray]]:
        """Yield nothing."""
        return iter(())

    def missing(self, keys: Sequence[FeatureKey]) -> list[int]:
        """Return the positions of keys that were not put."""
        return [position for position, key in enumerate(keys) if key not in self._keys]

    def put(self, key: FeatureKey, features: FeatureArray, kind: str = "") -> None:
        """Collect an entry."""
        self.put_many([(key, features)], kind)

    def put_many(self, items: Iterable[tuple[FeatureKey, FeatureArray]], kind: str = "") -> None:
        """Collect several entries."""
        for key, numbers in items:
            self._keys.add(key)
            self.rows.append(_row(key=key, kind=kind, entry=pack(bytes.fromhex(key), np.asarray(numbers))))


def _row(*, kind: str, content: str = "", key: str = "", entry: bytes = b"") -> dict[str, Any]:
    return {"content": content, "key": key, "kind": kind, "entry": entry}


def _store(rows: Iterable[dict[str, Any]], store: FeatureStore) -> None:
    """Put the entries among the results into the store; one that was damaged on its way is left out."""
    by_kind: dict[str, list[tuple[FeatureKey, FeatureArray]]] = defaultdict(list)
    for row in rows:
        if row["key"]:
            numbers = unpack(bytes.fromhex(row["key"]), row["entry"])
            if numbers is not None:
                by_kind[row["kind"]].append((row["key"], numbers))
    for kind, items in by_kind.items():
        store.put_many(items, kind)
