"""Evaluation of a classifier on labeled photos: a folder of them, or one side of the split of its run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from regraft.context.dataset import leave_out
from regraft.data.manifest import Entry, Manifest, scan
from regraft.data.photo import Side
from regraft.data.photos_by_content import is_readable, paths_by_content
from regraft.data.selection import PhotoSelection, place_of
from regraft.data.source import select_photos
from regraft.data.threads import workers_or_default
from regraft.errors import PhotosError, did_you_mean
from regraft.inference.predictor import Predictor
from regraft.measure.metrics import classification_report
from regraft.run.folder import open_run_folder
from regraft.screen import QuietScreen, Screen
from regraft.workflows.steps.photos_of_run import stored_labels
from regraft.workflows.steps.used_photos import UsedPhotos, used_photos


def evaluate_folder(
    predictor: Predictor,
    photos: PhotoSelection | Path | str,
    screen: Screen | None = None,
    *,
    top: Sequence[int] = (),
    used: UsedPhotos | None = None,
    include_training: bool = False,
) -> dict[str, Any]:
    """Measure ``predictor`` on a folder of labeled photos, or on those that a CSV lists.

    Args:
        predictor: the classifier.
        photos: the folder, or the photos and the place of their labels.
        screen: where progress and warnings go.
        top: further values of k for the rank-k accuracies ``top_k``.
        used: the photos that the classifier was trained on, which are left out; None if they are not known.
        include_training: whether to measure these photos too.

    Returns:
        ``{"n": photos measured, "trained_on": photos of the folder that the classifier was trained on, or None if that
        is not known, "training_included": whether they were measured too, "put_aside": [{"path", "why"}], "figures": as
        in metrics.json}``

    Raises:
        PhotosError: the folder or the CSV is invalid, has a class that the classifier does not know, or has only photos
            that the classifier was trained on.
    """
    screen = screen or QuietScreen()
    selection = photos if isinstance(photos, PhotoSelection) else PhotoSelection(Path(photos))
    source = select_photos(selection, one_class=True, known=predictor.classes)
    workers = workers_or_default(predictor.workers)
    with screen.progress("photos", len(source.photos)) as bar:
        manifest = scan(source, workers=workers, bar=bar)
    for note in source.notes:
        screen.warn(note)
    entries = manifest.usable
    if used is None:
        return {**_measure(predictor, entries, manifest, screen, top), "trained_on": None, "training_included": True}
    new, trained = used.divide(entries)
    if not include_training:
        used.check_new(new, trained, selection.photos)
    measured = _measure(predictor, entries if include_training else new, manifest, screen, top)
    return {**measured, "trained_on": len(trained), "training_included": include_training}


def evaluate_run(
    run: Path | str,
    side: Side,
    predictor: Predictor,
    screen: Screen | None = None,
    *,
    top: Sequence[int] = (),
    moved_to: Path | None = None,
) -> dict[str, Any]:
    """Measure ``predictor`` on one side of the split of the run in folder ``run``.

    Args:
        run: the run folder.
        side: the side.
        predictor: the classifier.
        screen: where progress and warnings go.
        top: as for `evaluate_folder`.
        moved_to: the folder or archive where the photos are now, by their content; None if they have not moved.

    Returns:
        As `evaluate_folder`. With the run's own classifier the figures are those of ``metrics.json``.

    Raises:
        RunFolderError: ``run`` is not a finished run.
        PhotosError: the run has no photos on that side, or they have moved.
    """
    folder = open_run_folder(Path(run))
    config = {**folder.read_config(), "stored_labels": stored_labels(folder)}
    manifest = Manifest.read(folder.manifest, config["photos"])
    entries = [entry for entry in manifest.usable if entry.side == side]
    if not entries:
        sides = sorted({entry.side for entry in manifest.usable if entry.side})
        raise PhotosError(f"{run} has no {side} photos; all its photos are {', '.join(sides)}")
    _locate(entries, config, moved_to, workers=workers_or_default(predictor.workers))
    used = used_photos(folder.path)
    trained = None if used is None else len(used.divide(entries)[1])
    measured = _measure(predictor, entries, manifest, screen or QuietScreen(), top)
    return {**measured, "trained_on": trained, "training_included": True}


def _locate(entries: Sequence[Entry], config: Mapping[str, Any], moved_to: Path | None, *, workers: int) -> None:
    """Set the paths of the photos of a manifest.

    Args:
        entries: the photos.
        config: the configuration of the run.
        moved_to: the folder where they are now, or None for the folders of the configuration.
        workers: number of reading threads.

    Raises:
        PhotosError: a photo is missing.
    """
    places = _places(config, entries) if moved_to is None else paths_by_content(moved_to, entries, workers=workers)
    for entry in entries:
        entry.path = places[entry.name]


def _places(config: Mapping[str, Any], entries: Sequence[Entry]) -> dict[str, Path]:
    """Return the paths of photos by their names, in the folders of a configuration."""
    # rows of other photos are left out
    selection = replace(PhotoSelection.from_options(config), skip_missing=config.get("labels") is not None)
    folders = (selection.photos, *selection.more_photos)
    hint = "\n  if they have moved: --photos FOLDER finds them by their content"
    try:
        if config.get("labels") is None:
            by_name = {entry.name: place_of(entry.name, folders) for entry in entries}
        else:
            by_name = {photo.name: photo.path for photo in select_photos(selection, one_class=True).photos}
    except PhotosError as error:
        raise PhotosError(f"{error}{hint}") from error
    gone = [entry.name for entry in entries if entry.name not in by_name or not is_readable(by_name[entry.name])]
    if gone:
        example = f"{len(gone):,} of {len(entries):,} photos are missing, such as {gone[0]}"
        raise PhotosError(f"{folders[0]}: {example}{hint}")
    return by_name


def _measure(
    predictor: Predictor, entries: Sequence[Entry], manifest: Manifest, screen: Screen, top: Sequence[int]
) -> dict[str, Any]:
    index = _index(predictor.classes, entries)
    with screen.progress("predict", len(entries) * predictor.passes) as bar:
        scores = predictor.scores(entries, bar=bar)
    leave_out(manifest, [(entries[row], why) for row, why in scores.failed], screen)
    seen = [entries[int(row)] for row in scores.rows]
    y = np.array([index[entry.label] for entry in seen], dtype=np.int64)
    return {
        "n": len(seen),
        "put_aside": [{"path": e.name, "why": e.why} for e in manifest.entries if e.status == "put aside"],
        "figures": classification_report(scores.values, y, predictor.classes, top=top),
    }


def _index(classes: Sequence[str], entries: Sequence[Entry]) -> dict[str, int]:
    import unicodedata

    index = {unicodedata.normalize("NFC", name): i for i, name in enumerate(classes)}
    labels = sorted({entry.label for entry in entries})
    unknown = [name for name in labels if unicodedata.normalize("NFC", name) not in index]
    if unknown:
        raise PhotosError(
            f"the classifier does not know the class{'es' if len(unknown) > 1 else ''} "
            f"{', '.join(repr(name) for name in unknown[:5])}{did_you_mean(unknown[0], classes)}\n"
            f"  it knows {', '.join(classes[:20])}{' …' if len(classes) > 20 else ''}"
        )
    return {name: index[unicodedata.normalize("NFC", name)] for name in labels}
