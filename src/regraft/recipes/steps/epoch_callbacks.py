"""The callbacks of a training in epochs: the recipe's own, those of the options, and the user's."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from regraft.callbacks import Callback, History, RemoteMonitor, TensorBoard
from regraft.callbacks.keep_latest_best import LatestBest
from regraft.context.config import TrainConfig
from regraft.context.decisions import Decisions, Event, Line, Report, StepResult
from regraft.context.run_context import RunContext
from regraft.data.manifest import Entry
from regraft.disk.atomic import write_text
from regraft.errors import ConfigError, several
from regraft.recipes.steps.rate_schedule import rate_schedules
from regraft.recipes.steps.tensorboard_images import ValidationPictures
from regraft.screen import Bar
from regraft.text import command
from regraft.training.argument_checks import validation_needs

FIGURES = ("loss", "accuracy")
"""Metrics of the recipes' trainers."""


@dataclass(frozen=True)
class EpochCallbacks:
    """All callbacks of one ``fit``, in their order.

    Attributes:
        callbacks: the callbacks.
        lines: lines for the screen about them.
    """

    callbacks: list[Any]
    lines: tuple[Line, ...]

    def reports(self) -> list[StepResult]:
        """Return what to print."""
        return [Report(None, line) for line in self.lines]


@dataclass(frozen=True)
class TrainingEnd:
    """The end of a training in epochs.

    Attributes:
        stage: name of the training.
        epochs: epochs that were trained.
        planned: epochs of the plan.
        best_epoch: the epoch whose weights are kept, counted from 1.
        stop_reason: why it ended early; None if it did not.
    """

    stage: str
    epochs: int
    planned: int
    best_epoch: int
    stop_reason: str | None

    @classmethod
    def of(cls, stage: str, history: History, callbacks: Sequence[Any], planned: int) -> TrainingEnd:
        """Return how a ``fit`` with these callbacks ended."""
        epochs = len(history.epoch)
        best = next((c for c in reversed(callbacks) if isinstance(c, LatestBest)), None)
        return cls(stage, epochs, planned, epochs if best is None else best.kept_epoch + 1, history.stop_reason)

    def event(self) -> Event:
        """Return the event for the journal."""
        facts = {"stage": self.stage, "epoch": self.best_epoch, "of": self.epochs, "stop_reason": self.stop_reason}
        return Event("best epoch", facts, ("stage",))

    def line(self) -> Line | None:
        """Return the line for the screen."""
        if self.stop_reason is None or self.epochs >= self.planned:
            return None
        return Line("stopped", f"after epoch {self.epochs} of {self.planned}", f"({self.stop_reason})")

    def facts(self) -> dict[str, Any]:
        """Return the facts for ``metrics.json``."""
        return {"epochs": self.epochs, "best_epoch": self.best_epoch, "stop_reason": self.stop_reason}


def epoch_callbacks(
    context: RunContext,
    validation: Sequence[Entry],
    *,
    epochs: int,
    warmup: float,
    recipe_callbacks: Sequence[Callback],
) -> EpochCallbacks:
    """Return all callbacks of one ``fit``, in their order.

    The schedule of the learning rate comes first, unless a callback of the user sets the rate; then the user's and
    those of the options, so that the recipe's own see the figures that these write to the logs. `LatestBest` is the
    last: it restores the weights of the best epoch.

    Args:
        context: the run.
        validation: the validation photos, in the order in which ``fit`` sees them; may be empty.
        epochs: planned passes over the photos.
        warmup: share of the steps in which the learning rate rises.
        recipe_callbacks: callbacks that the recipe needs.
    """
    config = context.config
    schedules, line = rate_schedules(context.config, context.user_callbacks, warmup)
    lines = [] if line is None else [line]
    callbacks: list[Any] = [*schedules, *context.user_callbacks]
    if config.tensorboard:
        board = TensorBoard(log_dir=context.folder.tensorboard)
        callbacks += [*([ValidationPictures(board, context, validation)] if validation else []), board]
        lines.append(Line("logs", command("tensorboard", "--logdir", context.folder.tensorboard)))
    if config.remote_monitor is not None:
        callbacks.append(RemoteMonitor(root=config.remote_monitor))
    callbacks += recipe_callbacks
    if validation:
        patience = epochs if config.early_stop is None else config.early_stop
        callbacks.append(LatestBest(len(validation), patience))
    return EpochCallbacks(callbacks, tuple(lines))


