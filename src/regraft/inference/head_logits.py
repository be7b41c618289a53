"""The head of a classifier on the features of its network, computed by numpy for one photo at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regraft.models.feature_novelty import FeatureNovelty


@dataclass(frozen=True)
class HeadLogits:
    """The logits of one classifier from the features of its network.

    Attributes:
        weight: weights of the head, shape (C, D), float64.
        bias: its bias, shape (C,), float64.
        bounds: lowest and highest value of each feature, shape (D,) and (D,), float32; None without bounds.
        feature_novelty: how unlike the training photos features are; None if it is not known.
        member: number of the classifier in the ensemble.
        start: column of its first feature among the features of the pass.
    """

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    bounds: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None
    feature_novelty: FeatureNovelty | None = None
    member: int = 0
    start: int = 0

    @property
    def _columns(self) -> slice:
        return slice(self.start, self.start + self.weight.shape[1])

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the logits for features: shape (n, D) to shape (n, C). One photo at a time, so that bits are equal."""
        logits = np.empty((len(features), len(self.bias)))
        for row, values in enumerate(features):
            feature = values[self._columns]
            clipped = feature if self.bounds is None else np.clip(feature, *self.bounds)
            logits[row] = self.weight @ clipped.astype(np.float64) + self.bias
        return logits

    def novelty(self, features: NDArray[np.float32]) -> NDArray[np.float64] | None:
        """Return how unlike the training photos features are: shape (n, D) to shape (n,); None if it is not known."""
        if self.feature_novelty is None:
            return None
        return np.array([self.feature_novelty.of(row[self._columns]) for row in features], dtype=np.float64)
