"""A folder of TensorBoard's event files as a run of the live page: its scalars by step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from regraft.monitor.curves import Curves
from regraft.monitor.event_files import EventFile, event_files
from regraft.monitor.regular_file import signature
from regraft.monitor.run_status import SILENT_AFTER
from regraft.run.folder import RunFolder

MAX_STEPS = 20_000
"""Maximum number of steps that are kept; of more, every second one is dropped, again and again."""


class TensorBoardRun:
    """A folder of event files that is read as it grows; it has no configuration and no report.

    The files of training and validation grow apart, so the curves are put together again after each reading.

    Attributes:
        number: its number on the page.
        folder: the folder; it has none of the files of a run folder.
        status: its status when it was last read.
    """

    def __init__(self, number: int, path: Path) -> None:
        self.number = number
        self.status: dict[str, Any] = {}
        self.folder = RunFolder(path)
        self._files: dict[Path, EventFile] = {}
        self._steps: dict[float, dict[str, float]] = {}
        self._seen: list[Any] = []
        self._curves = Curves()

    def read(self, now: float) -> Iterator[dict[str, Any]]:
        """Yield a message with the whole run if something has changed since the last call."""
        files = event_files(self.folder.path)
        seen = [signature(path) for path, _ in files]
        if seen == self._seen and (not self.status or self.status["state"] == self._state(now)):
            return
        self._seen = seen
        for path, prefix in files:
            file = self._files.setdefault(path, EventFile(path, prefix))
            try:
                for step, name, value in file.read_new():
                    self._steps.setdefault(step, {})[name] = value
            except OSError:  # it was removed just now
                continue
        self._thin()
        self._curves = Curves()
        for step in sorted(self._steps):
            self._curves.add("", step, self._steps[step])
        status = self._status(now)
        if status != self.status:
            self.status = status
            yield self.everything()

    def everything(self) -> dict[str, Any]:
        """Return a message with the whole run."""
        return {"run": self.number, "status": self.status, "curves": self._curves.as_json()}

    def _thin(self) -> None:
        while len(self._steps) > MAX_STEPS:
            kept = sorted(self._steps)[::2]
            self._steps = {step: self._steps[step] for step in kept}

    def _last(self) -> float:
        return max((file.last for file in self._files.values()), default=0.0)

    def _state(self, now: float) -> str:
        return "running" if now - self._last() < SILENT_AFTER else "silent"

    def _status(self, now: float) -> dict[str, Any]:
        lowest = "val_loss" if any("val_loss" in figures for figures in self._steps.values()) else ""
        best = (self._curves.best(lowest) if lowest else None) or self._curves.last()
        keys = ("problem", "started", "wait", "memory", "budget_end", "probe", "headline")
        return {
            **dict.fromkeys(keys),
            "name": self.folder.path.name,
            "kind": "tensorboard",
            "recipe": "TensorBoard",
            "state": self._state(now),
            "count": len(self._steps),
            "last": self._last() or None,
            "now": None if best is None else {"epoch": best[0], "figures": best[1]},
            "report": False,
        }
