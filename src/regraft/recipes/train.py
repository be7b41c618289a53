"""`train`: one call from a folder of photos to a run folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from regraft.recipes import auto, feature_extraction, fine_tune, linear_probe
from regraft.recipes.config import RecipeName, TrainConfig, resolve
from regraft.recipes.finish import finish
from regraft.recipes.job import Job
from regraft.recipes.outcome import Outcome
from regraft.recipes.run import Run
from regraft.recipes.start import start
from regraft.screen import Screen, screen_for

RECIPES: dict[RecipeName, Callable[[Job], Outcome]] = {
    "auto": auto.run,
    "linear-probe": linear_probe.run,
    "feature-extraction": feature_extraction.run,
    "fine-tune": fine_tune.run,
}


def train(photos: Path | str, *, screen: Screen | None = None, config: Path | str | None = None, **options: Any) -> Run:
    """Train a classifier on a folder of labelled photos and return the finished run.

    Args:
        photos: a folder with one folder per class, or with ``train/`` and ``val/`` [and ``test/``] that hold them.
        screen: where progress is said; None for the terminal. ``regraft.screen.QuietScreen()`` says nothing.
        config: a YAML or JSON file of options, such as the ``config.json`` of an earlier run.
        **options: the options of ``regraft train`` by name, such as ``recipe="fine-tune"`` or ``budget="10m"``; see
            `regraft.recipes.config.TrainConfig`.

    Raises:
        ConfigError: wrong options, all in one message.
        PhotosError: the folder is not what is needed.
        BackboneError, WeightsError: the network cannot be had.
        RunFolderError: the run folder holds something else, or cannot be written.
    """
    file = Path(config) if config is not None else None
    return train_config(resolve(file, photos=photos, **options), screen_for() if screen is None else screen)


def train_config(config: TrainConfig, screen: Screen, started: float | None = None) -> Run:
    """Train as the resolved ``config`` says.

    Args:
        config: what to do.
        screen: where progress is said.
        started: when the process began (seconds since 1970), which is when the budget begins to run; None for now.
    """
    job = start(config, screen, started)
    outcome = RECIPES[config.recipe](job)
    metrics = finish(job, outcome)
    job.folder.journal.add("end", chosen=outcome.chosen, seconds=round(time.time() - job.started, 2))
    return Run(job.folder.path, config, metrics)
