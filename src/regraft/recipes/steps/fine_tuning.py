"""Fine-tuning as a step: train the unfrozen blocks, keep the best epoch, and choose a point on the way to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from regraft.data.manifest import Entry
from regraft.models.classifier import Classifier
from regraft.models.freeze_ledger import block_checksums, freeze_ledger
from regraft.recipes.steps.after_training import choose_interpolation, choose_mirror_averaging, trained_weights
from regraft.recipes.steps.epoch_callbacks import BudgetEnd, Recorder, TrainingEnd, epoch_callbacks
from regraft.recipes.steps.faster_steps import faster_steps
from regraft.recipes.steps.input_size import SizedContext
from regraft.recipes.steps.no_gain_end import Baseline, NoGainEnd
from regraft.recipes.steps.step_precision import training_precision
from regraft.recipes.steps.trainers import (
    WARM_UP,
    balanced_weights,
    fine_tuning_trainer,
    frozen_tensors,
    smoothed_floor,
)
from regraft.recipes.steps.training_batches import BatchFactory, training_batches
from regraft.recipes.steps.tuning_plan import Plan


@dataclass(frozen=True)
class FineTuned:
    """A finished fine-tuning.

    Attributes:
        classifier: the classifier of its best epoch.
        views: views of each photo that predictions average.
        freeze: rows of the freeze ledger.
        facts: facts for ``metrics.json``.
    """

    classifier: Classifier
    views: int
    freeze: list[dict[str, Any]]
    facts: dict[str, Any]


@dataclass(frozen=True)
class TimeLimits:
    """The budget of a fine-tuning, in seconds.

    Attributes:
        reserve: seconds to leave for the work after it.
        epochs: seconds that its epochs are expected to take.
    """

    reserve: float = 0.0
    epochs: float = 0.0


def fine_tune(
    sized: SizedContext,
    plan: Plan,
    classifier: Classifier,
    train: Sequence[Entry],
    validation: Sequence[Entry],
    *,
    limits: TimeLimits = TimeLimits(),
    pretrained: Mapping[str, str] | None = None,
    baseline: Baseline | None = None,
) -> FineTuned:
    """Train the blocks of ``plan``, and return the classifier of the epoch that is best on ``validation``.

    Args:
        sized: the run, at the size of the fine-tuning.
        plan: the plan.
        classifier: where to start, with the blocks of the plan unfrozen; it is trained itself.
        train: training photos.
        validation: photos whose log-loss decides which epoch is best; without any, the last epoch is.
        limits: the limits of the budget.
        pretrained: checksum of each block before all training; None for the checksums now.
        baseline: figures on ``validation``; the training ends early if it is clearly behind them. None: it never does.
    """
    context = sized.context
    before = block_checksums(classifier) if pretrained is None else pretrained
    start = trained_weights(classifier)
    lr = plan.learning_rate(len(train))
    torch.manual_seed(context.config.seed)
    with training_batches(
        context,
        classifier,
        train,
        validation,
        batch_size=plan.batch_size,
        views=plan.cached_views,
        reserve=limits.reserve + limits.epochs,
    ) as batches:
        context.report(batches)
        end, rates = _train(sized, plan, classifier, lr, batches, train, validation, limits, baseline)
        classifier.eval()
        point = choose_interpolation(
            plan.stage,
            classifier,
            start,
            lambda: batches.plain(validation),
            context.dataset.labels(validation),
            plan.interpolation_steps,
            context.screen,
        )
        context.report(point)
    mirror = choose_mirror_averaging(context, plan.stage, classifier, validation, sized.saving)
    context.report(mirror, end)
    facts = {
        "trained": plan.title,
        "learning_rate": lr,
        "share_of_the_way": point.share,
        **batches.facts(),
        "views_at_prediction": mirror.views,
        **end.facts(),
    }
    return FineTuned(classifier, mirror.views, freeze_ledger(classifier, before, rates), facts)


def _train(
    sized: SizedContext,
    plan: Plan,
    classifier: Classifier,
    lr: float,
    batches: BatchFactory,
    train: Sequence[Entry],
    validation: Sequence[Entry],
    limits: TimeLimits,
    baseline: Baseline | None,
) -> tuple[TrainingEnd, dict[str, float]]:
    """Train for the epochs of the plan; return how the training ended, and the peak learning rate of each block."""
    context = sized.context
    steps = training_precision(context, classifier, plan.batch_size, len(train) * plan.epochs)
    context.report(steps)
    trainer = fine_tuning_trainer(
        classifier,
        lr,
        precision=steps.precision,
        device=context.device,
        metrics=["accuracy"],
        fixed=frozen_tensors(classifier),
        screen=context.screen,
        shards=context.config.shards,
        fast_reduce=bool(context.config.fast_reduce),
    )
    assert trainer.optimizer is not None
    rates = {str(group["name"]): float(group["lr"]) for group in trainer.optimizer.param_groups}
    with context.screen.progress("tuning", len(train) * plan.epochs) as bar:
        recorder = Recorder(context.decisions, plan.title, bar, plan.batch_size, len(train))
        budget = BudgetEnd(context.decisions, plan.title, plan.epochs, limits.reserve)
        floor = smoothed_floor(len(context.dataset.classes))
        ends = (
            [] if baseline is None else [NoGainEnd(context.decisions, plan.title, plan.epochs, baseline, floor=floor)]
        )
        attached = epoch_callbacks(
            context, validation, epochs=plan.epochs, warmup=WARM_UP, recipe_callbacks=[recorder, budget, *ends]
        )
        context.report(*attached.reports())
        with faster_steps(classifier.backbone):
            history = trainer.fit(
                batches.training(train),
                epochs=plan.epochs,
                validation_data=batches.plain(validation) if validation else None,
                class_weight=balanced_weights(context, train),
                verbose=0,
                callbacks=attached.callbacks,
                resume=context.decisions.snapshots(plan.stage),
            )
    return TrainingEnd.of(plan.title, history, attached.callbacks, plan.epochs), rates
