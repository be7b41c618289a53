"""Fine-tuning from the solved linear probe (LP-FT): some or all blocks trained with small, layer-wise learning rates.

The head starts at the optimum of the frozen features, so that its first gradients do not tear up the backbone (Kumar et
al. 2022, "Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution",
https://arxiv.org/abs/2202.10054). Learning rates decay from block to block towards the bottom (Clark et al. 2020,
https://arxiv.org/abs/2003.10555; Bao et al. 2021, https://arxiv.org/abs/2106.08254), warm up and follow a half cosine.
Normalisation statistics stay those of the pretraining. The latest epoch that is as good as the best is kept, and of
the way from the probe to it the point that is best on the same photos (`interpolation`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from regraft.context.dataset import gradient_parts
from regraft.context.run_context import Job
from regraft.data.manifest import Entry
from regraft.models.backbone import Backbone
from regraft.models.classifier import Classifier
from regraft.models.freeze_ledger import block_checksums, freeze_ledger
from regraft.probe.linear_probe import Probe
from regraft.recipes.result import Outcome
from regraft.recipes.steps.after_training import (
    SHARES,
    SHARES_OF_UPPER,
    settle_between,
    trained_weights,
    views_at_prediction,
)
from regraft.recipes.steps.epoch_callbacks import BudgetEnd, Recorder, callbacks_of, ended
from regraft.recipes.steps.input_size import for_tuning
from regraft.recipes.steps.solve_probe import probe_classifier, solve_probe
from regraft.recipes.steps.step_precision import training_precision
from regraft.recipes.steps.training_batches import feed
from regraft.training import Trainer

EPOCHS = 4
UPPER_SHARE = 0.5
"""Share of the blocks that `auto` trains first, from the cut point: `docs/recipes.md` has what more and fewer gave."""

FEW_BLOCKS = 2
"""How many it trains where the time does not allow so many."""

UPPER_EPOCHS, UPPER_STEPS = (8, 24), 400
"""As many epochs as make so many steps, within bounds: few photos need more. `docs/recipes.md` has the search."""

LEARNING_RATE_PER_STEP = 2e-6
LEARNING_RATES = 3e-5, 1e-3
"""Where no learning rate is given, it is so much for each step that is to come, within these bounds: the first steps
disturb what was pretrained, and only a training of some hundred steps makes more good than that. `docs/recipes.md` has
the search behind it."""

GOING_ON = 0.3
"""Share of that with which a fine-tuning goes on from where another one ended."""

LAYER_DECAY = 0.8
WEIGHT_DECAY = 0.05
BATCH_SIZE = 32
SMALL_BATCH = 16
"""Where all blocks are trained: twice the steps in as many epochs, which are few."""

LABEL_SMOOTHING = 0.1
"""Share of a photo's label that is spread over all classes (Szegedy et al. 2016, https://arxiv.org/abs/1512.00567): a
network that is trained on few photos is soon sure of them all, and then learns no more."""

VIEWS = 8
"""Of each photo, where activations are kept: `docs/recipes.md` has what more and fewer of them gave."""

WARM_UP = 0.1
"""Share of the steps in which the learning rate rises to its full size."""


@dataclass(frozen=True)
class Plan:
    """How a fine-tuning is done.

    Attributes:
        unfreeze: ``"all"``, a number of blocks from the top, or names of blocks.
        epochs: passes over the training photos.
        lr: learning rate of the head and the topmost block, at its height; None: by the number of steps.
        batch_size: photos a step.
        views: of each photo that are kept as activations where the lower blocks are frozen; 0: ever new ones.
        goes_on: whether it begins where another fine-tuning ended, which a full learning rate would undo.
    """

    unfreeze: Literal["all"] | int | Sequence[str]
    epochs: int
    lr: float | None
    batch_size: int
    views: int = VIEWS
    goes_on: bool = False

    def rate(self, photos: int) -> float:
        """Return the learning rate for training on ``photos``."""
        if self.lr is not None:
            return self.lr
        steps = self.epochs * math.ceil(photos / max(self.batch_size, BATCH_SIZE))
        low, high = LEARNING_RATES
        return (GOING_ON if self.goes_on else 1.0) * min(high, max(low, LEARNING_RATE_PER_STEP * steps))

    @property
    def shown(self) -> int:
        """Views that are needed: no more than a photo is shown."""
        return min(self.views, self.epochs)

    @property
    def shares(self) -> tuple[float, ...]:
        """Shares of the way that are tried; of those that are as good as the best, the first is taken."""
        return SHARES if self.unfreeze == "all" else SHARES_OF_UPPER

    @property
    def stage(self) -> str:
        """What its snapshots, its epochs and its choices are called."""
        return "fine-tune" if self.unfreeze == "all" else f"fine-tune {self.title}"

    @property
    def title(self) -> str:
        """What is trained, in words."""
        if isinstance(self.unfreeze, int):
            return f"upper {self.unfreeze} block{'s' if self.unfreeze != 1 else ''}"
        return "all blocks" if self.unfreeze == "all" else ", ".join(self.unfreeze)


@dataclass
class Tuned:
    """A finished fine-tuning: the classifier of its best epoch, the views that its predictions average, the record."""

    classifier: Classifier
    views: int
    freeze: list[dict[str, Any]]
    said: dict[str, Any]


def upper_half(backbone: Backbone) -> int:
    """Return how many blocks the upper half of a network has."""
    return max(1, round(UPPER_SHARE * len(backbone.blocks)))


def upper_plan(job: Job, photos: int, blocks: int) -> Plan:
    """Return the plan that trains so many upper blocks on ``photos`` from the cut point."""
    plan = replace(plan_of(job), batch_size=job.config.batch_size or BATCH_SIZE)
    low, high = UPPER_EPOCHS
    epochs = min(high, max(low, math.ceil(UPPER_STEPS * plan.batch_size / photos)))
    return replace(plan, unfreeze=blocks, epochs=job.config.epochs or epochs)


def plan_of(job: Job) -> Plan:
    """Return the plan that the options ask for, with this recipe's defaults."""
    config = job.config
    return Plan(
        unfreeze="all" if config.unfreeze is None else config.unfreeze,
        epochs=config.epochs or EPOCHS,
        lr=config.lr,
        batch_size=config.batch_size or (SMALL_BATCH if config.unfreeze in (None, "all") else BATCH_SIZE),
        views=VIEWS if config.views is None else config.views,
    )


