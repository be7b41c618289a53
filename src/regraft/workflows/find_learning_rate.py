"""The learning-rate finder, on what the recipe `fine-tune` would train and in the way that it would."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from regraft.context.config import TrainConfig
from regraft.context.dataset import gradient_parts
from regraft.context.run_context import Job
from regraft.data.augmentation import Augmentation
from regraft.data.loader import PhotoBatches
from regraft.disk.atomic import write_text
from regraft.recipes.fine_tune import plan_of, starting_point, trainer_of
from regraft.recipes.steps.input_size import for_tuning
from regraft.recipes.steps.solve_probe import solve_probe
from regraft.recipes.steps.training_batches import photo_batches
from regraft.screen import Bar, Screen
from regraft.training.lr_finder import LearningRateCurve
from regraft.workflows.prepare import look, start
from regraft.workflows.prepared_photos import Early
from regraft.workflows.run_directory import clear

FIRST, LAST = 1e-6, 1.0
STEPS = 100
CLEAR_FALL = 0.03
"""Share of the loss by which it has to fall; less may be the noise of the batches."""


@dataclass(frozen=True)
class FoundRate:
    """What the finder found.

    Attributes:
        folder: the run folder; it holds no classifier.
        curve: the loss at each learning rate.
        default: the learning rate that the recipe takes where none is given.
        plot: the curve as an SVG picture.
        table: the curve as a CSV of ``learning_rate,loss``.
    """

    folder: Path
    curve: LearningRateCurve
    default: float
    plot: Path
    table: Path

    @property
    def suggestion(self) -> float | None:
        """The rate at which the loss falls fastest; None where it did not fall clearly."""
        losses = self.curve.losses
        fell = losses[0] - min(losses) >= CLEAR_FALL * losses[0]
        return self.curve.suggestion if fell and self.curve.at_minimum > self.curve.rates[1] else None


def find_learning_rate(
    config: TrainConfig, screen: Screen, *, steps: int = STEPS, started: float | None = None
) -> FoundRate:
    """Train a copy of the fine-tuning's classifier while the learning rate grows, and write down how its loss goes.

    As in the recipe, the head starts at the solved linear probe, photos are augmented, and rates fall from block to
    block; the rate is that of the head and the topmost block, which ``lr`` of `TrainConfig` sets.

    Args:
        config: what would be trained; its recipe must be ``fine-tune``.
        screen: where progress is said.
        steps: training steps, each with its own rate.
        started: when the process began (seconds since 1970); None for now.

    Raises:
        UserError: as `regraft.workflows.train.train`; TrainingError where no rate can be found.
    """
    started = time.time() if started is None else started
    with Early(config, screen) as early:
        job = start(config, screen, early, started, name="lr")
        assert isinstance(job, Job)  # a named run is always a new one
        look(job, early)
    tuning = for_tuning(job)
    train = gradient_parts(job.photos, config).train
    plan = plan_of(job)
    classifier = starting_point(tuning, plan, solve_probe(tuning, train, nested=False, label="start"))
    default = plan.rate(len(train))
    trainer, _ = trainer_of(tuning, plan, classifier, default, len(train))
    torch.manual_seed(config.seed)
    with screen.progress("lr", steps, unit="steps") as bar:
        batches = _Counted(photo_batches(tuning, train, plan.batch_size, Augmentation()), bar)
        curve = trainer.find_lr(batches, start=FIRST, end=LAST, steps=steps)
    plot, table = job.folder.path / "learning_rate.svg", job.folder.path / "learning_rate.csv"
    curve.plot(plot)
    write_text(table, _csv(curve))
    found = FoundRate(job.folder.path, curve, default, plot, table)
    job.close()
    clear(job.folder)
    job.folder.journal.add("learning rate", suggestion=found.suggestion, at_minimum=curve.at_minimum, default=default)
    return found


class _Counted:
    """Batches that move a bar."""

    def __init__(self, batches: PhotoBatches, bar: Bar) -> None:
        self._batches, self._bar = batches, bar

    def __len__(self) -> int:
        return len(self._batches)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the batches of an epoch."""
        for batch in self._batches.epoch(epoch, start):
            yield batch
            self._bar.advance()


def _csv(curve: LearningRateCurve) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["learning_rate", "loss"])
    writer.writerows((f"{rate:.6g}", f"{loss:.6g}") for rate, loss in zip(curve.rates, curve.losses, strict=True))
    return out.getvalue()
