"""The learning-rate finder, with the classifier and the training of the recipe `fine-tune`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from regraft.context.config import TrainConfig
from regraft.context.run_context import RunContext
from regraft.data.augmentation import Augmentation
from regraft.data.loading.loader import PhotoBatches
from regraft.disk.csv_file import write_csv
from regraft.recipes.steps.faster_steps import faster_steps
from regraft.recipes.steps.input_size import at_input_size
from regraft.recipes.steps.solve_probe import solve_probe
from regraft.recipes.steps.step_precision import training_precision
from regraft.recipes.steps.trainers import fine_tuning_trainer, pretrained_classifier
from regraft.recipes.steps.training_batches import photo_batches
from regraft.recipes.steps.tuning_plan import plan_from_options
from regraft.screen import Bar, Screen
from regraft.training.lr_finder import LearningRateCurve
from regraft.workflows.steps.choose_backbone import with_chosen_backbone
from regraft.workflows.steps.features_and_split import compute_features_and_split
from regraft.workflows.steps.prepare import prepare_run
from regraft.workflows.steps.prepared_photos import PreparedPhotos
from regraft.workflows.steps.rate_agreement import RateAgreement, rate_agreement
from regraft.workflows.steps.run_directory import clear

FIRST, LAST = 1e-6, 1.0
STEPS = 100
CLEAR_FALL = 0.03
"""Minimum fall of the loss, as a share of the first loss; a smaller fall may be noise of the batches."""


@dataclass(frozen=True)
class FoundRate:
    """The result of the finder.

    Attributes:
        folder: the run folder, which has no classifier.
        curve: the loss at each learning rate.
        default: the peak learning rate of the recipe without ``lr``.
        plot: the curve as an SVG picture.
        table: the curve as a CSV of ``learning_rate,loss``.
        rates: the peak learning rate of the head and of each trained block at ``default``, top to bottom.
        steps: steps of the recipe's training.
    """

    folder: Path
    curve: LearningRateCurve
    default: float
    plot: Path
    table: Path
    rates: Mapping[str, float]
    steps: int

    @property
    def suggestion(self) -> float | None:
        """The rate at which the loss falls fastest; None if it did not fall clearly."""
        losses = self.curve.losses
        fell = losses[0] - min(losses) >= CLEAR_FALL * losses[0]
        return self.curve.suggestion if fell and self.curve.at_minimum > self.curve.rates[1] else None

    @property
    def agreement(self) -> RateAgreement:
        """Agreement of the recipe's own rate with the curve, and its reason."""
        return rate_agreement(self.curve, self.suggestion, self.default, self.steps)


def find_learning_rate(
    config: TrainConfig, screen: Screen, *, steps: int = STEPS, started: float | None = None
) -> FoundRate:
    """Train the classifier of the recipe `fine-tune` while the learning rate rises, and write its loss to a run folder.

    As in the recipe, the head starts at the solved linear probe, photos are augmented, and rates fall from block to
    block; the rate is that of the head and the top block, which ``lr`` of `TrainConfig` sets.

    Args:
        config: the configuration; its recipe must be ``fine-tune``. Of several networks, the first is trained.
        screen: where progress and warnings go.
        steps: training steps, each with its own rate.
        started: when the process began (seconds since 1970); None for now.

    Raises:
        UserError: as `regraft.workflows.train.train`; TrainingError if the loss diverges at the first rates.
    """
    started = time.time() if started is None else started
    with PreparedPhotos(config, screen) as prepared:
        config, _ = with_chosen_backbone(config, prepared, screen, started)
        return _found_rate(config.model_copy(update={"backbone": config.networks[0]}), screen, prepared, steps, started)


def _found_rate(config: TrainConfig, screen: Screen, prepared: PreparedPhotos, steps: int, started: float) -> FoundRate:
    """Return the result of the finder for the network of ``config``."""
    with prepare_run(config, screen, prepared, started, "lr") as run:
        context = compute_features_and_split(run, prepared)
        found = _train_on_a_rising_rate(context, steps)
        curve, default = found.curve, found.default
        folder = context.folder
        plot, table = folder.path / "learning_rate.svg", folder.path / "learning_rate.csv"
        curve.plot(plot)
        write_csv(table, _rows(curve))
        result = replace(found, folder=folder.path, plot=plot, table=table)
        facts = {"suggestion": result.suggestion, "at_minimum": curve.at_minimum, "default": default}
        folder.journal.add("learning rate", **facts)
    clear(folder)
    return result


def _train_on_a_rising_rate(context: RunContext, steps: int) -> FoundRate:
    """Return the loss at each learning rate, and the rates that the recipe would use; no file is written yet."""
    train = context.parts.gradient.train
    plan = plan_from_options(context.config)
    sized = at_input_size(context)
    context.report(sized)
    head = solve_probe(sized.context, train, nested=False, label="start")
    context.report(head)
    classifier = pretrained_classifier(sized.context, head.probe)
    classifier.unfreeze(plan.unfreeze)
    default = plan.learning_rate(len(train))
    precision = training_precision(sized.context, classifier, plan.batch_size, len(train) * plan.epochs)
    context.report(precision)
    trainer = fine_tuning_trainer(classifier, default, precision=precision.precision, device=context.device)
    assert trainer.optimizer is not None
    rates = {str(group["name"]): float(group["lr"]) for group in reversed(trainer.optimizer.param_groups)}
    torch.manual_seed(context.config.seed)
    with context.screen.progress("lr", steps, unit="steps") as bar, faster_steps(classifier.backbone):
        batches = _Counted(photo_batches(sized.context, train, plan.batch_size, Augmentation()), bar)
        curve = trainer.find_lr(batches, start=FIRST, end=LAST, steps=steps)
    whole = plan.epochs * -(-len(train) // plan.batch_size)
    return FoundRate(context.folder.path, curve, default, context.folder.path, context.folder.path, rates, whole)


class _Counted:
    """Batches that advance a progress bar."""

    def __init__(self, batches: PhotoBatches, bar: Bar) -> None:
        self._batches, self._bar = batches, bar

    def __len__(self) -> int:
        return len(self._batches)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the batches of an epoch."""
        for batch in self._batches.epoch(epoch, start):
            yield batch
            self._bar.advance()


def _rows(curve: LearningRateCurve) -> list[tuple[str, str]]:
    """Return the rows of ``learning_rate.csv``."""
    points = zip(curve.rates, curve.losses, strict=True)
    return [("learning_rate", "loss"), *((f"{rate:.6g}", f"{loss:.6g}") for rate, loss in points)]
