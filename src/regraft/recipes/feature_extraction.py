"""Feature extraction: the backbone frozen, a new head trained in epochs by gradient, as courses teach it.

The frozen network gives the same features in every epoch. So they are computed once, for several views of each photo,
and the epochs run on them; each view costs one pass through the network. The features are standardized
for the training of the head, and the standardization is folded into the head afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from regraft.context.run_context import RunContext
from regraft.data.manifest import Entry
from regraft.models.classifier import Classifier
from regraft.models.freeze_ledger import model_checksums, model_ledger
from regraft.recipes.result import RecipeResult
from regraft.recipes.steps.earlier_head import take_over_head
from regraft.recipes.steps.epoch_callbacks import Recorder, TrainingEnd, epoch_callbacks
from regraft.recipes.steps.feature_batches import FeatureBatches, Scaling, standardization
from regraft.recipes.steps.solve_probe import head_classifier, probe_classifier, solve_probe
from regraft.recipes.steps.trainers import balanced_weights
from regraft.training import Trainer

EPOCHS = 30
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.01
BATCH_SIZE = 32
VIEWS = 4
"""Number of views of each photo for the training of the head; each is computed once."""


def run(context: RunContext) -> RecipeResult:
    """Train a head on the frozen features, and keep the epoch that is best on the validation photos."""
    parts, config = context.parts.gradient, context.config
    probe = solve_probe(context, parts.train_and_validation, nested=True)
    context.report(probe)

    number = VIEWS if config.views is None else config.views
    views = [context.features.of(parts.train, view) for view in range(number)]
    scaling = standardization(views[0])
    lr = config.lr or LEARNING_RATE
    head = _first_head(context, scaling)
    end = _train_head(context, head, lr, views, scaling)

    before = model_checksums(probe_classifier(context, probe.probe))
    classifier = head_classifier(context, *_unscaled_head(head, scaling))
    context.report(end)
    return RecipeResult(
        chosen="feature-extraction",
        classifier=classifier,
        parts=parts,
        probe=probe.probe,
        cross_validated_probe=probe.probe,
        out_of_fold_photos=parts.train_and_validation,
        headline_out_of_fold=False,
        freeze=model_ledger(classifier, before, {"head": lr}),
        facts={"trained": "head", "views": number, "learning_rate": lr, **end.facts()},
    )


def _first_head(context: RunContext, scaling: Scaling) -> torch.nn.Linear:
    """Return a linear layer that gives all classes the same probability, or that of the run to start from."""
    torch.manual_seed(context.config.seed)
    mean, scale = scaling
    head = torch.nn.Linear(len(mean), len(context.dataset.classes))
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    if context.config.weights is None or len(context.features.networks) > 1:
        return head
    classifier = Classifier(context.backbone, context.dataset.classes)
    classifier.set_head(torch.zeros_like(classifier.head.weight), torch.zeros_like(classifier.head.bias))
    taken = take_over_head(context, classifier)
    context.report(taken)
    if taken.kept:
        weight, bias = (value.cpu().double() for value in classifier.linear_head())
        with torch.no_grad():
            head.bias.copy_(bias + weight @ torch.from_numpy(mean).double())
            head.weight.copy_(weight * torch.from_numpy(scale).double())
    return head


def _train_head(
    context: RunContext,
    head: torch.nn.Linear,
    lr: float,
    views: Sequence[NDArray[np.float32]],
    scaling: Scaling,
) -> TrainingEnd:
    """Train ``head`` on the features of all ``views`` of the training photos; return how the training ended."""
    parts, config = context.parts.gradient, context.config
    epochs, batch_size = config.epochs or EPOCHS, config.batch_size or BATCH_SIZE
    optimizer = torch.optim.AdamW(head.parameters(), lr=lr, weight_decay=WEIGHT_DECAY)
    trainer = Trainer(
        head,
        optimizer=optimizer,
        loss="cross_entropy",
        metrics=["accuracy"],
        device="cpu",
        screen=context.screen,
        shards=config.shards,
        fast_reduce=bool(config.fast_reduce),
    )

    def batches(entries: Sequence[Entry], features: Sequence[NDArray[np.float32]], seed: int | None) -> FeatureBatches:
        contents = [entry.content for entry in entries]
        return FeatureBatches(features, context.dataset.labels(entries), contents, scaling, batch_size, seed)

    validation = parts.validation
    with context.screen.progress("head", epochs * len(parts.train)) as bar:
        recorder = Recorder(context.decisions, "head", bar, batch_size, len(parts.train))
        attached = epoch_callbacks(context, validation, epochs=epochs, warmup=0.0, recipe_callbacks=[recorder])
        context.report(*attached.reports())
        history = trainer.fit(
            batches(parts.train, views, config.seed),
            epochs=epochs,
            validation_data=batches(validation, [context.features.of(validation)], None) if validation else None,
            class_weight=balanced_weights(context, parts.train),
            verbose=0,
            callbacks=attached.callbacks,
            resume=context.decisions.snapshots("head"),
        )
    return TrainingEnd.of("head", history, attached.callbacks, epochs)


def _unscaled_head(head: torch.nn.Linear, scaling: Scaling) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return weight and bias of the trained head, with the standardization of its input folded into them."""
    mean, scale = scaling
    weight = head.weight.detach().cpu().numpy().astype(np.float64) / scale
    bias = head.bias.detach().cpu().numpy().astype(np.float64) - weight @ mean.astype(np.float64)
    return weight, bias
