"""The features of every photo, and the split, which keeps photos of the same picture together."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from regraft.audit.photo_stats_store import PhotoStatsStore
from regraft.context.dataset import assign_sides, leave_out, print_sides
from regraft.context.frozen_features import FrozenFeatures
from regraft.context.network_features import NetworkFeatures
from regraft.context.parts import parts_of
from regraft.context.run_context import RunContext
from regraft.context.small_parts import part_notes
from regraft.context.unused_options import unused_by_split
from regraft.data.manifest import Entry, Manifest, check_usable
from regraft.distributed.passes import fill_together
from regraft.features.engines.engine_costs import PassCost, record_pass
from regraft.features.extract import Features, extract
from regraft.process import release_freed_memory
from regraft.screen import Bar, Screen
from regraft.text import counted
from regraft.workflows.steps.distinct_photos import check_distinct, one_picture_notes
from regraft.workflows.steps.duplicate_groups import group_duplicates, leave_out_leaks, photo_stats_of
from regraft.workflows.steps.prepare import PreparedRun
from regraft.workflows.steps.prepared_photos import PreparedPhotos

DECODING = 0.15
"""Share of the time of a pass that reading and decoding take."""

_MIN_TIMED = 200
"""Minimum photos in a pass for its speed to be recorded; shorter passes are dominated by set-up."""


def compute_features_and_split(run: PreparedRun, prepared: PreparedPhotos) -> RunContext:
    """Return the context of the run: every photo decoded once, its features in memory, and its side assigned.

    Raises:
        PhotosError: too few photos are left, or a class has no training photo.
        ConfigError: the rule of ``group_by`` is invalid, or matches no photo.
    """
    config, screen, manifest = run.config, run.screen, run.dataset.manifest
    stats = prepared.photo_stats(run.backbone.spec.preprocessing)
    try:
        features = _compute_features(run, stats)
        release_freed_memory()
        table = photo_stats_of(stats, run.dataset.usable, run.workers)
        check_distinct(run.dataset, features.first.of(run.dataset.usable), table)
        groups = group_duplicates(run.dataset, config, features.first, table)
    finally:
        stats.close()
    run.decisions.report(groups)
    for warning in groups.warnings(fix_leaks=config.fix_leaks):
        screen.warn(warning)
    notes: tuple[str, ...] = ()
    if run.dataset.given and config.fix_leaks:
        notes = leave_out_leaks(manifest, groups.subject)
        check_usable(manifest)
    dataset = replace(
        run.dataset,
        duplicate_group=groups.copies.groups,
        median_side=table.median_side,
        capture_times=groups.capture_times(),
    )
    for warning in one_picture_notes(dataset):
        screen.warn(warning)
    notes += assign_sides(dataset, config)
    print_sides(dataset, notes, config.recipe, screen)
    parts = parts_of(dataset, config)
    for note in (*unused_by_split(config, dataset), *part_notes(parts, dataset.classes, config.recipe)):
        screen.warn(note)
    return RunContext(
        config=config,
        folder=run.folder,
        screen=screen,
        dataset=dataset,
        parts=parts,
        backbone=run.backbone,
        device=run.device,
        store=run.store,
        workers=run.workers,
        user_callbacks=run.user_callbacks,
        decisions=run.decisions,
        features=features,
    )


def _compute_features(run: PreparedRun, stats: PhotoStatsStore) -> FrozenFeatures:
    """Return the frozen features with a table of every photo in memory; photos that cannot be decoded are left out.

    Args:
        run: the run.
        stats: decodes the photos for the first network; some of them are decoded already.

    Raises:
        PhotosError: too few photos are left.
    """
    first, *others = run.features.networks
    networks = [_compute_network(run, first, stats)]
    networks += [_compute_network(run, network, None) for network in others]
    return FrozenFeatures(tuple(networks))


def _compute_network(run: PreparedRun, network: NetworkFeatures, stats: PhotoStatsStore | None) -> NetworkFeatures:
    """Return the features of one network with a table of every photo in memory.

    Args:
        run: the run; photos that cannot be decoded are left out of it.
        network: the network.
        stats: decodes the photos, in the first network; None for another one.
    """
    entries = run.dataset.usable
    engine, spec = network.engine, network.backbone.spec
    begun = time.monotonic()

    def pass_over(some: Sequence[Entry], bar: Bar | None = None) -> Features:
        result = extract(
            some,
            network.backbone,
            engine,
            run.store,
            load=None if stats is None else stats.load,
            weights=network.weights,
            workers=run.workers,
            bar=bar,
        )
        if bar is None and stats is not None:
            stats.add_missing(some, run.workers)
        return result

    with run.screen.progress("features", len(entries)) as bar:
        fill_together(entries, pass_over)
        result = pass_over(entries, bar)
    spent = time.monotonic() - begun
    with_decoding = _with_decoding(spent, result.computed, 0 if stats is None else stats.prefetched)
    pixels = spec.preprocessing.height * spec.preprocessing.width
    if result.computed >= _MIN_TIMED:
        record_pass(spec.name, str(run.device), PassCost(with_decoding / result.computed, pixels))
    named = {} if stats is not None else {"network": spec.name}
    run.decisions.note(
        "features",
        photos=result.computed,
        from_store=result.from_store,
        seconds=round(spent, 2),
        with_decoding=round(with_decoding, 2),
        pixels=pixels,
        engine=engine.numerics,
        **named,
    )
    if result.failed:
        _leave_out_damaged(run.dataset.manifest, [(entries[row], why) for row, why in result.failed], run.screen)
    run.screen.line("features", _pass_text(result, spent), f"({spec.name})" if named else "")
    run.screen.detail("", f"computed by {engine.title}")
    return network.with_table([entries[row] for row in result.rows], result.values)


def _pass_text(result: Features, spent: float) -> str:
    """Return how many photos were computed, how fast, and how many were cached."""
    cached = f"{result.from_store:,} from cache" if result.from_store else ""
    if not result.computed:
        return cached or "no photos"
    speed = f"{counted(result.computed, 'photo')} · {result.computed / max(spent, 1e-9):,.0f} photos/s"
    return f"{speed} · {cached}" if cached else speed


def _with_decoding(spent: float, computed: int, prefetched: int) -> float:
    """Return the seconds that a pass would have taken if none of its photos had been decoded ahead."""
    return spent / (1 - DECODING * min(1.0, prefetched / max(1, computed)))


def _leave_out_damaged(manifest: Manifest, failed: Sequence[tuple[Entry, str]], screen: Screen) -> None:
    """Leave out photos that cannot be decoded, and warn of classes that become too small."""
    printed = check_usable(manifest)
    leave_out(manifest, failed, screen)
    for note in check_usable(manifest):
        if note not in printed:
            screen.warn(note)
