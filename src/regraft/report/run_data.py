"""The content of a run folder, read file by file: what is missing or damaged becomes a problem in words."""

from __future__ import annotations

import csv
import json
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from regraft.data.manifest import Entry, Manifest
from regraft.disk.csv_file import read_csv
from regraft.errors import RegraftError, RunFolderError
from regraft.report.selection import PredictedPhoto
from regraft.run.folder import RunFolder, open_run_folder

T = TypeVar("T")

MAX_THUMBNAIL = 1 << 20
"""Bytes of a small JPEG, at most; a larger one was written by something else."""

READ_ERRORS = (
    RegraftError, OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError, EOFError,
    csv.Error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""Errors of a file that is missing, damaged, or written by something else."""


@dataclass(frozen=True)
class Photos:
    """The photos of a run, as far as its folder has them.

    Attributes:
        entries: rows of ``manifest.csv``.
        predicted: rows of ``predictions.csv``.
        probabilities: those of the predicted photos, shape (n, k), float64; None in the folder of an older regraft.
        neighbors: nearest training photos of mistakes: name to (name, class, similarity).
        thumbnails: SHA-256 of a photo's bytes to its small JPEG.
    """

    entries: Sequence[Entry] = ()
    predicted: Sequence[PredictedPhoto] = ()
    probabilities: NDArray[np.float64] | None = None
    neighbors: Mapping[str, Sequence[tuple[str, str, float]]] = field(default_factory=dict)
    thumbnails: Mapping[str, bytes] = field(default_factory=dict)

    @cached_property
    def content(self) -> dict[str, str]:
        """Name of each photo to the SHA-256 of its bytes."""
        return {entry.name: entry.content for entry in self.entries}

    def thumbnail(self, name: str) -> bytes:
        """Return the small JPEG of a photo, or no bytes."""
        return self.thumbnails.get(self.content.get(name, ""), b"")


@dataclass(frozen=True)
class RunData:
    """Everything that a report reads.

    Attributes:
        path: the run folder, as the user named it.
        config: content of ``config.json``.
        environment: content of ``environment.json``; empty if it is missing.
        metrics: content of ``metrics.json``; empty if the run is not finished.
        events: the journal.
        history: rows of ``history.csv``, numbers as floats; empty if nothing was trained in epochs.
        blocks: rows of ``freeze.json``.
        photos: the photos.
        problems: what is missing, damaged, or of a newer format, in words.
    """

    path: Path
    config: Mapping[str, Any]
    environment: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    events: Sequence[Mapping[str, Any]] = ()
    history: Sequence[Mapping[str, Any]] = ()
    blocks: Sequence[Mapping[str, Any]] = ()
    photos: Photos = field(default_factory=Photos)
    problems: Sequence[str] = ()

    @property
    def headline(self) -> Mapping[str, Any]:
        """The entry of the figure to quote; empty if the run is not finished."""
        measured = self.metrics.get("measured")
        key = self.metrics.get("headline")
        entry = measured.get(key) if isinstance(measured, Mapping) and isinstance(key, str) else None
        return entry if isinstance(entry, Mapping) else {}

    @property
    def classes(self) -> list[str]:
        """The classes, in the order of the classifier's outputs."""
        classes = self.metrics.get("classes")
        return list(map(str, classes)) if isinstance(classes, list) else []

    @cached_property
    def number(self) -> dict[str, int]:
        """Number of each class, in the order of the classifier's outputs."""
        return {label: position for position, label in enumerate(self.classes)}

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Class of each predicted photo, shape (n,)."""
        return np.array([self.number[photo.label] for photo in self.photos.predicted], dtype=np.int64)

    def pair(self, photo: PredictedPhoto) -> str:
        """Return the numbers of the class and of the predicted class of a photo, for the script of the page."""
        return f"{self.number.get(photo.label, -1)}-{self.number.get(photo.predicted, -1)}"


def read_run(path: Path) -> RunData:
    """Return the content of a run folder, finished or not.

    Raises:
        RunFolderError: ``path`` is not a run folder.
    """
    folder = open_run_folder(path)
    problems: list[str] = []

    def read(reader: Callable[[], T], default: T, *, optional: bool = False, file: Path) -> T:
        if optional and not file.exists():
            return default
        try:
            return reader()
        except RunFolderError as error:
            problems.append(str(error).splitlines()[0])
        except READ_ERRORS as error:
            problems.append(f"{file.name} cannot be read: {str(error).splitlines()[0] if str(error) else error!r}")
        return default

    metrics: dict[str, Any] = {}
    if folder.finished:
        metrics = read(folder.read_metrics, {}, file=folder.metrics)
    else:
        problems.append(_unfinished(folder))
    empty: dict[str, Any] = {}
    config = read(folder.read_config, empty, file=folder.config)
    return RunData(
        path=path,
        config=config,
        environment=read(lambda: _json(folder.environment), {}, optional=True, file=folder.environment),
        metrics=metrics,
        events=read(folder.journal.events, [], file=folder.events),
        history=read(lambda: _history(folder.history), [], optional=True, file=folder.history),
        blocks=read(lambda: list(_json(folder.freeze)["blocks"]), [], optional=True, file=folder.freeze),
        photos=_photos(folder, read),
        problems=problems,
    )


def _photos(folder: RunFolder, read: Callable[..., Any]) -> Photos:
    manifest = folder.manifest if folder.manifest.exists() else folder.resume / "photos.csv"
    return Photos(
        entries=read(lambda: Manifest.read(manifest).entries, (), optional=True, file=manifest),
        predicted=read(lambda: _predicted(folder.predictions), (), optional=True, file=folder.predictions),
        probabilities=read(
            lambda: _probabilities(folder.probabilities), None, optional=True, file=folder.probabilities
        ),
        neighbors=read(lambda: _neighbors(folder.neighbors), {}, optional=True, file=folder.neighbors),
        thumbnails=read(lambda: _thumbnails(folder.thumbnails), {}, optional=True, file=folder.thumbnails),
    )


def _unfinished(folder: RunFolder) -> str:
    events = [event for event in folder.journal.events() if event.get("event") == "epoch"]
    if not events:
        return "this run is not finished: it has no metrics.json yet. What it has so far is below."
    epoch, stage = events[-1].get("epoch"), events[-1].get("stage")
    return (
        f"this run is not finished after epoch {epoch} of {stage}: it has no metrics.json yet. "
        "What it has so far is below."
    )


def _json(path: Path) -> dict[str, Any]:
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004 (content, not a type in the program)
    return value


def _history(path: Path) -> list[dict[str, Any]]:
    return [{key: _number(value) for key, value in row.items() if key} for row in read_csv(path)]


def _number(text: str | None) -> Any:
    try:
        return float(text or "")
    except ValueError:
        return text or ""


def _predicted(path: Path) -> list[PredictedPhoto]:
    return [
        PredictedPhoto(
            row["path"], row["class"], row["predicted"], float(row["probability"]), float(row["probability_of_class"])
        )
        for row in read_csv(path)
    ]


def _probabilities(path: Path) -> NDArray[np.float64]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        table: NDArray[np.float64] = load_file(path)["probabilities"]
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    return table


def _neighbors(path: Path) -> dict[str, list[tuple[str, str, float]]]:
    out: dict[str, list[tuple[str, str, float]]] = {}
    for row in read_csv(path):
        out.setdefault(row["path"], []).append((row["neighbor"], row["class"], float(row["similarity"])))
    return out


def _thumbnails(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as file:
        small = [facts for facts in file.infolist() if facts.file_size <= MAX_THUMBNAIL]
        return {facts.filename.removesuffix(".jpg"): file.read(facts) for facts in small}
