"""One run of an experiment in MLflow, Weights & Biases, Trackio or Aim, with the calls of their libraries."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from regraft.errors import ConfigError

PROJECT: Final = "regraft"
"""The project or experiment of runs, where the environment names none."""

Params = Mapping[str, str | int | float | bool]
Figures = Mapping[str, float]


class TrackedRun(ABC):
    """A run in a tracker.

    Attributes:
        id: its id in the tracker, to continue it later; "" if the tracker cannot continue one.
    """

    id: str = ""

    @abstractmethod
    def __init__(self, name: str, params: Params, continued: str) -> None:
        """Start a run, or continue the one with the id ``continued`` if it is not ""."""

    @abstractmethod
    def log(self, figures: Figures, step: int) -> None:
        """Record the figures of an epoch, counted from 0."""

    @abstractmethod
    def finish(self, summary: Figures, files: Sequence[Path], *, complete: bool) -> None:
        """Record final figures and files, and end the run."""


class MlflowRun(TrackedRun):
    """A run in MLflow: where ``MLFLOW_TRACKING_URI`` and ``MLFLOW_EXPERIMENT_NAME`` say, or in ``mlflow.db`` here."""

    def __init__(self, name: str, params: Params, continued: str) -> None:
        self._mlflow = import_module("mlflow")
        if not continued and self._mlflow.active_run() is None and "MLFLOW_EXPERIMENT_NAME" not in os.environ:
            self._mlflow.set_experiment(PROJECT)
        nested = self._mlflow.active_run() is not None
        run = self._mlflow.start_run(run_id=continued or None, run_name=None if continued else name, nested=nested)
        self.id = run.info.run_id
        if not continued:
            self._mlflow.log_params(dict(params))

    def log(self, figures: Figures, step: int) -> None:
        """Record the figures of an epoch."""
        self._mlflow.log_metrics(dict(figures), step=step, run_id=self.id)

    def finish(self, summary: Figures, files: Sequence[Path], *, complete: bool) -> None:
        """Record final figures and artifacts, and end the run."""
        if summary:
            self._mlflow.log_metrics(dict(summary), run_id=self.id)
        for file in files:
            self._mlflow.log_artifact(str(file), run_id=self.id)
        self._mlflow.end_run("FINISHED" if complete else "KILLED")


class WandbRun(TrackedRun):
    """A run in Weights & Biases: in the project of ``WANDB_PROJECT``; ``WANDB_MODE=offline`` needs no account."""

    def __init__(self, name: str, params: Params, continued: str) -> None:
        self._wandb = import_module("wandb")
        project = None if "WANDB_PROJECT" in os.environ else PROJECT
        again = {"id": continued, "resume": "allow"} if continued else {}
        self._run = self._wandb.init(project=project, name=name, config=dict(params), **again)
        self.id = str(self._run.id)

    def log(self, figures: Figures, step: int) -> None:
        """Record the figures of an epoch."""
        self._run.log({**figures, "epoch": step})

    def finish(self, summary: Figures, files: Sequence[Path], *, complete: bool) -> None:
        """Record final figures and an artifact with the files, and end the run."""
        self._run.summary.update(dict(summary))
        if files:
            artifact = self._wandb.Artifact(f"{PROJECT}-{self.id}", type="model")
            for file in files:
                artifact.add_file(str(file))
            self._run.log_artifact(artifact)
        self._run.finish(exit_code=0 if complete else 1)


class TrackioRun(TrackedRun):
    """A run in Trackio: in the project ``regraft`` of its folder on this machine."""

    def __init__(self, name: str, params: Params, continued: str) -> None:
        self._trackio = import_module("trackio")
        self._run = self._trackio.init(project=PROJECT, name=continued or name, config=dict(params), resume="allow")
        self.id = str(getattr(self._run, "name", name))

    def log(self, figures: Figures, step: int) -> None:
        """Record the figures of an epoch."""
        self._trackio.log(dict(figures), step=step)

    def finish(self, summary: Figures, files: Sequence[Path], *, complete: bool) -> None:
        """Record final figures, and end the run; Trackio gets no files."""
        if summary:
            self._trackio.log(dict(summary))
        self._trackio.finish()


class AimRun(TrackedRun):
    """A run in Aim: in the repository ``.aim`` of the current folder."""

    def __init__(self, name: str, params: Params, continued: str) -> None:
        self._run = import_module("aim").Run(run_hash=continued or None, experiment=PROJECT)
        self.id = str(self._run.hash)
        if not continued:
            self._run.name = name
            self._run["hparams"] = dict(params)

    def log(self, figures: Figures, step: int) -> None:
        """Record the figures of an epoch."""
        for name, value in figures.items():
            self._run.track(value, name=name, step=step, epoch=step)

    def finish(self, summary: Figures, files: Sequence[Path], *, complete: bool) -> None:
        """Record final figures and the paths of the files, and end the run."""
        self._run["final"] = dict(summary)
        self._run["files"] = [str(file) for file in files]
        self._run.close()


TRACKERS: Final[dict[str, type[TrackedRun]]] = {
    "mlflow": MlflowRun,
    "wandb": WandbRun,
    "trackio": TrackioRun,
    "aim": AimRun,
}
"""Trackers by the names of their packages."""


def check_installed(tracker: str) -> None:
    """Check that the package of a tracker is installed, without importing it.

    Raises:
        ConfigError: it is not.
    """
    if find_spec(tracker) is None:
        raise ConfigError(f"track: {tracker} needs an optional package: pip install {tracker}")
