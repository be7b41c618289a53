"""Novelty of a photo: how unlike the training photos its features are; 1 is the limit of what is usual.

Features are divided by their length, because the length varies more within a folder than between folders. The novelty
is a Mahalanobis distance to the mean of the training photos: exact in the directions in which they vary most, with one
variance for all others (Tipping and Bishop 1999, "Probabilistic Principal Component Analysis",
https://doi.org/10.1111/1467-9868.00196; Lee et al. 2018, https://arxiv.org/abs/1807.03888). The limit comes from photos
that the distance was not fitted on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

NOVELTY = "novelty."
"""Prefix of the names of its tensors in files."""

DIRECTIONS = 32
"""Maximum number of directions."""

MIN_PHOTOS = 20
"""Minimum photos to fit the distance and its limit."""

MAX_PHOTOS = 1000
"""Photos to fit on; of more, an evenly spaced choice."""

LIMIT_DEVIATIONS = 2.1
"""Standard deviations of the logarithm of the distance above its mean at the limit: about 2 % of usual photos."""

_FOLDS = 5
_NAMES = ("mean", "directions", "variances")


@dataclass(frozen=True)
class FeatureNovelty:
    """The distance to the training photos, and its limit.

    Attributes:
        mean: mean of the features of length 1, shape (D,), float32.
        directions: orthonormal directions, shape (r, D), float32.
        variances: variance along each direction, that of all others, and the limit, shape (r + 2,), float32.
    """

    mean: NDArray[np.float32]
    directions: NDArray[np.float32]
    variances: NDArray[np.float32]

    def of(self, features: NDArray[np.float32]) -> float:
        """Return the novelty of one photo from its features, shape (D,): above 1 it is unlike the training photos."""
        return float(self._distances(features[None])[0]) / float(self.variances[-1])

    def _distances(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        offset = unit_vectors(features) - self.mean
        along = offset @ self.directions.T.astype(np.float64)
        rest = np.maximum(np.square(offset).sum(axis=1) - np.square(along).sum(axis=1), 0)
        return np.asarray((np.square(along) / self.variances[:-2]).sum(axis=1) + rest / self.variances[-2])

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the values for a file, by name."""
        import torch

        return {name: torch.from_numpy(np.array(getattr(self, name), dtype=np.float32)) for name in _NAMES}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, torch.Tensor], features: int) -> FeatureNovelty:
        """Return the novelty from the result of `tensors`; errors are those of `from_arrays`."""
        return cls.from_arrays({name: tensor.float().numpy() for name, tensor in tensors.items()}, features)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.float32]], features: int) -> FeatureNovelty:
        """Return the novelty from the values in a file, by name.

        Raises:
            ValueError: an array is missing or unexpected, or has another shape or impossible values.
        """
        if sorted(arrays) != sorted(_NAMES):
            raise ValueError(f"expected {', '.join(_NAMES)}, found {', '.join(sorted(arrays))}")
        mean, directions, variances = (arrays[name] for name in _NAMES)
        rank = len(directions)
        if mean.shape != (features,) or directions.shape != (rank, features) or variances.shape != (rank + 2,):
            raise ValueError(f"its shapes do not match {features:,} features")
        if not np.isfinite(mean).all() or not np.isfinite(directions).all() or not (variances > 0).all():
            raise ValueError("expected finite numbers, and variances and a limit above 0")
        return cls(mean, directions, variances)


def fit_novelty(features: NDArray[np.float32], held_out: NDArray[np.float32] | None = None) -> FeatureNovelty | None:
    """Return the novelty for the features of training photos, or None for fewer than `MIN_PHOTOS`.

    Args:
        features: shape (n, D).
        held_out: features of photos that the network was not trained on, shape (m, D), for the limit. If None, the
            network is a frozen one, and the limit comes from cross-validation.
    """
    chosen = _evenly(features)
    if len(chosen) < MIN_PHOTOS:
        return None
    if held_out is not None and len(held_out) >= MIN_PHOTOS:
        distances = _fitted(chosen)._distances(held_out)
    else:
        folds = [np.arange(len(chosen)) % _FOLDS == fold for fold in range(_FOLDS)]
        distances = np.concatenate([_fitted(chosen[~fold])._distances(chosen[fold]) for fold in folds])
    logs = np.log(np.maximum(distances, 1e-12))
    limit = np.exp(logs.mean() + LIMIT_DEVIATIONS * logs.std())
    return _fitted(chosen, limit)


def mean_novelty(values: Sequence[NDArray[np.float64]]) -> NDArray[np.float64] | None:
    """Return the mean over the members of an ensemble of the novelty of photos, shape (n,); None without any."""
    return np.asarray(np.mean(values, axis=0)) if values else None


def _fitted(features: NDArray[np.float32], limit: float = 1.0) -> FeatureNovelty:
    unit = unit_vectors(features)
    mean = unit.mean(axis=0)
    centered = unit - mean
    n, size = centered.shape
    directions = _main_directions(centered, min(DIRECTIONS, n // 4, size - 1))
    variances = np.square(centered @ directions.T).mean(axis=0)
    left = max(np.square(centered).sum() / n - variances.sum(), 1e-9) / max(1, size - len(directions))
    floor = max(left, 1e-12)
    values = np.array([*np.maximum(variances, floor), floor, limit], dtype=np.float32)
    return FeatureNovelty(mean.astype(np.float32), np.ascontiguousarray(directions, dtype=np.float32), values)


def _main_directions(centered: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return the directions of largest variance, shape (count, D), by subspace iteration from a fixed start.

    Halko, Martinsson and Tropp 2011, https://doi.org/10.1137/090771806, algorithm 4.4.
    """
    start = np.random.default_rng(0).normal(size=(centered.shape[1], min(count + 8, *centered.shape)))
    basis = np.linalg.qr(start)[0]
    for _ in range(5):
        basis = np.linalg.qr(centered.T @ (centered @ basis))[0]
    _, vectors = np.linalg.eigh((centered @ basis).T @ (centered @ basis))
    return np.asarray((basis @ vectors[:, ::-1][:, :count]).T)


def _evenly(features: NDArray[np.float32]) -> NDArray[np.float32]:
    if len(features) <= MAX_PHOTOS:
        return features
    return features[np.linspace(0, len(features) - 1, MAX_PHOTOS).round().astype(np.int64)]


def unit_vectors(features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the features of each photo divided by their length: (n, d) -> (n, d), float64."""
    values = features.astype(np.float64)
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12))
