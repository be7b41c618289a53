"""Run folders as trainings write them, without a training."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from regraft.run.folder import RunFolder


def make_run(path: Path, *, epochs: int = 0, **config: Any) -> RunFolder:
    """Write a run folder with a start, a probe and some epochs."""
    (path / "resume").mkdir(parents=True)
    folder = RunFolder(path)
    folder.config.write_text(json.dumps({"format": 1, "recipe": "auto", **config}), encoding="utf-8")
    folder.journal.add("start", photos=10, classes=2, running_for=1.0)
    folder.journal.add("probe", label="probe", photos=10, accuracy=0.875)
    add_epochs(folder, 1, epochs)
    return folder


def add_epochs(folder: RunFolder, first: int, last: int, stage: str = "all blocks") -> None:
    """Write events of the epochs ``first`` to ``last``, as `Journal` does, but in one go."""
    now = time.time()
    lines = [
        {
            "event": "epoch",
            "time": now,
            "stage": stage,
            "epoch": n,
            "loss": 1 / n,
            "val_loss": 1.5 / n,
            "accuracy": None,
        }
        for n in range(first, last + 1)
    ]
    with folder.events.open("a", encoding="utf-8") as file:
        file.write("".join(json.dumps(line) + "\n" for line in lines))


def beat(folder: RunFolder, **facts: Any) -> None:
    """Write the heartbeat of a run in progress."""
    content = {"format": 1, "time": time.time(), "memory": 5_000_000, "wait": None, **facts}
    (folder.resume / "progress.json").write_text(json.dumps(content), encoding="utf-8")
