"""Callbacks that a recipe attaches: they write what happens into the run folder and onto the screen."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from typing import Any, ClassVar

from regraft.callbacks import Callback
from regraft.disk.atomic import write_text
from regraft.recipes.job import Job
from regraft.screen import Bar


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
