"""The label review: out-of-fold probabilities by fine-tuned networks, to find wrong labels.

A fine-tuned network separates the classes of a hard folder better than the frozen one, and so finds wrong labels
better. It takes minutes, so it is an option. Activations below the cut point are computed once for all folds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from regraft.callbacks import LambdaCallback, WarmupCosine
from regraft.data.loading.fixed_views import FIRST_CROP
from regraft.data.manifest import Entry
from regraft.features.activations import ActivationBatches, Activations
from regraft.features.engines.engine_choice import choose_engine
from regraft.features.engines.processor import has_bf16
from regraft.features.stores.store import FeatureStore
from regraft.models.backbone import Backbone
from regraft.models.classifier import Classifier
from regraft.models.cut import NoCutError
from regraft.probe.folds import make_folds
from regraft.probe.label_noise import geometric_mean, label_weights
from regraft.probe.linear_probe import fit_probe
from regraft.probe.logistic_problems import softmax
from regraft.recipes.steps.faster_steps import faster_steps
from regraft.recipes.steps.step_precision import Precision, bf16_gain, precision_for
from regraft.recipes.steps.trainers import WARM_UP, fine_tuning_trainer
from regraft.recipes.steps.tuning_plan import BATCH_SIZE, Plan, upper_half
from regraft.screen import Screen

FOLDS, EPOCHS, VIEWS = 5, 4, 4
SEED = 2
"""Seed of the folds. It differs from that of the probes, so that a photo is left out together with other photos."""

REVIEWED_VIEWS = range(FIRST_CROP)
"""Views to predict on: the plain photo and its mirror image. Training uses the crops, which come after them."""

CHUNK = 64
"""Photos in a batch of predictions."""


@dataclass(frozen=True)
class LabeledPhotos:
    """Photos whose labels are reviewed.

    Attributes:
        entries: the photos.
        labels: the class of each, shape (n,), int64; every class occurs.
        units: for each photo, the id of its unit; the photos of a unit share a fold.
        probabilities: probabilities of each class, by models that were fitted without the photo, shape (n, k), float64.
    """

    entries: Sequence[Entry]
    labels: NDArray[np.int64]
    units: Sequence[str]
    probabilities: NDArray[np.float64]


def fine_tuned_label_probabilities(
    photos: LabeledPhotos,
    backbone: Backbone,
    *,
    store: FeatureStore,
    device: torch.device,
    workers: int | None,
    screen: Screen,
) -> NDArray[np.float64]:
    """Return the geometric mean of ``photos.probabilities`` and those of fine-tuned networks, shape (n, k), float64.

    If the network has no cut point, or all photos of a class are in one fold, warn and return ``photos.probabilities``.

    Args:
        photos: the photos; in training, the weight of a photo is the probability that its label is right.
        backbone: the pretrained network, at the size that suits the photos; it is not changed.
        store: cache of activations.
        device: where to train.
        workers: threads that decode, or None for the default.
        screen: where progress and warnings go.
    """
    entries, labels, earlier = photos.entries, photos.labels, photos.probabilities
    plan = Plan(upper_half(backbone), EPOCHS, None, BATCH_SIZE, VIEWS)
    keys = [entry.content for entry in entries]
    folds = make_folds(labels, keys, photos.units, count=FOLDS, seed=SEED)
    missing = [k for k in range(folds.count) if len(np.unique(labels[folds.fold_of_row != k])) < earlier.shape[1]]
    if folds.count < 2 or missing:
        screen.warn("skipping the fine-tuned label check: a class is too small to hold out a fifth of its photos")
        return earlier
    try:
        tuner = _FoldFineTuner(photos, plan, backbone, store=store, device=device, workers=workers, screen=screen)
    except NoCutError as error:
        screen.warn(f"skipping the fine-tuned label check: {error}")
        return earlier
    probabilities = np.zeros_like(earlier)
    with screen.progress("labels", folds.count * EPOCHS * len(entries)) as bar:
        for fold in range(folds.count):
            held_out = np.flatnonzero(folds.fold_of_row == fold)
            train = np.flatnonzero(folds.fold_of_row != fold)
            probabilities[held_out] = tuner.held_out_probabilities(held_out, train, partial(bar.advance, len(train)))
            bar.advance(EPOCHS * len(held_out))
    return geometric_mean(probabilities, earlier)


class _FoldFineTuner:
    """Trains the upper blocks on some of the photos, and predicts others."""

    def __init__(
        self,
        photos: LabeledPhotos,
        plan: Plan,
        backbone: Backbone,
        *,
        store: FeatureStore,
        device: torch.device,
        workers: int | None,
        screen: Screen,
    ) -> None:
        assert isinstance(plan.unfreeze, int)
        self._photos, self._plan, self._backbone, self._device = photos, plan, backbone, device
        self._at = len(backbone.blocks) - plan.unfreeze
        entries, lower = photos.entries, backbone.lower(self._at)
        engine = choose_engine(lower, entries, store, device=device, workers=workers).engine_for(lower, device)
        self._activations = Activations(lower, engine, store, workers=workers)
        views = range(FIRST_CROP + plan.views)
        with screen.progress("features", len(views) * len(entries)) as bar:
            self._activations.fill(entries, views, bar)
        self._weight = label_weights(photos.probabilities, photos.labels).astype(np.float32)
        self._features = self._run(Classifier(backbone, self._names), np.arange(len(entries)), 0, features=True)

    def held_out_probabilities(
        self, held_out: NDArray[np.int64], train: NDArray[np.int64], epoch_done: Callable[[], None]
    ) -> NDArray[np.float64]:
        """Return the probabilities of the photos ``held_out``, by a network trained on the photos ``train``."""
        torch.manual_seed(SEED)
        photos, plan = self._photos, self._plan
        classifier = self._start(train)
        lr = plan.learning_rate(len(train))
        batches = ActivationBatches(
            self._activations,
            [photos.entries[i] for i in train],
            photos.labels[train],
            weight=self._weight[train],
            views=plan.views,
            first=FIRST_CROP,
            seed=SEED,
            batch_size=plan.batch_size,
            shuffle=True,
        )
        backbone = classifier.backbone
        with backbone.entered_at(backbone.halves(self._at)), faster_steps(backbone):
            trainer = fine_tuning_trainer(classifier, lr, precision=self._precision(classifier), device=self._device)
            trainer.fit(
                batches,
                epochs=plan.epochs,
                verbose=0,
                callbacks=[WarmupCosine(warmup=WARM_UP), LambdaCallback(on_epoch_end=lambda *_: epoch_done())],
            )
        logits = [self._run(classifier.eval(), held_out, view, features=False) for view in REVIEWED_VIEWS]
        return np.asarray(np.mean([softmax(rows.astype(np.float64)) for rows in logits], axis=0))

    def _precision(self, classifier: Classifier) -> Precision:
        """Return the precision of training steps; call it while the network is entered at the cut point."""
        if self._device.type != "cpu" or not has_bf16():
            return "fp32"
        return precision_for(bf16_gain(self._backbone.spec.name, classifier, self._plan.batch_size))

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(str(k) for k in range(self._photos.probabilities.shape[1]))

    def _start(self, train: NDArray[np.int64]) -> Classifier:
        """Return the pretrained network, to be trained, with the probe of the photos ``train`` as its head."""
        photos = self._photos
        probe = fit_probe(
            self._features[train],
            photos.labels[train],
            classes=len(self._names),
            groups=[photos.units[i] for i in train],
            keys=[photos.entries[i].content for i in train],
            nested=False,
        )
        classifier = Classifier(self._backbone, self._names)
        classifier.set_head(torch.from_numpy(np.array(probe.weight)), torch.from_numpy(np.array(probe.bias)))
        classifier.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        classifier.unfreeze(self._plan.unfreeze)
        return classifier

    @torch.inference_mode()
    def _run(
        self, classifier: Classifier, rows: NDArray[np.int64], view: int, *, features: bool
    ) -> NDArray[np.float32]:
        """Return the features, shape (n, D), or the logits, shape (n, k), of a view of some photos."""
        classifier.to(self._device)
        halves = classifier.backbone.halves(self._at)
        batches = ActivationBatches(
            self._activations,
            [self._photos.entries[i] for i in rows],
            self._photos.labels[rows],
            first=view,
            batch_size=CHUNK,
        )
        module = classifier.backbone if features else classifier
        with classifier.backbone.entered_at(halves):
            outputs = [module(x.to(self._device)).float().flatten(1).cpu().numpy() for x, *_ in batches.epoch(0)]
        return np.concatenate(outputs)
