"""The start of a training: photos, network and run folder, and the one pass that reads every photo."""

from __future__ import annotations

import json
import shutil
import time

from regraft.context.config import TrainConfig
from regraft.context.dataset import gradient_parts, say_sides
from regraft.context.run_context import Job, first_pass
from regraft.data.threads import MIN_DECODING_THREADS, workers_or_default
from regraft.data.worker_processes import start_processes
from regraft.disk.atomic import sweep
from regraft.errors import RunFolderError
from regraft.inference.device import pick_device
from regraft.models.backbone import Backbone
from regraft.models.zoo import build_backbone
from regraft.recipes.steps.epoch_callbacks import check_validation_photos
from regraft.run.environment import describe_environment
from regraft.run.folder import write_start
from regraft.screen import Screen
from regraft.workflows.duplicate_groups import keep_together
from regraft.workflows.prepared_photos import Early
from regraft.workflows.run import Run
from regraft.workflows.run_directory import clear, find_place

A_LITTLE = 8 << 20
"""Bytes of what is small: tables, logs, figures."""


def start(config: TrainConfig, screen: Screen, early: Early, started: float, name: str | None = None) -> Job | Run:
    """Make everything ready for a recipe: network and run folder, which is locked until `Job.close`.

    Args:
        config: what to do.
        screen: where progress is said.
        early: the photos.
        started: when the process began (seconds since 1970), which is when the budget begins to run.
        name: what the run folder is named after, where it is not the recipe; such a run is never gone on with.

    Returns:
        The job; or the run, where the same one has come to its end in ``config.out`` already.
    """
    device = pick_device(config.device)
    photos = early.photos
    if config.recipe in ("feature-extraction", "fine-tune"):
        check_validation_photos(config, early.own_callbacks, validated=bool(gradient_parts(photos, config).choose))
    backbone = build_backbone(config.backbone, weights=config.weights, size=config.size)
    _outside_photos(config)
    weights = backbone.weights_hash()
    place = find_place(config, photos.manifest, weights, name or config.recipe, screen, again=name is None)
    if place.state == "finished":
        place.lock.release()
        clear(place.folder)
        screen.line("finished", f"{place.folder.path} has come to its end already", "(--fresh begins anew beside it)")
        return Run(place.folder.path, config, place.folder.read_metrics())
    backbone.to(device)
    job = Job(
        config,
        place.folder,
        screen,
        photos,
        backbone,
        device,
        started,
        early.store,
        own_callbacks=early.own_callbacks,
        known_weights=weights,
    )
    job.lock, job.replay = place.lock, {**config.choices, **place.folder.journal.chosen()}
    try:
        number = workers_or_default(config.workers)
        if device.type != "cpu" and number > MIN_DECODING_THREADS:
            job.decoders = start_processes(number)
        _begin(job, going_on=place.state == "going on")
    except BaseException:
        job.close()
        raise
    screen.line("network", _network(backbone))
    for note in backbone.notes:
        screen.line("", note)
    if backbone.spec.commercial is False:
        screen.warn(
            f"the weights may not be used commercially ({backbone.spec.licence}); the trained model is bound too"
        )
    return job


def look(job: Job, early: Early) -> None:
    """Compute the features of every photo, and divide the photos so that none are parted that belong together."""
    looks = early.looks(job.backbone.spec.preprocessing)
    first_pass(job, looks)
    say_sides(job.photos, keep_together(job, looks), job.config.recipe, job.screen)
    looks.close()


def _begin(job: Job, *, going_on: bool) -> None:
    """Write down that a process begins its work on the run."""
    folder, now = job.folder, time.time()
    facts = {"running_for": round(now - job.started, 3), "device": str(job.device)}
    sweep(folder.path, below=True)
    if not going_on:
        check_space(job)
        write_start(folder, job.config.as_dict(), describe_environment())
        folder.journal.add("start", photos=len(job.photos.usable), classes=len(job.photos.classes), **facts)
        return
    job.earlier = folder.journal.events()
    job.spent, last = folder.journal.times()
    job.choices = dict(folder.read_config().get("choices", {}))
    gap = max(0.0, now - last)
    job.note("resume", after_seconds=round(gap, 1), **facts)
    job.screen.line("resume", f"{folder.path} was interrupted, and goes on", f"(last sign of it {said_ago(gap)} ago)")
    _other_machine(job)


def _other_machine(job: Job) -> None:
    """Say where the last bits may come out otherwise than they would have."""
    try:
        then = json.loads(job.folder.environment.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    now = describe_environment()
    packages = then.get("packages", {})
    others = [f"{n} {packages.get(n)} then, {v} now" for n, v in now["packages"].items() if packages.get(n) != v]
    others += [f"{n} {then.get(n)} then, {now[n]} now" for n in ("processor", "cores") if then.get(n) != now[n]]
    if others:
        job.screen.warn(f"it began elsewhere, so the last bits of the weights may differ: {'; '.join(others)}")


def check_space(job: Job) -> None:
    """Refuse to begin where the disk cannot hold what a run writes.

    Two snapshots of all that a fine-tuning changes (weights, two moments, the best weights) and the model are counted.

    Raises:
        RunFolderError: there is too little room.
    """
    weights = 4 * job.backbone.spec.parameters
    tuned = job.config.recipe in ("fine-tune", "auto")
    need = weights + (8 * weights if tuned else 0) + A_LITTLE
    free = shutil.disk_usage(job.folder.path).free
    if free < need:
        clear(job.folder)
        raise RunFolderError(
            f"{job.folder.path}: the disk has {free / 1e6:,.0f} MB left, and this run needs about {need / 1e6:,.0f} MB"
            "\n  make room, or name a place on another disk with -o"
        )


def said_ago(seconds: float) -> str:
    """Return a time in words: ``"40 s"``, ``"12 min"``, ``"3 h"``, ``"2 days"``."""
    for size, unit, most in ((1, "s", 90), (60, "min", 90), (3600, "h", 36)):
        if seconds / size < most:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} days"


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
