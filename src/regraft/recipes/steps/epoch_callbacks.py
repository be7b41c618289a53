"""The callbacks of a training by gradient: what its recipe needs, and what the options add to it.

Callbacks that a recipe attaches: they write what happens into the run folder and onto the screen.

A watch for callbacks that change the learning rate while the recipe's schedule sets it at every step.
"""

from __future__ import annotations

import csv
import io
import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from regraft.callbacks import (
    Callback,
    History,
    ReduceLROnPlateau,
    RemoteMonitor,
    StepSchedule,
    TensorBoard,
    WarmupCosine,
)
from regraft.callbacks.keep_latest_best import LatestBest
from regraft.callbacks.user_callbacks import sets_rate
from regraft.context.config import CALLBACK_OPTIONS, TrainConfig
from regraft.context.run_context import Job
from regraft.data.manifest import Entry
from regraft.disk.atomic import write_text
from regraft.errors import ConfigError, several
from regraft.recipes.steps.tensorboard_images import ValidationPictures
from regraft.screen import Bar
from regraft.training.argument_checks import validation_needs

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


class Recorder(Callback):
    """Writes `history.csv` after each epoch, journals it, and moves the progress bar.

    After an interruption each epoch is there once: the file is written whole each time, and an epoch that the journal
    has already is the same one.

    Args:
        job: the training in progress.
        stage: what is trained, such as ``"all blocks"``.
        bar: moves by the photos of each batch.
        batch_size: photos in a batch.
        photos: photos in an epoch; the last batch may be smaller.
    """

    saved: ClassVar[tuple[str, ...]] = ("_rows",)

    def __init__(self, job: Job, stage: str, bar: Bar, batch_size: int, photos: int) -> None:
        super().__init__()
        self._job, self._stage, self._bar = job, stage, bar
        self._batch_size, self._photos = batch_size, photos
        self._rows: list[dict[str, Any]] = list(job.epochs)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the rows back, and move the bar to where training goes on."""
        super().load_state_dict(state)
        self._job.epochs = list(self._rows)
        epoch, batch = self.model.position
        self._bar.advance(epoch * self._photos + min(batch * self._batch_size, self._photos))

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Move the bar by one batch."""
        self._bar.advance(min(self._batch_size, self._photos - batch * self._batch_size))

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Write the epoch down."""
        figures = {name: _number(value) for name, value in (logs or {}).items()}
        self._rows.append({"stage": self._stage, "epoch": epoch + 1, **figures})
        self._job.note_once("epoch", "stage", "epoch", **self._rows[-1])
        self._job.epochs = list(self._rows)
        self._job.keep(write_text, self._job.folder.history, _csv(self._rows))
        shown = [
            f"{name} {figures[name]:.3f}" for name in ("val_accuracy", "val_loss") if figures.get(name) is not None
        ]
        self._bar.note(" · ".join([f"epoch {epoch + 1}", *shown]))


class BudgetEnd(Callback):
    """Ends a training after the epoch behind which no further one fits into the time budget.

    Where it ended is a choice that a clock made, so it is journaled, and replayed when the run is repeated.
    """

    saved: ClassVar[tuple[str, ...]] = ("_begun",)

    def __init__(self, job: Job, stage: str, epochs: int, reserve: float) -> None:
        super().__init__()
        self._job, self._epochs, self._reserve = job, epochs, reserve
        self._done = f"epochs done, {stage}"
        self._begun = 0.0

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Note when the first epoch begins."""
        self._begun = self._job.seconds_left() or math.inf

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Stop where the next epoch would not fit."""
        done = epoch + 1
        if done >= self._epochs:
            return
        replayed = self._job.replay.get(self._done)
        if replayed is not None:
            ends = done >= int(replayed)
        else:
            left = self._job.seconds_left()
            ends = left is not None and left - self._reserve < 1.05 * (self._begun - left) / done
        if ends:
            self._job.choose(self._done, "no further epoch fits into the budget", lambda: done)
            self.stop("no further epoch fits into the budget")


def _number(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _csv(rows: list[dict[str, Any]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


class RateWatch(Callback):
    """Warns, once, that a change of the learning rate by another callback does not last; it is called first.

    Args:
        schedule: the recipe's schedule.
    """

    display: ClassVar[bool] = True

    def __init__(self, schedule: StepSchedule) -> None:
        super().__init__()
        self._schedule = schedule
        self._warned = False

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Compare the rates with those that the schedule set for the update before."""
        schedule, optimizer = self._schedule, self.model.optimizer
        step = optimizer.iterations - schedule.begun - 1
        if self._warned or step < 0 or not schedule.base:
            return
        factor = schedule.curve(step, schedule.total)
        rates = [float(group["lr"]) for group in optimizer.param_groups]
        if not all(math.isclose(rate, base * factor) for rate, base in zip(rates, schedule.base, strict=True)):
            self._warned = True
            self.warn(
                "a callback changes the learning rate, and the recipe's schedule sets it anew at every step: the "
                "change is lost. LearningRateScheduler and ReduceLROnPlateau replace the schedule"
            )