def run(job: Job) -> Outcome:
    """Fine-tune as the options ask, whatever the probe says; both figures are reported."""
    parts = gradient_parts(job.photos, job.config)
    seen = parts.seen
    probe = solve_probe(job, seen, nested=True)
    tuning = for_tuning(job)
    start = solve_probe(tuning, parts.train, nested=False, label="start")
    plan = plan_of(job)
    tuned = tune(tuning, plan, starting_point(tuning, plan, start), parts.train, parts.choose)
    return Outcome(
        chosen="fine-tune",
        classifier=tuned.classifier,
        parts=parts,
        probe=probe,
        cross_validated=probe,
        folded=seen,
        headline_out_of_fold=False,
        freeze=tuned.freeze,
        views=tuned.views,
        said=tuned.said,
    )


def tune(
    job: Job,
    plan: Plan,
    classifier: Classifier,
    train: Sequence[Entry],
    choose: Sequence[Entry],
    *,
    reserve: float = 0.0,
    training: float = 0.0,
    pretrained: Mapping[str, str] | None = None,
) -> Tuned:
    """Train the blocks of ``plan`` from ``classifier`` on, and keep the epoch that is best on ``choose``.

    Args:
        job: the training in progress.
        plan: what to train, and how.
        classifier: where to begin, such as `starting_point`; it is trained itself.
        train: photos that gradient steps look at.
        choose: photos whose log-loss decides which epoch is kept; without any, the last epoch is kept.
        reserve: seconds of the budget to leave for what comes after.
        training: seconds that the epochs are expected to take.
        pretrained: checksum of each block before all training; None: as they are now.
    """
    before = block_checksums(classifier) if pretrained is None else pretrained
    began = trained_weights(classifier)
    lr = plan.rate(len(train))
    torch.manual_seed(job.config.seed)
    with feed(
        job, classifier, train, choose, batch_size=plan.batch_size, views=plan.shown, reserve=reserve + training
    ) as feeds:
        trainer, rates = trainer_of(job, plan, classifier, lr, len(train))
        with job.screen.progress("tuning", len(train) * plan.epochs) as bar:
            recorder = Recorder(job, plan.title, bar, plan.batch_size, len(train))
            budget = BudgetEnd(job, plan.title, plan.epochs, reserve)
            callbacks = callbacks_of(job, choose, epochs=plan.epochs, warmup=WARM_UP, recipes=[recorder, budget])
            history = trainer.fit(
                feeds.training(train),
                epochs=plan.epochs,
                validation_data=feeds.plain(choose) if choose else None,
                class_weight=balanced_weights(job, train),
                verbose=0,
                callbacks=callbacks,
                resume=job.snapshots(plan.stage),
            )
        classifier.eval()
        share = settle_between(job, plan.stage, classifier, began, choose, feeds.plain, plan.shares)
    views = views_at_prediction(job, plan.stage, classifier, choose)
    return Tuned(
        classifier=classifier,
        views=views,
        freeze=freeze_ledger(classifier, before, rates),
        said={
            "trained": plan.title,
            "learning_rate": lr,
            "share_of_the_way": share,
            "cut_point": feeds.cut,
            "views": feeds.views,
            "views_at_prediction": views,
            **ended(job, plan.title, history, callbacks, plan.epochs),
        },
    )


