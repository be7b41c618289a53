"""`check`: everything that is wrong with photos and labels, without touching one of them."""

from __future__ import annotations

import csv
import io
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.audit.duplicates import detect_duplicates
from regraft.audit.finding import LEVELS, Finding
from regraft.audit.grouping import user_groups
from regraft.audit.photo_stats_store import PhotoStatsStore
from regraft.audit.run_checks import run_checks
from regraft.audit.subject import Subject
from regraft.context.dataset import Photos, decide
from regraft.data.manifest import Manifest, scan
from regraft.data.source import class_order, find_photos
from regraft.data.threads import workers_or_default
from regraft.disk.atomic import write_json, write_text
from regraft.errors import PhotosError, RunFolderError
from regraft.features.disk_store import DiskStore
from regraft.features.engine_choice import choose_engine
from regraft.features.extract import extract
from regraft.features.store import FeatureStore
from regraft.inference.device import pick_device
from regraft.models.zoo import build_backbone
from regraft.probe.label_noise import reweighted_probabilities
from regraft.probe.linear_probe import PROBE_STEPS, fit_probe
from regraft.recipes.steps.input_size import size_for
from regraft.screen import Screen
from regraft.workflows.duplicate_groups import all_of, take_groups
from regraft.workflows.label_review import Labelled, look_a_third_time

FORMAT = 1

ENOUGH = 100
"""Photos from which on fine-tuning may know more of labels than the probe."""


@dataclass(frozen=True)
class CheckOptions:
    """What to check, and how.

    Attributes:
        photos: the folder.
        labels: a CSV of labels, or None for a folder per class.
        group_by: a rule of `regraft.audit.grouping.user_groups`, or None.
        decisions: a file of decisions that are applied first, or None.
        backbone: the network that photos are compared and labels doubted by.
        weights: a local file of its weights, or None.
        size: the side that it sees, or None for its own.
        device: where it runs.
        workers: threads that decode, or None for the default.
        thorough: whether labels are doubted by fine-tuned networks too, which takes minutes.
    """

    photos: Path
    labels: Path | None = None
    group_by: str | None = None
    decisions: Path | None = None
    backbone: str = "tf_efficientnet_lite0"
    weights: Path | None = None
    size: int | None = None
    device: str = "auto"
    workers: int | None = None
    thorough: bool = False


def check_photos(options: CheckOptions, screen: Screen, store: FeatureStore | None = None) -> dict[str, Any]:
    """Check photos and return what `check.json` holds; nothing is written.

    Raises:
        PhotosError: there is no such folder, no photo in it, or the CSV or the decisions are wrong.
        BackboneError, WeightsError: the network cannot be had.
    """
    begun = time.monotonic()
    source = find_photos(options.photos, options.labels, one_class=True)
    workers = workers_or_default(options.workers)
    with screen.progress("photos", len(source.photos)) as bar:
        manifest = scan(source, workers=workers, bar=bar)
    for note in (*source.notes, *(decide(manifest, options.decisions) if options.decisions is not None else ())):
        screen.warn(note)
    store = DiskStore(warn=screen.warn) if store is None else store
    subject, accuracy = _look(options, manifest, class_order(p.label for p in source.photos), store, screen)
    findings = run_checks(subject)
    return {
        "format": FORMAT,
        "photos": str(options.photos),
        "files": dict(Counter(entry.status for entry in manifest.entries)),
        "classes": dict(Counter(entry.label for entry in subject.entries)),
        "accuracy": accuracy,
        "counts": {level: sum(finding.level == level for finding in findings) for level in reversed(LEVELS)},
        "findings": [finding.as_dict() for finding in findings],
        "labels": _labels(manifest, findings),
        "seconds": round(time.monotonic() - begun, 1),
    }


def write_check(found: dict[str, Any], out: Path) -> None:
    """Write ``check.json`` and ``check.csv`` into ``out``, which is made where it is not there.

    Raises:
        RunFolderError: ``out`` lies inside the photos, or cannot be written.
    """
    if out.resolve().is_relative_to(Path(found["photos"]).resolve()):
        raise RunFolderError(f"{out} lies inside the photos; nothing is written there\n  name a place outside with -o")
    rows = io.StringIO()
    writer = csv.writer(rows, lineterminator="\n")
    writer.writerow(["finding", "level", "kind", "path", "class", "suggestion", "words"])
    for number, finding in enumerate(found["findings"], start=1):
        about = [finding["level"], finding["kind"]]
        for name in finding["photos"] or [""]:
            label = found["labels"].get(name, "")
            writer.writerow([number, *about, name, label, finding["suggestion"], finding["words"]])
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / "check.json", found)
        write_text(out / "check.csv", rows.getvalue())
    except OSError as error:
        raise RunFolderError(f"cannot write to {out}: {error.strerror or error}") from error


