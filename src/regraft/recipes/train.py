"""`train`: one call from a folder of photos to a run folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from regraft.errors import RunFolderError
from regraft.inference.device import pick_device
from regraft.models.backbone import Backbone
from regraft.models.zoo import build_backbone
from regraft.process import keep_freed_memory
from regraft.recipes import auto, feature_extraction, fine_tune, linear_probe
from regraft.recipes.config import RecipeName, TrainConfig, resolve
from regraft.recipes.finish import finish
from regraft.recipes.job import Job, first_pass
from regraft.recipes.outcome import Outcome
from regraft.recipes.photos import divide, gather, say_sides
from regraft.recipes.run import Run
from regraft.run.environment import describe
from regraft.run.folder import create, write_start
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
    started = time.time() if started is None else started
    keep_freed_memory()
    device = pick_device(config.device)
    photos = gather(config, screen)
    notes = divide(photos, config)
    backbone = build_backbone(config.backbone, weights=config.weights, size=config.size)
    _outside_photos(config)
    folder = create(config.out, config.photos, config.recipe)
    write_start(folder, config.as_dict(), describe())
    folder.journal.add("start", photos=len(photos.usable), classes=len(photos.classes), device=str(device))
    say_sides(photos, notes, config.recipe, screen)
    screen.line("network", _network(backbone))
    job = Job(config, folder, screen, photos, backbone.to(device), device, started)
    first_pass(job)
    outcome = RECIPES[config.recipe](job)
    metrics = finish(job, outcome)
    folder.journal.add("end", chosen=outcome.chosen, seconds=round(time.time() - started, 2))
    return Run(folder.path, config, metrics)


def _network(backbone: Backbone) -> str:
    spec = backbone.spec
    size = spec.preprocessing
    pixels = f"{size.height} px" if size.height == size.width else f"{size.height} × {size.width} px"
    licence = spec.licence or "licence unknown"
    if spec.commercial is False:
        licence += " (no commercial use)"
    return f"{spec.name} · {spec.trained_on} · {licence} · {pixels} · {spec.parameters / 1e6:.1f} M parameters"


def _outside_photos(config: TrainConfig) -> None:
    """Refuse a run folder inside the photos: the next run would take its files for photos."""
    if config.out is not None and config.out.resolve().is_relative_to(config.photos.resolve()):
        raise RunFolderError(
            f"{config.out} lies inside the photos; nothing is written there\n  name a place outside with -o"
        )