def check_validation_photos(config: TrainConfig, user_callbacks: Sequence[Any], *, validated: bool) -> None:
    """Check that callbacks that need validation photos will have some.

    Raises:
        ConfigError: there will be no validation photos.
    """
    if validated:
        return
    watching = [name for name in ("early_stop", "reduce_lr_on_plateau") if getattr(config, name) not in (None, False)]
    problems = [f"{name} monitors 'val_loss'" for name in watching] + validation_needs(user_callbacks, FIGURES)
    if problems:
        raise ConfigError(
            several("there are no validation photos, and a callback needs them", problems)
            + "\n  give validation a share of the photos, such as --split 80/10/10"
        )


class Recorder(Callback):
    """Writes `history.csv` after each epoch, journals it, and moves the progress bar.

    Each epoch is recorded once, also after an interruption: the whole file is written each time, and an epoch that the
    journal has is not added to it again.

    The class name is a key in snapshots: it must not change.

    Args:
        decisions: the record of the run.
        stage: name of the training, such as ``"all blocks"``.
        bar: advances by the photos of each batch.
        batch_size: photos in a batch.
        photos: photos in an epoch; the last batch may be smaller.
    """

    saved: ClassVar[tuple[str, ...]] = ("_rows",)

    def __init__(self, decisions: Decisions, stage: str, bar: Bar, batch_size: int, photos: int) -> None:
        super().__init__()
        self._decisions, self._stage, self._bar = decisions, stage, bar
        self._batch_size, self._photos = batch_size, photos
        self._rows: list[dict[str, Any]] = list(decisions.epochs)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the rows, and move the bar to where training resumes."""
        super().load_state_dict(state)
        self._decisions.epochs[:] = self._rows
        epoch, batch = self.model.position
        self._bar.advance(epoch * self._photos + min(batch * self._batch_size, self._photos))

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Move the bar by one batch."""
        self._bar.advance(min(self._batch_size, self._photos - batch * self._batch_size))

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Write the epoch to the history and the journal."""
        figures = {name: _number(value) for name, value in (logs or {}).items()}
        self._rows.append({"stage": self._stage, "epoch": epoch + 1, **figures})
        self._decisions.note_once("epoch", "stage", "epoch", **self._rows[-1])
        self._decisions.epochs[:] = self._rows
        self._decisions.write_or_warn(write_text, self._decisions.folder.history, _csv(self._rows))
        shown = [
            f"{name} {figures[name]:.3f}" for name in ("val_accuracy", "val_loss") if figures.get(name) is not None
        ]
        self._bar.note(" · ".join([f"epoch {epoch + 1}", *shown]))


class BudgetEnd(Callback):
    """Ends a training after the last epoch that fits into the time budget.

    The epoch is a choice that depends on a clock, so it is journaled, and replayed when the run is repeated. The class
    name is a key in snapshots: it must not change.
    """

    saved: ClassVar[tuple[str, ...]] = ("_begun",)

    def __init__(self, decisions: Decisions, stage: str, epochs: int, reserve: float) -> None:
        super().__init__()
        self._decisions, self._epochs, self._reserve = decisions, epochs, reserve
        self._done = f"epochs done, {stage}"
        self._begun = 0.0

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Record when the first epoch begins."""
        self._begun = self._decisions.seconds_left() or math.inf

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Stop if the next epoch would not fit."""
        done = epoch + 1
        if done >= self._epochs:
            return
        replayed = self._decisions.replay.get(self._done)
        if replayed is not None:
            ends = done >= int(replayed)
        else:
            left = self._decisions.seconds_left()
            ends = left is not None and left - self._reserve < 1.05 * (self._begun - left) / done
        if ends:
            self._decisions.choose(self._done, "no further epoch fits into the budget", lambda: done)
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
