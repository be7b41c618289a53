"""The photos of a run: the options that selected them, and where they are now if they have moved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from regraft.context.commands import PHOTO_OPTIONS
from regraft.data.file_types import read_regular
from regraft.data.manifest import Manifest
from regraft.data.photos_by_content import is_readable, paths_by_content
from regraft.data.selection import MovedPhotos
from regraft.data.threads import workers_or_default
from regraft.disk.atomic import PART, make_folder, write_bytes
from regraft.errors import RunFolderError
from regraft.run.folder import RunFolder


def photo_options(folder: RunFolder) -> dict[str, Any]:
    """Return the options of a run about its photos and networks that `regraft.workflows.check` has too.

    Raises:
        RunFolderError: ``config.json`` is damaged.
    """
    config = folder.read_config()
    names = ("photos", "more_photos", *PHOTO_OPTIONS)
    paths = {"decisions", "weights"}
    options = {n: Path(config[n]) if n in paths else config[n] for n in names if config.get(n) is not None}
    copy = stored_labels(folder)
    return options if copy is None else {**options, "stored_labels": copy}


def moved_photos(folder: RunFolder, place: Path, workers: int | None) -> MovedPhotos:
    """Return where the photos of a run are now.

    Args:
        folder: the run folder.
        place: the folder or archive where they are now; they are found by their content.
        workers: number of reading threads; None for the default.

    Raises:
        PhotosError: photos are missing.
        RunFolderError: the run has no list of its photos.
    """
    source = folder.manifest if folder.finished else folder.resume / "photos.csv"
    entries = [entry for entry in Manifest.read(source).entries if entry.content]
    paths = paths_by_content(place, entries, workers=workers_or_default(workers))
    return MovedPhotos(paths, _moved_table(folder, place), place)


def store_labels(labels: Path | None, folder: RunFolder) -> None:
    """Copy the file of labels into a run folder, so that the run can be resumed and measured without it.

    Raises:
        RunFolderError: it cannot be read or written.
    """
    if labels is None:
        return
    try:
        make_folder(folder.labels)
        write_bytes(folder.labels / labels.name, read_regular(labels))
    except OSError as error:
        raise RunFolderError(f"cannot copy {labels} to {folder.labels}: {error.strerror or error}") from error


def stored_labels(folder: RunFolder) -> Path | None:
    """Return the copy of the file of labels in a run folder; None without one, as in runs of earlier versions."""
    return next((path for path in sorted(folder.labels.glob("*")) if not path.name.startswith(PART)), None)


def _moved_table(folder: RunFolder, place: Path) -> Path | None:
    """Return where the table of labels is now, if it has moved with the photos; None if it has not moved."""
    copy, config = stored_labels(folder), folder.read_config()
    if copy is not None or config.get("labels") is None or Path(config["labels"]).exists():
        return copy
    labels, photos = Path(config["labels"]), Path(config["photos"])
    inside = place / labels.relative_to(photos) if labels.is_relative_to(photos) else place / labels.name
    candidates = (inside, place / labels.name, place.parent / labels.name)
    return next((path for path in candidates if is_readable(path)), None)
