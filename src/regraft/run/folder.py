"""The run folder: the interface between a training and everything after it; `docs/run-folder.md` is its text."""

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
"""Where numbered runs go, below the current folder."""


class RunFolder:
    """Paths of what lies in a run folder. Making one of these touches nothing."""

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
        self.resume = self.path / _RESUME
        self.tensorboard = self.path / "tensorboard"

    @property
    def journal(self) -> Journal:
        """The journal of this run."""
        return Journal(self.events)

    @property
    def finished(self) -> bool:
        """Whether the run came to its end: the figures are what is written last."""
        return self.metrics.exists()

    def read_config(self) -> dict[str, Any]:
        """Return the resolved configuration of the run."""
        return self._read(self.config)

    def read_metrics(self) -> dict[str, Any]:
        """Return `metrics.json`.

        Raises:
            RunFolderError: this is no run folder, it is not finished, or a newer regraft wrote it.
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
            raise RunFolderError(f"{path} is not one of regraft's: it has no format number")
        if value["format"] > FORMAT:
            raise RunFolderError(f"{path} has format {value['format']}; this regraft reads up to {FORMAT}: upgrade it")
        return value


def open_run_folder(path: Path) -> RunFolder:
    """Return the run folder at ``path``, which must be one.

    Raises:
        RunFolderError: there is no such folder, or it is not a run folder.
    """
    if not path.exists():
        raise RunFolderError(f"no such run folder: {path}")
    folder = RunFolder(path)
    if not folder.config.exists():
        raise RunFolderError(f"{path} is not a run folder: it has no {_CONFIG}")
    return folder


def create_run_folder(out: Path | None, photos: Path, recipe: str, base: Path = BASE) -> RunFolder:
    """Make a new run folder and return it.

    Args:
        out: where it should be, or None for the next free ``runs/<photos>-<recipe>-NNN``.
        photos: the folder of photos, which gives the name.
        recipe: the recipe, which gives the name.
        base: where numbered runs go.

    Raises:
        RunFolderError: ``out`` holds something already, or cannot be written.
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
    """Return the first of ``out``, ``out-002``, ``out-003`` … that is free."""
    number, path = 2, out
    while path.exists() and (not path.is_dir() or any(path.iterdir())):
        path = out.with_name(f"{out.name}-{number:03}")
        number += 1
    return path


def numbered_runs(photos: Path, recipe: str, base: Path = BASE) -> list[RunFolder]:
    """Return the run folders that `create_run_folder` numbered for these photos and this recipe, the newest first."""
    stem = _stem(photos, recipe)
    found = [(_number(p.name, stem), p) for p in base.iterdir()] if base.is_dir() else []
    return [RunFolder(p) for number, p in sorted(found, reverse=True) if number and RunFolder(p).config.exists()]


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
    return f"{_safe(photos.resolve().name)}-{recipe}"


def _explicit(out: Path) -> RunFolder:
    if out.exists() and not out.is_dir():
        raise RunFolderError(f"{out} is a file; -o names the folder that the run should make")
    if out.is_dir() and any(_matters(path.name) for path in out.iterdir()):
        what = "an earlier run" if RunFolder(out).config.exists() else "something else"
        raise RunFolderError(
            f"{out} holds {what} already, and nothing there is overwritten\n  name a new folder with -o"
        )
    try:
        make_folder(out)
    except OSError as error:
        raise RunFolderError(f"cannot make the run folder {out}: {_reason(error)}") from error
    if not os.access(out, os.W_OK):
        raise RunFolderError(f"cannot write to the run folder {out}: permission denied")
    return RunFolder(out)


def _matters(name: str) -> bool:
    """Return whether a file makes a folder somebody's; without one that does, a run was cut off while it was made."""
    return name != _RESUME and not name.startswith(PART)


def write_start(folder: RunFolder, config: dict[str, Any], environment: dict[str, Any]) -> None:
    """Write what is known before any work: the resolved configuration and the machine."""
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
    found = re.fullmatch(re.escape(stem) + r"-(\d{3,9})", name)
    return int(found[1]) if found else 0


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
