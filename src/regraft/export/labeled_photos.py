"""Labeled photos on which a compressed file is compared, and photos that set the ranges of its integers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regraft.data.manifest import Entry, Manifest
from regraft.disk.csv_file import read_csv
from regraft.errors import ConfigError, RunFolderError
from regraft.export.proof_photos import photos_of_folder, spread
from regraft.measure.changed_margins import margins
from regraft.run.folder import RunFolder

MAX_CALIBRATION = 64
"""Maximum number of photos that set the ranges of activations."""


@dataclass(frozen=True)
class LabeledPhotos:
    """Photos with their classes.

    Attributes:
        about: description of them.
        photos: SHA-256 of each photo, by path.
        labels: position of the class of each photo, by the SHA-256.
        calibration: other photos of this kind.
        usual_margins: margin of each photo, by the SHA-256, by classifiers that were not trained on it; None: that of
            the exported one.
    """

    about: str
    photos: dict[Path, str]
    labels: dict[str, int]
    calibration: tuple[Path, ...]
    usual_margins: dict[str, float] | None = None


def find_labeled_photos(run: RunFolder, folder: Path | None, classes: tuple[str, ...]) -> LabeledPhotos:
    """Return the photos of a folder with a folder for each class, or those that measured a run.

    The ranges of activations come from training photos of the run, or from every fourth photo of the folder, which is
    not compared then.

    Args:
        run: the run folder; it may not exist.
        folder: a folder of photos; None for those of the run.
        classes: the classes.

    Raises:
        ConfigError: there are no labeled photos.
        PhotosError: the folder does not exist or contains no photos.
    """
    try:
        of_run = _photos_of_run(run, classes) if run.finished else None
    except (OSError, RunFolderError, KeyError, ValueError):  # moved photos, or a damaged run folder
        of_run = None
    if folder is None:
        if of_run is None or not of_run.photos:
            raise ConfigError(
                "a file of lower precision is compared on labeled photos: this model has no finished run whose photos "
                "are still there\n  name a folder with a folder for each class: --photos FOLDER"
            )
        return of_run
    photos = photos_of_folder(folder)
    number = {name: position for position, name in enumerate(classes)}
    label_of = {path: _label(path.relative_to(folder), number) for path in photos}
    labeled = {path: content for path, content in photos.items() if label_of[path] is not None and content}
    if not labeled:
        raise ConfigError(
            f"{folder}: expected a folder for each class ({', '.join(classes[:5])}) to compare a file of lower "
            "precision on, found none"
        )
    labels = {labeled[path]: label for path in labeled if (label := label_of[path]) is not None}
    if of_run is not None and of_run.calibration:
        return LabeledPhotos(str(folder), labeled, labels, of_run.calibration)
    calibration = tuple(labeled)[::4]
    rest = {path: content for path, content in labeled.items() if path not in set(calibration)}
    return LabeledPhotos(str(folder), rest, labels, calibration[:MAX_CALIBRATION])


def _label(path: Path, number: dict[str, int]) -> int | None:
    """Return the class of the nearest folder above a photo that has the name of one."""
    return next((number[part] for part in reversed(path.parts[:-1]) if part in number), None)


def _photos_of_run(run: RunFolder, classes: tuple[str, ...]) -> LabeledPhotos:
    """Return the photos behind the headline figure of a run, with the margins that it recorded."""
    entries = Manifest.read(run.manifest, Path(str(run.read_config()["photos"]))).usable
    by_name = {entry.name: entry for entry in entries}
    rows = [row for row in read_csv(run.predictions) if row["path"] in by_name]
    measured = [by_name[row["path"]] for row in rows]
    y = np.array([classes.index(str(entry.label)) for entry in measured], dtype=np.int64)
    names = {entry.name for entry in measured}
    others = [entry for entry in entries if entry.side == "train" and entry.name not in names] or entries
    calibration = tuple(entry.path for entry in spread(others, MAX_CALIBRATION))
    chosen = [one for one in spread(list(range(len(measured)))) if measured[one].path.is_file()]
    return LabeledPhotos(
        "photos that measured the run",
        {measured[one].path: measured[one].content for one in chosen},
        {measured[one].content: int(y[one]) for one in chosen},
        tuple(path for path in calibration if path.is_file()),
        _recorded_margins(run, measured, y),
    )


def _recorded_margins(run: RunFolder, measured: Sequence[Entry], y: NDArray[np.int64]) -> dict[str, float] | None:
    """Return the recorded margin of each photo that measured a run, by its content; None without a record."""
    from safetensors.numpy import load_file

    if not run.probabilities.exists():
        return None
    probabilities = load_file(run.probabilities)["probabilities"]
    if len(probabilities) != len(y):
        return None
    recorded = margins(probabilities, y).tolist()
    return {entry.content: margin for entry, margin in zip(measured, recorded, strict=True)}
