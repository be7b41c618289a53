"""`check`: a search for problems in photos and labels, which changes none of them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from regraft.audit.class_examples import class_examples
from regraft.audit.duplicates import detect_duplicates
from regraft.audit.finding import LEVELS, Finding
from regraft.audit.grouping import grouping_problem, user_groups
from regraft.audit.photo_stats_store import PhotoStatsStore, PhotoStatsTable
from regraft.audit.run_checks import run_checks
from regraft.audit.subject import Subject
from regraft.context.dataset import Dataset, apply_decisions_file
from regraft.data.archives.address import shown
from regraft.data.decisions import named_as_photos, read_decisions
from regraft.data.decoding.rendering import measure_rendering
from regraft.data.manifest import Entry, Manifest, describe_skipped, scan
from regraft.data.selection import MovedPhotos, PhotoSelection
from regraft.data.source import class_order, select_photos
from regraft.data.threads import workers_or_default
from regraft.disk.atomic import write_json
from regraft.disk.csv_file import write_csv
from regraft.disk.row_table import side_by_side, take
from regraft.errors import FindingsError, RunFolderError
from regraft.features.engines.engine_choice import choose_engine
from regraft.features.extract import Features, extract
from regraft.features.stores.open_store import local_store, open_store
from regraft.features.stores.store import FeatureStore
from regraft.inference.device import pick_device
from regraft.models.backbone import Backbone
from regraft.models.catalogue import DEFAULT_BACKBONE
from regraft.models.zoo import build_backbones
from regraft.probe.label_noise import reweighted_probabilities
from regraft.probe.linear_probe import PROBE_STEPS, Probe, fit_probe
from regraft.recipes.steps.input_size import size_for
from regraft.screen import Screen
from regraft.workflows.feature_pass import network_names
from regraft.workflows.label_review import LabeledPhotos, fine_tuned_label_probabilities
from regraft.workflows.steps.comparisons import series_effects
from regraft.workflows.steps.duplicate_groups import apply_user_groups, photo_stats_of
from regraft.workflows.steps.pass_network import compute_ahead, on_cluster, pass_of
from regraft.workflows.steps.run_directory import check_outside

FORMAT = 1

MIN_FINE_TUNED = 100
"""Minimum photos for a fine-tuned network to find wrong labels that the probe does not."""


@dataclass(frozen=True)
class CheckOptions:
    """The options of a check.

    Attributes:
        selection: the photos and the place of their labels.
        group_by: a rule of `regraft.audit.grouping.user_groups`, or None.
        decisions: a file of decisions to apply first, or None.
        backbone: the network that compares photos and finds wrong labels. Of several, joined by ``+``, the first one
            compares photos, and all of them find wrong labels.
        weights: a local file of its weights, or a folder of files for several networks, or None.
        size: its input size in pixels, or None for the default of the network.
        device: where it runs.
        workers: threads that decode, or None for the default.
        thorough: whether fine-tuned networks look for wrong labels too, which takes minutes.
        moved: where photos are now, if they are no longer in the folders of ``selection``.
        store: address of a feature store that several machines share, or None for the store of this machine.
        cluster: the Ray cluster that computes features, as in ``--on``, or None for this process.
    """

    selection: PhotoSelection
    group_by: str | None = None
    decisions: Path | None = None
    backbone: str = DEFAULT_BACKBONE
    weights: Path | None = None
    size: int | None = None
    device: str = "auto"
    workers: int | None = None
    thorough: bool = False
    moved: MovedPhotos | None = None
    store: str | None = None
    cluster: str | None = None


def check_photos(options: CheckOptions, screen: Screen, store: FeatureStore | None = None) -> dict[str, Any]:
    """Check photos and return the content of `check.json`; nothing is written.

    Raises:
        PhotosError: the folder is missing or has no photo, or the CSV or the decisions are invalid.
        BackboneError, WeightsError: the network is unavailable.
    """
    begun = time.monotonic()
    source = select_photos(options.selection, one_class=True, moved=options.moved)
    with screen.progress("photos", len(source.photos)) as bar:
        manifest = scan(source, workers=workers_or_default(options.workers), bar=bar)
    decisions = [] if options.decisions is None else named_as_photos(read_decisions(options.decisions), manifest)
    decided_notes = () if options.decisions is None else apply_decisions_file(manifest, options.decisions)
    for note in (*source.notes, *decided_notes):
        screen.warn(note)
    store = open_store(options.store, warn=screen.warn) if store is None else store
    subject, accuracy = _subject(options, manifest, class_order(p.label for p in source.photos), store, screen)
    findings = run_checks(subject)
    decided = {decision.name for decision in decisions}
    open_findings = [finding for finding in findings if not _is_decided(finding, decided)]
    return {
        "format": FORMAT,
        "photos": shown(options.selection.photos),
        "more_photos": [shown(folder) for folder in options.selection.more_photos],
        "files": dict(Counter(entry.status for entry in manifest.entries)),
        "skipped": describe_skipped(manifest.entries),
        "classes": dict(Counter(entry.label for entry in subject.entries)),
        "accuracy": accuracy,
        "counts": {level: sum(finding.level == level for finding in open_findings) for level in reversed(LEVELS)},
        "findings": [{**finding.as_dict(), "decided": _is_decided(finding, decided)} for finding in findings],
        "decisions": [{"path": d.name, "decision": d.text, "why": d.why} for d in decisions],
        "labels": _labels(manifest, findings),
        "examples": class_examples(subject, findings),
        "seconds": round(time.monotonic() - begun, 1),
    }


def _is_decided(finding: Finding, decided: AbstractSet[str]) -> bool:
    """Return whether the user has decided about every photo of a finding, so that it no longer counts."""
    return bool(finding.photos) and set(finding.photos) <= decided


def write_check(check: dict[str, Any], out: Path) -> None:
    """Write ``check.json`` and ``check.csv`` into ``out``, which is created if missing.

    Raises:
        RunFolderError: ``out`` lies inside the photos, or cannot be written.
    """
    for folder in (check["photos"], *check["more_photos"]):
        check_outside(out, Path(folder))
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / "check.json", check)
        write_csv(out / "check.csv", _rows(check))
    except OSError as error:
        raise RunFolderError(f"cannot write to {out}: {error.strerror or error}") from error


def _rows(check: dict[str, Any]) -> Iterator[tuple[object, ...]]:
    """Yield the rows of ``check.csv``: one for each photo of a finding, or one without a photo."""
    yield "finding", "level", "kind", "path", "class", "suggestion", "words"
    for number, finding in enumerate(check["findings"], start=1):
        for name in finding["photos"] or [""]:
            about = (finding["level"], finding["kind"], name, check["labels"].get(name, ""))
            yield number, *about, finding["suggestion"], finding["words"]


def _subject(
    options: CheckOptions, manifest: Manifest, names: Sequence[str], store: FeatureStore, screen: Screen
) -> tuple[Subject, float | None]:
    """Decode every photo once; return all that the checks need, and the accuracy of the probe that reviews labels."""
    networks = build_backbones(network_names(options.backbone), weights=options.weights, size=options.size)
    workers = workers_or_default(options.workers)
    measured = measure_rendering(manifest.usable, workers=workers)
    for network in networks:
        network.render(measured.rendering)
    for note in measured.notes:
        screen.line("", note)
    backbone, *others = networks
    device = pick_device(options.device)
    stats_store = PhotoStatsStore(backbone.spec.preprocessing, store)
    joined = [_features(options, manifest, backbone.to(device), device, stats_store, store, screen).values]
    for other in others:
        more = _features(options, manifest, other.to(device), device, None, store, screen)
        joined = [*(take(values, more.rows) for values in joined), more.values]
    features, entries = joined[0], manifest.usable
    photo_stats = photo_stats_of(stats_store, entries, workers)
    if options.group_by is not None:
        apply_user_groups(_groups(options, entries, photo_stats, features), entries)
    problem = grouping_problem(entries, {}) if any(entry.group for entry in entries) else None
    if problem is not None:
        screen.warn(problem.text)
    manifest.classes = class_order(entry.label for entry in entries)
    duplicates = detect_duplicates(
        entries, features, photo_stats, store=store, workers=workers, rendering=measured.rendering, warn=screen.warn
    )
    sides = frozenset(entry.given_side for entry in entries if entry.given_side is not None)
    dataset = Dataset(manifest, sides, duplicate_group=duplicates.groups, median_side=photo_stats.median_side)
    table = side_by_side(joined)
    probe, probabilities = _label_probabilities(dataset, table, screen)
    times = [stats.captured_at for stats in photo_stats]
    series = [] if probe is None or sides else series_effects(dataset, dataset.usable, table, times, probe.C)
    if options.thorough:
        probabilities = _fine_tuned(options, dataset, probabilities, backbone, device, store, screen)
    subject = Subject(manifest, names, entries, photo_stats, features, duplicates, probabilities, bool(sides), series)
    return subject, None if probe is None else probe.cv_accuracy


def _groups(
    options: CheckOptions, entries: Sequence[Entry], photo_stats: PhotoStatsTable, features: NDArray[np.float32]
) -> dict[str, str]:
    return user_groups(str(options.group_by), entries, photo_stats, options.selection, features=features)


def _features(
    options: CheckOptions,
    manifest: Manifest,
    backbone: Backbone,
    device: torch.device,
    stats: PhotoStatsStore | None,
    store: FeatureStore,
    screen: Screen,
) -> Features:
    """Return the features of every photo; photos that cannot be decoded are left out."""
    entries = manifest.usable
    choice = choose_engine(backbone, entries, store, device=device, workers=options.workers)
    engine, load = choice.engine_for(backbone, device), None if stats is None else stats.load
    if options.cluster is not None:
        compute = on_cluster(options.cluster, options.weights)
        compute_ahead(compute, pass_of(backbone, engine, stats, entries, store), store, screen)
    with screen.progress("features", len(entries)) as bar:
        result = extract(entries, backbone, engine, store, load=load, workers=options.workers, bar=bar)
    for position, why in result.failed:
        manifest.set_aside(entries[position], why)
    return result


def _label_probabilities(
    dataset: Dataset, features: NDArray[np.float32], screen: Screen
) -> tuple[Probe | None, NDArray[np.float64] | None]:
    """Return the cross-validated probe, and out-of-fold probabilities of each class for each photo.

    The probe has seen neither the photo nor a duplicate of it. Both are None if cross-validation is not possible.
    """
    entries = dataset.usable
    if len(dataset.classes) < 2 or max(Counter(entry.label for entry in entries).values()) < 2:
        return None, None
    labels, classes, groups = dataset.labels(entries), len(dataset.classes), dataset.units(entries)
    keys = [entry.content for entry in entries]
    with screen.progress("labels", PROBE_STEPS + 1, unit="steps") as bar:
        probe = fit_probe(features, labels, classes=classes, groups=groups, keys=keys, bar=bar)
        if probe.oof is None:
            return None, None
        probabilities = reweighted_probabilities(features, labels, probe, classes=classes, groups=groups, keys=keys)
        bar.advance()
    return probe, probabilities


def _fine_tuned(
    options: CheckOptions,
    dataset: Dataset,
    probabilities: NDArray[np.float64] | None,
    backbone: Backbone,
    device: torch.device,
    store: FeatureStore,
    screen: Screen,
) -> NDArray[np.float64] | None:
    """Return ``probabilities`` averaged with those of fine-tuned networks, if there are enough photos."""
    entries = dataset.usable
    if probabilities is None or len(entries) < MIN_FINE_TUNED:
        screen.warn("skipping the fine-tuned label check: there are too few photos to fine-tune on")
        return probabilities
    assert dataset.median_side is not None
    size = size_for(dataset.median_side, backbone.spec.preprocessing) if options.size is None else None
    if size is not None:
        rendering = backbone.spec.preprocessing.rendering
        (backbone,) = build_backbones(network_names(options.backbone)[:1], weights=options.weights, size=size)
        backbone.to(device)
        backbone.render(rendering)
    labeled = LabeledPhotos(entries, dataset.labels(entries), dataset.units(entries), probabilities)
    return fine_tuned_label_probabilities(
        labeled, backbone, store=local_store(store), device=device, workers=options.workers, screen=screen
    )


def _labels(manifest: Manifest, findings: Sequence[Finding]) -> dict[str, str]:
    """Return the label of every photo that a finding names."""
    named = {name for finding in findings for name in finding.photos}
    return {entry.name: entry.label for entry in manifest.entries if entry.name in named}


def fail_on(check: dict[str, Any], level: str) -> None:
    """Raise if a finding is as serious as ``level`` or more, and the user has not decided about all of its photos.

    Raises:
        FindingsError: there is such a finding; the message gives their number and the first one.
    """
    serious = LEVELS[LEVELS.index(level) :]
    bad = [finding for finding in check["findings"] if finding["level"] in serious and not finding["decided"]]
    if bad:
        first = " and ".join(bad[0]["photos"][:2])
        findings = "1 finding" if len(bad) == 1 else f"{len(bad):,} findings"
        about = f": {first}" if first else ""
        raise FindingsError(
            f"{check['photos']}: {findings} of level {level} or above\n  {bad[0]['kind']}{about}: {bad[0]['words']}"
        )
