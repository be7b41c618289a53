"""Batches of frozen features, for a head that is trained on them by gradient."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from regraft.features.activations import view_in_epoch
from regraft.randomness import permutation

Scaling = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Mean and standard deviation of each feature, shape (D,)."""


class FeatureBatches:
    """Batches of standardized features, in an order that depends only on the seed and the epoch.

    Each photo goes through its views in turn from epoch to epoch, as in `regraft.features.activations`.

    Args:
        views: features of each view, shape (n, D), float32.
        labels: class of each photo, shape (n,).
        contents: content hash of each photo, which decides its first view.
        scaling: mean and standard deviation of each feature, shape (D,).
        batch_size: photos in a batch.
        seed: seed of the order; None for the order of ``labels``.
    """

    def __init__(
        self,
        views: Sequence[NDArray[np.float32]],
        labels: NDArray[np.int64],
        contents: Sequence[str],
        scaling: Scaling,
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


def standardization(features: NDArray[np.float32]) -> Scaling:
    """Return the mean and the standard deviation of each feature; a constant feature has deviation 1."""
    scale = features.std(axis=0, dtype=np.float64)
    scale[scale < 1e-6] = 1.0
    return features.mean(axis=0, dtype=np.float64).astype(np.float32), scale.astype(np.float32)