def starting_point(job: Job, plan: Plan, start: Probe) -> Classifier:
    """Return the pretrained network with the solved probe as its head and the blocks of ``plan`` unfrozen.

    It is a copy: the job's backbone stays as it was pretrained.
    """
    classifier = Classifier(job.backbone, job.photos.classes)
    classifier.load_state_dict(probe_classifier(job, start).state_dict())
    classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    classifier.unfreeze(plan.unfreeze)
    return classifier


def trainer_of(
    job: Job, plan: Plan, classifier: Classifier, lr: float, photos: int
) -> tuple[Trainer, dict[str, float]]:
    """Return the trainer of ``classifier``, and the learning rate of each block at its height.

    Args:
        job: the training in progress.
        plan: how it is trained.
        classifier: what is trained.
        lr: learning rate of the head and the topmost block.
        photos: photos in an epoch.
    """
    optimizer = optimizer_of(classifier, lr)
    trainer = Trainer(
        classifier,
        optimizer=optimizer,
        loss=torch.nn.CrossEntropyLoss(label_smoothing=LABEL_SMOOTHING),
        metrics=["accuracy"],
        precision=training_precision(job, classifier, plan.batch_size, photos * plan.epochs),
        device=job.device,
        fixed=pretrained_names(classifier),
        screen=job.screen,
    )
    return trainer, {str(group["name"]): float(group["lr"]) for group in optimizer.param_groups}


def optimizer_of(classifier: Classifier, lr: float) -> torch.optim.AdamW:
    """Return what updates a classifier: ``lr`` for the head and the topmost block, and less from block to block."""
    return torch.optim.AdamW(classifier.parameter_groups(lr, layer_decay=LAYER_DECAY, weight_decay=WEIGHT_DECAY), lr=lr)


def pretrained_names(classifier: Classifier) -> list[str]:
    """Return which tensors stay as they were pretrained: all that is not trained, normalisation statistics among it."""
    trained = {name for name, parameter in classifier.named_parameters() if parameter.requires_grad}
    return [name for name in classifier.state_dict() if name not in trained]


def balanced_weights(job: Job, train: Sequence[Entry]) -> dict[int, float] | None:
    """Return the weight of each class that makes all classes count the same, or None where that is not asked for."""
    if job.config.class_weight is None:
        return None
    counts = Counter(job.photos.labels(train).tolist())
    return {label: len(train) / (len(counts) * n) for label, n in counts.items()}
