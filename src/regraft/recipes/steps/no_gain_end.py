"""The callback that ends a fine-tuning of `auto` early if it is clearly behind the best candidate before it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from regraft.callbacks import Callback
from regraft.context.decisions import Decisions

MIN_EPOCHS_SHARE = 1 / 3
"""Share of the epochs after which a training may end: before, the learning rate is high, and much may still improve."""

LOSS_MARGIN = (1.25, 0.05)
"""Factor and nats by which every epoch's log-loss must exceed the baseline's."""

REASON = "neither accuracy nor log-loss of the validation photos comes near the best candidate's"


@dataclass(frozen=True)
class Baseline:
    """The figures of the best candidate before a fine-tuning, on the validation photos.

    Attributes:
        accuracy: its accuracy.
        log_loss: its log-loss in nats, at its best temperature.
    """

    accuracy: float
    log_loss: float


class NoGainEnd(Callback):
    """Ends a training that after a third of its epochs has not come near the baseline.

    The epoch is a choice that depends on a measurement, so it is journaled, and replayed when the run is repeated. The
    class name is a key in snapshots: it must not change.

    Args:
        decisions: the record of the run.
        stage: name of the training.
        epochs: planned epochs.
        baseline: the figures to compare with.
        floor: the lowest validation loss that is possible, in nats; smoothed labels add it to every loss.
    """

    saved: ClassVar[tuple[str, ...]] = ("_accuracy", "_log_loss")

    def __init__(
        self, decisions: Decisions, stage: str, epochs: int, baseline: Baseline, *, floor: float = 0.0
    ) -> None:
        super().__init__()
        self._decisions, self._epochs, self._baseline, self._floor = decisions, epochs, baseline, floor
        self._choice = f"epochs without a gain, {stage}"
        self._accuracy, self._log_loss = 0.0, math.inf

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Stop if no epoch so far promises a gain."""
        figures = logs or {}
        self._accuracy = max(self._accuracy, float(figures.get("val_accuracy", 1.0)))
        self._log_loss = min(self._log_loss, float(figures.get("val_loss", 0.0)))
        done = epoch + 1
        replayed = self._decisions.replay.get(self._choice)
        ends = self._is_behind(done) if replayed is None else done >= int(replayed)
        if ends and done < self._epochs:
            self._decisions.choose(self._choice, REASON, lambda: done)
            self.stop(REASON)

    def _is_behind(self, done: int) -> bool:
        factor, more = LOSS_MARGIN
        return (
            done >= MIN_EPOCHS_SHARE * self._epochs
            and self._log_loss - self._floor > factor * self._baseline.log_loss + more
            and self._accuracy <= self._baseline.accuracy
        )
