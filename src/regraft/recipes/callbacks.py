"""The callbacks of a training by gradient: what its recipe needs, and what the options add to it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import Any

from regraft.callbacks import (
    Callback,
    History,
    ReduceLROnPlateau,
    RemoteMonitor,
    StepSchedule,
    TensorBoard,
    WarmupCosine,
)
from regraft.data.manifest import Entry
from regraft.errors import ConfigError, several
from regraft.recipes.config import CALLBACK_OPTIONS, TrainConfig
from regraft.recipes.given_callbacks import sets_rate
from regraft.recipes.job import Job
from regraft.recipes.latest_best import LatestBest
from regraft.recipes.pictures import ValidationPictures
from regraft.recipes.rate_watch import RateWatch
from regraft.training.checks import validation_needs

FIGURES = ("loss", "accuracy")
"""What the recipes' trainers measure of a batch."""

PLATEAU_FACTOR, PLATEAU_PATIENCE = 0.1, 2
"""After 2 epochs without a better val_loss the learning rate becomes a tenth. Keras waits for 10 epochs, and would not
act at all in the few that a fine-tuning has."""


def callbacks_of(
    job: Job, choose: Sequence[Entry], *, epochs: int, warmup: float, recipes: Sequence[Callback]
) -> list[Any]:
    """Return all callbacks of one ``fit``, in their order.

    The schedule of the learning rate comes first, unless a callback of the user's sets the rate; then the user's and
    what the options add, so that the recipe's own see the figures that those put into the logs. `LatestBest` is the
    last: it puts the weights of the epoch back that is kept.

    Args:
        job: the training in progress.
        choose: the validation photos, in the order in which ``fit`` sees them; may be empty.
        epochs: planned passes over the photos.
        warmup: share of the steps in which the learning rate rises.
        recipes: callbacks that the recipe needs.

    Raises:
        ConfigError: a callback needs validation photos, and there are none.
    """
    config = job.config
    check_validation_photos(config, job.own_callbacks, validated=bool(choose))
    found: list[Any] = [*_schedules(job, warmup), *job.own_callbacks]
    if config.tensorboard:
        board = TensorBoard(log_dir=job.folder.tensorboard)
        found += [*([ValidationPictures(board, job, choose)] if choose else []), board]
        job.screen.line("logs", f"tensorboard --logdir {shlex.quote(str(job.folder.tensorboard))}")
    if config.remote_monitor is not None:
        found.append(RemoteMonitor(root=config.remote_monitor))
    found += recipes
    if choose:
        patience = epochs if config.early_stop is None else config.early_stop
        found.append(LatestBest(len(choose), patience))
    return found


def say_uncalled(job: Job) -> None:
    """Warn where callbacks were asked for and no training in epochs called them, as where `auto` keeps the probe."""
    asked = [type(one).__name__ for one in job.own_callbacks]
    asked += [name for name in CALLBACK_OPTIONS[:-2] if getattr(job.config, name) not in (None, False)]
    if asked and not any(event.get("event") == "epoch" for event in job.folder.journal.events()):
        job.screen.warn(f"{', '.join(asked)}: not called, because nothing was trained in epochs")


def check_validation_photos(config: TrainConfig, own: Sequence[Any], *, validated: bool) -> None:
    """Raise `ConfigError` where a callback needs validation photos and there are none."""
    if validated:
        return
    watching = [name for name in ("early_stop", "reduce_lr_on_plateau") if getattr(config, name) not in (None, False)]
    problems = [f"{name} monitors 'val_loss'" for name in watching] + validation_needs(own, FIGURES)
    if problems:
        raise ConfigError(
            several("there are no validation photos, and a callback needs them", problems)
            + "\n  give validation a share of the photos, such as --split 80/10/10"
        )


def ended(job: Job, stage: str, history: History, callbacks: Sequence[Any], planned: int) -> dict[str, Any]:
    """Journal and say how a training ended, and return the facts for `metrics.json`.

    Returns:
        ``epochs`` that were made, ``best_epoch`` (from 1; the one that is kept) and ``stop_reason`` (None where
        nothing stopped it).
    """
    epochs = len(history.epoch)
    best = next((c for c in reversed(callbacks) if isinstance(c, LatestBest)), None)
    kept = epochs if best is None else best.kept_epoch + 1
    reason = history.stop_reason
    job.note_once("best epoch", "stage", stage=stage, epoch=kept, of=epochs, stop_reason=reason)
    if reason is not None and epochs < planned:
        job.screen.line("stopped", f"after epoch {epochs} of {planned}", f"({reason})")
    return {"epochs": epochs, "best_epoch": kept, "stop_reason": reason}


def _schedules(job: Job, warmup: float) -> list[Callback]:
    """Return what sets the learning rate: nothing where a callback of the user's does."""
    own = [type(one).__name__ for one in job.own_callbacks if sets_rate(one)]
    if own:
        job.screen.line("schedule", f"{' and '.join(own)} of your own", "(in place of the half cosine)")
        return []
    schedule = _schedule(job, warmup)
    if job.own_callbacks and isinstance(schedule, StepSchedule):
        return [RateWatch(schedule), schedule]
    return [schedule]


def _schedule(job: Job, warmup: float) -> Callback:
    """Return what sets the learning rate: half a cosine unless the options say otherwise."""
    if job.config.reduce_lr_on_plateau:
        job.screen.line("schedule", "lower the learning rate at a plateau of val_loss", "(in place of the half cosine)")
        return ReduceLROnPlateau(factor=PLATEAU_FACTOR, patience=PLATEAU_PATIENCE)
    if job.config.lr_schedule == "constant":
        return StepSchedule(_after_warmup(warmup, falls=False))
    if job.config.lr_schedule == "linear":
        return StepSchedule(_after_warmup(warmup, falls=True))
    return WarmupCosine(warmup=warmup)


def _after_warmup(warmup: float, *, falls: bool) -> Callable[[int, int], float]:
    """Return a factor that rises in a line over a share of the steps, and then stays at 1 or falls in a line to 0."""

    def factor(step: int, steps: int) -> float:
        rise = round(warmup * steps)
        if step < rise:
            return (step + 1) / rise
        return 1.0 - min(1.0, (step - rise) / max(1, steps - rise)) if falls else 1.0

    return factor
