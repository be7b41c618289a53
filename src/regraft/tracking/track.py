"""`Track`: a callback that records a training in an experiment tracker, and never stops the training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from regraft.callbacks.callback import Callback, Logs
from regraft.errors import ConfigError, did_you_mean
from regraft.screen import Screen
from regraft.tracking.trackers import TRACKERS, Figures, TrackedRun, check_installed


class Track(Callback):
    """Record a training in MLflow, Weights & Biases, Trackio or Aim: parameters, and the figures of each epoch.

    A tracker that fails causes one warning, and the training continues without it. A run begins with the training and
    ends with it, unless `start` was called before.

    Args:
        tracker: ``"mlflow"``, ``"wandb"``, ``"trackio"`` or ``"aim"``; its package has to be installed.
        name: the name of the run; None for the one that the tracker chooses.
        params: the parameters of the run, plain values by name.

    Attributes:
        run_id: the id of the run in the tracker; "" if there is none.

    Raises:
        ConfigError: the tracker is unknown, or its package is not installed.

    Example:
        >>> from regraft.tracking import Track
        >>> history = model.fit(x, y, epochs=2, callbacks=[Track('mlflow', params={'rate': 1e-3})])  # doctest: +SKIP
    """

    def __init__(self, tracker: str, name: str | None = None, params: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        if tracker not in TRACKERS:
            raise ConfigError(
                f"track: expected {', '.join(TRACKERS)}, found {tracker!r}{did_you_mean(tracker, TRACKERS)}"
            )
        check_installed(tracker)
        self.tracker, self.name, self.tracked_params = tracker, name, dict(params or {})
        self._run: TrackedRun | None = None
        self._screen: Screen | None = None
        self._failed = self._started_before = False
        self._first_step = self._next_step = 0
        self._first_epoch_of_fit = True

    @property
    def run_id(self) -> str:
        """The id of the run in the tracker; "" if there is none."""
        return "" if self._run is None else self._run.id

    def start(self, name: str, params: Mapping[str, Any], continued: str = "", screen: Screen | None = None) -> None:
        """Start a run that goes through several trainings, until `finish`.

        Args:
            name: its name.
            params: its parameters; values that are not plain are recorded as text.
            continued: the id of an earlier run to continue, or "".
            screen: where a warning goes; None for the screen of the trainer.
        """
        self._started_before, self._screen = True, screen
        self._safely(lambda: self._open(name, params, continued))

    def finish(self, summary: Figures, files: Sequence[Path] = (), *, complete: bool = True) -> None:
        """End the run.

        Args:
            summary: final figures.
            files: files to keep with the run.
            complete: whether the training was completed.
        """
        run, self._run = self._run, None
        if run is not None:
            self._safely(lambda: run.finish(summary, files, complete=complete))

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Start the run, unless it was started before."""
        self._first_epoch_of_fit = True
        if self._run is None and not self._started_before:
            self._safely(lambda: self._open(self.name or "", self.tracked_params, ""))

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Record the figures of the epoch; epochs of several trainings are numbered one after the other."""
        if self._first_epoch_of_fit and epoch == 0:
            self._first_step = self._next_step
        self._first_epoch_of_fit = False
        step = self._first_step + epoch
        self._next_step = step + 1
        figures = {name: float(value) for name, value in (logs or {}).items() if _is_figure(value)}
        run = self._run
        if run is not None:
            self._safely(lambda: run.log(figures, step))

    def on_train_end(self, logs: Logs | None = None) -> None:
        """End the run, unless it was started before."""
        if not self._started_before:
            self.finish({})

    def close(self) -> None:
        """End a run that an exception left open, as incomplete: the next training must not be recorded in it."""
        if not self._started_before:
            self.finish({}, complete=False)

    def _open(self, name: str, params: Mapping[str, Any], continued: str) -> None:
        self._run = TRACKERS[self.tracker](name, {key: _plain(value) for key, value in params.items()}, continued)

    def _safely(self, act: Callable[[], None]) -> None:
        """Call ``act``; its first error is a warning, and then nothing more is recorded."""
        if self._failed:
            return
        try:
            act()
        except Exception as error:  # noqa: BLE001 (libraries of trackers raise all kinds)
            self._failed = True
            why = " ".join(str(error).split())[:200] or type(error).__name__
            text = f"{self.tracker} failed: {why}; training continues, and is no longer recorded there"
            (self._screen or self.screen).warn(f"Track: {text}")


def _is_figure(value: Any) -> bool:
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError):
        return False


def _plain(value: Any) -> str | int | float | bool:
    return value if isinstance(value, (str, int, float, bool)) else str(value)
