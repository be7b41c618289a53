"""The list of runs in a folder, from their files: accuracy with its interval, recipe, photos, size and date."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regraft.errors import RegraftError, RunFolderError, did_you_mean
from regraft.run.folder import RunFolder
from regraft.run.new_folder import BASE
from regraft.text import file_size, percent

HEADING = ("run", "accuracy", "on", "recipe", "photos", "size", "date")
RIGHT = (4, 5)
OPTIONAL = (3, 2, 5)
"""Columns that a narrow terminal leaves out: the name usually has the recipe."""

_SHORT = {"out-of-fold": "folds", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class RunFacts:
    """One run, for the list.

    Attributes:
        folder: its folder.
        state: ``"finished"``, ``"unfinished"``, ``"learning rate"`` (a run of ``regraft lr``), or why it is unreadable.
        recipe: the recipe, or "".
        measured: the entry of ``metrics.json`` with the headline figure; {} if the run has none.
        photos: the folder of photos, or "".
        used: number of photos in the run, or None.
        size: bytes of all its files.
        date: time of its last change, in seconds since 1970.
    """

    folder: Path
    state: str
    recipe: str
    measured: dict[str, Any]
    photos: str
    used: int | None
    size: int
    date: float

    def row(self) -> tuple[str, ...]:
        """Return the cells of its row, in the order of `HEADING`."""
        accuracy = _accuracy(self.measured) if self.measured else self.state
        count = "" if self.used is None else f"{self.used:,}"
        photos = _SHORT.get(self.measured.get("photos", ""), "")
        date = time.strftime("%Y-%m-%d", time.localtime(self.date))
        return self.folder.name, accuracy, photos, self.recipe, count, file_size(self.size), date

    def as_dict(self) -> dict[str, Any]:
        """Return the facts as JSON values."""
        figure = self.measured["figures"]["accuracy"] if self.measured else None
        return {
            "run": str(self.folder),
            "state": self.state,
            "recipe": self.recipe,
            "accuracy": figure,
            "measured_on": self.measured.get("photos"),
            "photos": self.photos,
            "number_of_photos": self.used,
            "bytes": self.size,
            "date": round(self.date, 3),
        }


def list_runs(base: Path = BASE) -> list[RunFacts]:
    """Return the runs in the folder ``base``, the newest first.

    Raises:
        RunFolderError: ``base`` is a file, or a single run folder.
    """
    if RunFolder(base).config.exists():
        raise RunFolderError(f"{base} is a single run\n  expected a folder with runs in it, such as {base.parent}")
    if base.exists() and not base.is_dir():
        raise RunFolderError(f"{base} is a file; expected a folder with runs in it")
    folders = [path for path in base.iterdir() if RunFolder(path).config.exists()] if base.is_dir() else []
    return sorted(map(run_facts, folders), key=lambda run: (-run.date, run.folder.name))


def run_facts(path: Path) -> RunFacts:
    """Return the facts of the run folder at ``path``; damaged files make its state, not an error."""
    folder, config, metrics = RunFolder(path), dict[str, Any](), dict[str, Any]()
    files = [file for file in path.rglob("*") if file.is_file() and not file.is_symlink()]
    try:
        config = folder.read_config()
        state = "finished" if folder.finished else "unfinished"
        if folder.finished:
            metrics = folder.read_metrics()
        elif (path / "learning_rate.csv").exists():
            state = "learning rate"
        measured = metrics["measured"][metrics["headline"]] if metrics else {}
        if measured:
            _accuracy(measured)  # raises if it is damaged
        used = _used_photos(folder)
    except (RegraftError, OSError, LookupError, TypeError, ValueError, AttributeError) as error:
        state, measured, used = f"unreadable: {error}", {}, None
    return RunFacts(
        folder=path,
        state=state,
        recipe=str(config.get("recipe", "")),
        measured=measured,
        photos=str(config.get("photos", "")),
        used=used,
        size=sum(file.stat().st_size for file in files),
        date=max((file.stat().st_mtime for file in files), default=path.stat().st_mtime),
    )


def find_run(name: str | Path, base: Path = BASE) -> RunFolder:
    """Return the run folder at the path ``name``, or that of this name in ``base``.

    Raises:
        RunFolderError: there is no such run; the message has the nearest names.
    """
    for path in (Path(name), base / name):
        if RunFolder(path).config.exists():
            return RunFolder(path)
    if Path(name).exists():
        raise RunFolderError(f"{name} is not a run folder: it has no config.json")
    names = [path.name for path in base.iterdir() if RunFolder(path).config.exists()] if base.is_dir() else []
    raise RunFolderError(f"no such run: {name}{did_you_mean(Path(name).name, names)}\n  regraft runs lists them")


def _accuracy(measured: dict[str, Any]) -> str:
    figure = measured["figures"]["accuracy"]
    low, high = figure["interval"] or (None, None)
    bounds = "" if low is None or high is None else f" ({100 * low:.0f}–{100 * high:.0f})"
    return f"{percent(figure['value'])}{bounds}"


def _used_photos(folder: RunFolder) -> int | None:
    """Return the number of photos at the start of the run, from the first line of its journal, or None."""
    if not folder.events.exists():
        return None
    with folder.events.open(encoding="utf-8", errors="surrogateescape") as lines:
        start = json.loads(lines.readline() or "{}")
    return int(start["photos"]) if "photos" in start else None
