"""The start of a training: photos, network and run folder, and the one pass that reads every photo."""

from __future__ import annotations

import time

from regraft.audit.looks import Looks
from regraft.errors import RunFolderError
from regraft.inference.device import pick_device
from regraft.models.backbone import Backbone
from regraft.models.zoo import build_backbone
from regraft.process import keep_freed_memory
from regraft.recipes.callbacks import check_validation_photos
from regraft.recipes.config import TrainConfig
from regraft.recipes.job import Job, first_pass
from regraft.recipes.own_callbacks import own_callbacks
from regraft.recipes.photos import divide, gather, gradient_parts, say_sides
from regraft.recipes.together import keep_together
from regraft.run.environment import describe
from regraft.run.folder import create, write_start
from regraft.screen import Screen


def start(config: TrainConfig, screen: Screen, started: float | None = None, name: str | None = None) -> Job:
    """Make everything ready for a recipe, and compute the features of every photo.

    Args:
        config: what to do.
        screen: where progress is said.
        started: when the process began (seconds since 1970), which is when the budget begins to run; None for now.
        name: what the run folder is named after, where it is not the recipe.
    """
    started = time.time() if started is None else started
    keep_freed_memory()
    device = pick_device(config.device)
    own = own_callbacks(config.callback)
    photos = gather(config, screen)
    divide(photos, config)
    if config.recipe in ("feature-extraction", "fine-tune"):
        check_validation_photos(config, own, validated=bool(gradient_parts(photos, config).choose))
    backbone = build_backbone(config.backbone, weights=config.weights, size=config.size)
    _outside_photos(config)
    folder = create(config.out, config.photos, name or config.recipe)
    write_start(folder, config.as_dict(), describe())
    folder.journal.add("start", photos=len(photos.usable), classes=len(photos.classes), device=str(device))
    screen.line("network", _network(backbone))
    job = Job(config, folder, screen, photos, backbone.to(device), device, started, own_callbacks=own)
    looks = Looks(backbone.spec.preprocessing, job.store)
    first_pass(job, looks.load)
    say_sides(photos, keep_together(job, looks), config.recipe, screen)
    return job


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
