"""The run folder: the interface between a training and everything after it, specified in `docs/run-folder.md`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from regraft.disk.atomic import write_json
from regraft.errors import RunFolderError
from regraft.run.journal import Journal

FORMAT = 1
CONFIG, RESUME = "config.json", "resume"


class RunFolder:
    """The paths in a run folder. Creating this object touches no file."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.config = self.path / CONFIG
        self.labels = self.path / "labels"
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
        self.resume = self.path / RESUME
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
            raise RunFolderError(f"{self.path} is not a run folder: it has no {CONFIG}")
        if not path.exists():
            raise RunFolderError(f"{self.path} has no {path.name} yet: the run did not finish")
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
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
        raise RunFolderError(f"{path} is not a run folder: it has no {CONFIG}")
    return folder


def write_start(folder: RunFolder, config: dict[str, Any], environment: dict[str, Any]) -> None:
    """Write `config.json` (the resolved configuration) and `environment.json`, before any work."""
    try:
        write_json(folder.config, {"format": FORMAT, **config})
        write_json(folder.environment, {"format": FORMAT, **environment})
    except OSError as error:
        raise RunFolderError(f"cannot write to the run folder {folder.path}: {error.strerror or error}") from error
