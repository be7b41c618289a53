"""The run folder: the interface between a training and everything after it, specified in `docs/run-folder.md`."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from regraft.disk.atomic import PART, flush_folder, make_folder, write_json
from regraft.errors import RunFolderError
from regraft.run.journal import Journal

FORMAT = 1
_CONFIG, _RESUME = "config.json", "resume"
BASE = Path("runs")
"""Folder of numbered runs, relative to the current folder."""


class RunFolder:
    """The paths in a run folder. Creating this object touches no file."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.config = self.path / _CONFIG
        self.environment = self.path / "environment.json"
        self.manifest = self.path / "manifest.csv"
        self.freeze = self.path / "freeze.json"
        self.events = self.path / "events.jsonl"
        self.history = self.path / "history.csv"
        self.model = self.path / "model.safetensors"
        self.predictions = self.path / "predictions.csv"
        self.metrics = self.path / "metrics.json"
        self.probabilities = self.path / "probabilities.safetensors"
        self.neighbors = self.path / "neighbors.csv"
        self.thumbnails = self.path / "thumbnails.zip"
        self.report = self.path / "report.html"
        self.resume = self.path / _RESUME
        self.tensorboard = self.path / "tensorboard"
        self.tracking = self.path / "tracking.json"

    @property
    def journal(self) -> Journal:
        """The journal of this run."""
        return Journal(self.events)

    @property
    def finished(self) -> bool:
        """True if the run is finished: `metrics.json` is written last."""
        return self.metrics.exists()

    def read_config(self) -> dict[str, Any]:
        """Return the resolved configuration of the run."""
        return self._read(self.config)

    def read_metrics(self) -> dict[str, Any]:
        """Return `metrics.json`.

        Raises:
            RunFolderError: this is not a run folder, the run is not finished, or a newer regraft wrote it.
        """
        return self._read(self.metrics)

    def _read(self, path: Path) -> dict[str, Any]:
        if not self.path.is_dir() or not self.config.exists():
            raise RunFolderError(f"{self.path} is not a run folder: it has no {_CONFIG}")
        if not path.exists():
            raise RunFolderError(f"{self.path} has no {path.name} yet: the run did not finish")
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunFolderError(f"{path} cannot be read: {error}") from error
        if not isinstance(value, dict) or not isinstance(value.get("format"), int):
            raise RunFolderError(f"{path} was not written by regraft: it has no format number")
        if value["format"] > FORMAT:
            raise RunFolderError(f"{path} has format {value['format']}; this regraft reads up to {FORMAT}: upgrade it")
        return value


def open_run_folder(path: Path) -> RunFolder:
    """Return the existing run folder at ``path``.

    Raises:
        RunFolderError: ``path`` does not exist or is not a run folder.
    """
    if not path.exists():
        raise RunFolderError(f"no such run folder: {path}")
    folder = RunFolder(path)
    if not folder.config.exists():
        raise RunFolderError(f"{path} is not a run folder: it has no {_CONFIG}")
    return folder


def create_run_folder(out: Path | None, photos: Path, recipe: str, base: Path = BASE) -> RunFolder:
    """Create a run folder and return it.

    Args:
        out: its path, or None for the next free ``runs/<photos>-<recipe>-NNN``.
        photos: the folder of photos; part of the name.
        recipe: the recipe; part of the name.
        base: the folder of numbered runs.

    Raises:
        RunFolderError: ``out`` is not empty, or is not writable.
    """
    if out is not None:
        return _explicit(out)
    try:
        make_folder(base)
    except OSError as error:
        raise RunFolderError(
            f"cannot make the folder {base}: {_reason(error)}\n  choose another place with -o"
        ) from error
    stem = _stem(photos, recipe)
    return _next(base, stem, 1 + max((_number(p.name, stem) for p in base.iterdir()), default=0))


def next_free_folder(out: Path) -> Path:
    """Return the first of ``out``, ``out-002``, ``out-003`` … that does not exist or is empty."""
    number, path = 2, out
    while path.exists() and (not path.is_dir() or any(path.iterdir())):
        path = out.with_name(f"{out.name}-{number:03}")
        number += 1
    return path


def numbered_runs(photos: Path, recipe: str, base: Path = BASE) -> list[RunFolder]:
    """Return the numbered run folders of these photos and this recipe, the newest first."""
    stem = _stem(photos, recipe)
    paths = [(_number(p.name, stem), p) for p in base.iterdir()] if base.is_dir() else []
    return [RunFolder(p) for number, p in sorted(paths, reverse=True) if number and RunFolder(p).config.exists()]


def _next(base: Path, stem: str, number: int) -> RunFolder:
    while True:
        path = base / f"{stem}-{number:03}"
        try:
            path.mkdir()
            flush_folder(base)
        except FileExistsError:
            number += 1
        except OSError as error:
            raise RunFolderError(f"cannot make the run folder {path}: {_reason(error)}") from error
        else:
            return RunFolder(path)


def _stem(photos: Path, recipe: str) -> str:
    name = re.sub(r"\.(zip|tar|tgz|tbz2?|txz|tar\.(gz|bz2|xz))$", "", photos.resolve().name, flags=re.IGNORECASE)
    return f"{_safe(name)}-{recipe}"


def _explicit(out: Path) -> RunFolder:
    if out.exists() and not out.is_dir():
        raise RunFolderError(f"{out} is a file; -o expects the name of a new folder")
    if out.is_dir() and any(_is_content(path.name) for path in out.iterdir()):
        content = "an earlier run" if RunFolder(out).config.exists() else "other files"
        raise RunFolderError(f"{out} already contains {content}; nothing is overwritten\n  name a new folder with -o")
    try:
        make_folder(out)
    except OSError as error:
        raise RunFolderError(f"cannot make the run folder {out}: {_reason(error)}") from error
    if not os.access(out, os.W_OK):
        raise RunFolderError(f"cannot write to the run folder {out}: permission denied")
    return RunFolder(out)


def _is_content(name: str) -> bool:
    """Return whether a file is content of its folder, and not a remnant of a run that was killed while starting."""
    return name != _RESUME and not name.startswith(PART)


def write_start(folder: RunFolder, config: dict[str, Any], environment: dict[str, Any]) -> None:
    """Write `config.json` (the resolved configuration) and `environment.json`, before any work."""
    try:
        write_json(folder.config, {"format": FORMAT, **config})
        write_json(folder.environment, {"format": FORMAT, **environment})
    except OSError as error:
        raise RunFolderError(f"cannot write to the run folder {folder.path}: {_reason(error)}") from error


def _safe(name: str) -> str:
    name = re.sub(r'[\x00-\x1f<>:"/\\|?*]', "_", name).strip(". ") or "photos"
    while len(name.encode("utf-8", "surrogateescape")) > 120:
        name = name[:-1]
    return name


def _number(name: str, stem: str) -> int:
    match = re.fullmatch(re.escape(stem) + r"-(\d{3,9})", name)
    return int(match[1]) if match else 0


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
