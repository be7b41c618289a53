"""Feature extraction: the backbone frozen, a new head trained for epochs by gradient, as a lecture shows it.

The frozen network gives the same features in every epoch, so they are computed once, of several views of each photo,
and the epochs run on them: augmentation at the price of a pass for each view. They are standardised for the training of
the head, and the standardisation is folded into it afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from regraft.context.dataset import gradient_parts
from regraft.context.run_context import Job
from regraft.data.manifest import Entry
from regraft.features.activations import view_in_epoch
from regraft.models.freeze_ledger import block_checksums, freeze_ledger
from regraft.randomness import permutation
from regraft.recipes.fine_tune import balanced_weights
from regraft.recipes.result import Outcome
from regraft.recipes.steps.epoch_callbacks import Recorder, callbacks_of, ended
from regraft.recipes.steps.solve_probe import probe_classifier, solve_probe
from regraft.training import Trainer

EPOCHS = 30
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.01
BATCH_SIZE = 32
VIEWS = 4
"""Of each photo that the head is trained on: one pass each, ever."""


class FeatureBatches:
    """Batches of standardised features, in an order that depends on the seed and the epoch alone.

    Each photo goes through its views in turn from epoch to epoch, as in `regraft.features.activations`.

    Args:
        views: features of each view, shape (n, D), float32.
        labels: class of each photo, shape (n,).
        contents: content hash of each photo, which says with which view it begins.
        scaling: mean and deviation of each feature, shape (D,).
        batch_size: photos in a batch.
        seed: of the order; None for the order as it is.
    """

    def __init__(
        self,
        views: Sequence[NDArray[np.float32]],
        labels: NDArray[np.int64],
        contents: Sequence[str],
        scaling: tuple[NDArray[np.float32], NDArray[np.float32]],
        batch_size: int,
        seed: int | None,
    ) -> None:
        self._views, self._labels, self._contents = views, labels, contents
        self._mean, self._scale = scaling
        self._batch_size, self._seed = batch_size, seed

    def __len__(self) -> int:
        return math.ceil(len(self._labels) / self._batch_size)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield batches ``start``, ``start + 1`` … of ``epoch``: features (B, D) float32 and labels (B,) int64."""
        n = len(self._labels)
        order = np.arange(n) if self._seed is None else permutation(n, "order", self._seed, epoch)
        for first in range(start * self._batch_size, n, self._batch_size):
            chosen = order[first : first + self._batch_size]
            x = (self._rows(chosen, epoch) - self._mean) / self._scale
            yield torch.from_numpy(x), torch.from_numpy(self._labels[chosen])

    def _rows(self, chosen: NDArray[np.int64], epoch: int) -> NDArray[np.float32]:
        shown = np.array([view_in_epoch(self._contents[i], epoch, len(self._views)) for i in chosen.tolist()])
        rows = np.array(self._views[0][chosen])
        for view in range(1, len(self._views)):
            rows[shown == view] = self._views[view][chosen[shown == view]]
        return rows


def run(job: Job) -> Outcome:
    """Train a head on the frozen features, and keep the epoch that is best on the validation part."""
    parts = gradient_parts(job.photos, job.config)
    seen = parts.seen
    probe = solve_probe(job, seen, nested=True)
    config = job.config
    number = VIEWS if config.views is None else config.views
    views = [job.features(parts.train, view) for view in range(number)]
    features = views[0]
    mean, scale = scaling = _standardisation(features)
    epochs, batch_size = config.epochs or EPOCHS, config.batch_size or BATCH_SIZE
    torch.manual_seed(config.seed)
    head = torch.nn.Linear(features.shape[1], len(job.photos.classes))
    torch.nn.init.zeros_(head.weight)
    torch.nn.init.zeros_(head.bias)
    lr = config.lr or LEARNING_RATE
    trainer = Trainer(
        head,
        optimizer=torch.optim.AdamW(head.parameters(), lr=lr, weight_decay=WEIGHT_DECAY),
        loss="cross_entropy",
        metrics=["accuracy"],
        device="cpu",
        screen=job.screen,
    )

    def batches(entries: Sequence[Entry], views: Sequence[NDArray[np.float32]], seed: int | None) -> FeatureBatches:
        contents = [entry.content for entry in entries]
        return FeatureBatches(views, job.photos.labels(entries), contents, scaling, batch_size, seed)

    chosen = parts.choose
    with job.screen.progress("head", epochs * len(parts.train)) as bar:
        recorder = Recorder(job, "head", bar, batch_size, len(parts.train))
        callbacks = callbacks_of(job, chosen, epochs=epochs, warmup=0.0, recipes=[recorder])
        history = trainer.fit(
            batches(parts.train, views, config.seed),
            epochs=epochs,
            validation_data=batches(chosen, [job.features(chosen)], None) if chosen else None,
            class_weight=balanced_weights(job, parts.train),
            verbose=0,
            callbacks=callbacks,
            resume=job.snapshots("head"),
        )
    classifier = probe_classifier(job, probe)
    before = block_checksums(classifier)
    weight = head.weight.detach().cpu().numpy().astype(np.float64) / scale
    bias = head.bias.detach().cpu().numpy().astype(np.float64) - weight @ mean.astype(np.float64)
    classifier.set_head(torch.from_numpy(weight), torch.from_numpy(bias))
    end = ended(job, "head", history, callbacks, epochs)
    return Outcome(
        chosen="feature-extraction",
        classifier=classifier,
        parts=parts,
        probe=probe,
        cross_validated=probe,
        folded=seen,
        headline_out_of_fold=False,
        freeze=freeze_ledger(classifier, before, {"head": lr}),
        said={"trained": "head", "views": number, "learning_rate": lr, **end},
    )


def _standardisation(features: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    scale = features.std(axis=0, dtype=np.float64)
    scale[scale < 1e-6] = 1.0
    return features.mean(axis=0, dtype=np.float64).astype(np.float32), scale.astype(np.float32)