def _look(
    options: CheckOptions, manifest: Manifest, names: Sequence[str], store: FeatureStore, screen: Screen
) -> tuple[Subject, float | None]:
    """Decode every photo once; return all that the checks look at, and the accuracy of the probe that doubts labels."""
    backbone = build_backbone(options.backbone, weights=options.weights, size=options.size)
    device = pick_device(options.device)
    looks = PhotoStatsStore(backbone.spec.preprocessing, store)
    entries = manifest.usable
    choice = choose_engine(backbone, entries, store, device=device, workers=options.workers)
    engine = choice.engine_for(backbone.to(device), device)
    with screen.progress("features", len(entries)) as bar:
        found = extract(entries, backbone, engine, store, load=looks.load, workers=options.workers, bar=bar)
    for position, why in found.failed:
        manifest.set_aside(entries[position], why)
    entries = manifest.usable
    workers = workers_or_default(options.workers)
    photo_stats = all_of(looks, entries, workers)
    if options.group_by is not None:
        take_groups(user_groups(options.group_by, entries, photo_stats, options.labels), entries)
    manifest.classes = class_order(entry.label for entry in entries)
    copies = detect_duplicates(entries, found.values, photo_stats, store=store, workers=workers)
    photos = Photos(manifest, frozenset(e.given_side for e in entries if e.given_side is not None), copies.groups)
    doubt, accuracy = _doubt(photos, found.values, screen)
    if options.thorough and (doubt is None or len(entries) < ENOUGH):
        screen.warn("no third look at labels: there are too few photos to fine-tune on")
    elif options.thorough and doubt is not None:
        size = size_for(photo_stats.median_side, backbone.spec.preprocessing) if options.size is None else None
        if size is not None:
            backbone = build_backbone(options.backbone, weights=options.weights, size=size).to(device)
        labelled = Labelled(entries, photos.labels(entries), photos.units(entries), doubt)
        doubt = look_a_third_time(
            labelled, backbone, store=store, device=device, workers=options.workers, screen=screen
        )
    return Subject(manifest, names, entries, photo_stats, found.values, copies, doubt, bool(photos.given)), accuracy


def _doubt(
    photos: Photos, features: NDArray[np.float32], screen: Screen
) -> tuple[NDArray[np.float64] | None, float | None]:
    """Return the probabilities that labels are doubted by, and the accuracy of the probe that they come from.

    The probe has not seen the photo, nor one like it. Both are None where no such probe can be had.
    """
    entries = photos.usable
    if len(photos.classes) < 2:
        return None, None
    labels, classes, groups = photos.labels(entries), len(photos.classes), photos.units(entries)
    keys = [entry.content for entry in entries]
    with screen.progress("labels", PROBE_STEPS + 1, unit="steps") as bar:
        probe = fit_probe(features, labels, classes=classes, groups=groups, keys=keys, bar=bar)
        if probe.oof is None:
            return None, None
        probabilities = reweighted_probabilities(features, labels, probe, classes=classes, groups=groups, keys=keys)
        bar.advance()
    return probabilities, probe.cv_accuracy


def _labels(manifest: Manifest, findings: Sequence[Finding]) -> dict[str, str]:
    """Return the label of every photo that a finding names."""
    named = {name for finding in findings for name in finding.photos}
    return {entry.name: entry.label for entry in manifest.entries if entry.name in named}


def demand(found: dict[str, Any], level: str) -> None:
    """Raise where a finding is as serious as ``level`` or more.

    Raises:
        PhotosError: says how many there are, and the first.
    """
    serious = LEVELS[LEVELS.index(level) :]
    bad = [finding for finding in found["findings"] if finding["level"] in serious]
    if bad:
        first = " and ".join(bad[0]["photos"][:2])
        findings = "1 finding" if len(bad) == 1 else f"{len(bad):,} findings"
        about = f": {first}" if first else ""
        raise PhotosError(
            f"{found['photos']}: {findings} of level {level} or above\n  {bad[0]['kind']}{about}: {bad[0]['words']}"
        )
