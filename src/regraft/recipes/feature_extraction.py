"""Feature extraction: the backbone frozen, a new head trained for epochs by gradient, as a lecture shows it.

The frozen network gives the same features in every epoch, so they are computed once and the epochs run on them. They
are standardised for the training of the head, and the standardisation is folded into it afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from regraft.data.manifest import Entry
from regraft.models.ledger import block_checksums, freeze_ledger
from regraft.randomness import permutation
from regraft.recipes.callbacks import callbacks_of, ended
from regraft.recipes.fine_tune import balanced_weights
from regraft.recipes.job import Job
from regraft.recipes.outcome import Outcome
from regraft.recipes.photos import gradient_parts
from regraft.recipes.probing import probe_classifier, solve_probe
from regraft.recipes.recorder import Recorder
from regraft.training import Trainer

EPOCHS = 30
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.01
BATCH_SIZE = 32


class FeatureBatches:
    """Batches of features in the computer's memory, in an order that depends on the seed and the epoch alone."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor, batch_size: int, seed: int | None) -> None:
        self._x, self._y, self._batch_size, self._seed = x, y, batch_size, seed

    def __len__(self) -> int:
        return math.ceil(len(self._y) / self._batch_size)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield batches ``start``, ``start + 1`` … of ``epoch``: features (B, D) float32 and labels (B,) int64."""
        n = len(self._y)
        order = np.arange(n) if self._seed is None else permutation(n, "order", self._seed, epoch)
        for first in range(start * self._batch_size, n, self._batch_size):
            chosen = torch.from_numpy(order[first : first + self._batch_size])
            yield self._x[chosen], self._y[chosen]


def run(job: Job) -> Outcome:
    """Train a head on the frozen features, and keep the epoch that is best on the validation part."""
    parts = gradient_parts(job.photos, job.config)
    seen = parts.seen
    probe = solve_probe(job, seen, nested=True)
    features = job.features(parts.train)
    mean, scale = _standardisation(features)
    config = job.config
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

    def batches(entries: Sequence[Entry], values: NDArray[np.float32], seed: int | None) -> FeatureBatches:
        x = torch.from_numpy((values - mean) / scale)
        return FeatureBatches(x, torch.from_numpy(job.photos.labels(entries)), batch_size, seed)

    chosen = parts.choose
    with job.screen.progress("head", epochs * len(parts.train)) as bar:
        recorder = Recorder(job, "head", bar, batch_size, len(parts.train))
        callbacks = callbacks_of(job, chosen, epochs=epochs, warmup=0.0, recipes=[recorder])
        history = trainer.fit(
            batches(parts.train, features, config.seed),
            epochs=epochs,
            validation_data=batches(chosen, job.features(chosen), None) if chosen else None,
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
    return Outcome(
        chosen="feature-extraction",
        classifier=classifier,
        parts=parts,
        probe=probe,
        cross_validated=probe,
        folded=seen,
        headline_out_of_fold=False,
        freeze=freeze_ledger(classifier, before, {"head": lr}),
        said={"trained": "head", "learning_rate": lr, **ended(job, "head", history, callbacks, epochs)},
    )


def _standardisation(features: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    scale = features.std(axis=0, dtype=np.float64)
    scale[scale < 1e-6] = 1.0
    return features.mean(axis=0, dtype=np.float64).astype(np.float32), scale.astype(np.float32)
