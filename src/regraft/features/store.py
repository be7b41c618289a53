"""Where features are kept, by what they depend on."""

from __future__ import annotations

import hashlib
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

FeatureKey: TypeAlias = str
"""64 hexadecimal digits; see `feature_key`."""


def feature_key(
    content: str, preprocessing_id: str, view: str, weights_hash: str, cut: str, numerics: str
) -> FeatureKey:
    """Return the key of one photo's features: it changes with everything that can change a bit of them.

    Args:
        content: SHA-256 of the photo's bytes.
        preprocessing_id: of the decoder and the preprocessing.
        view: which view of the photo, such as ``"plain"``.
        weights_hash: of all parameters and buffers of the network.
        cut: the network's name and the point in it where the features are taken.
        numerics: the engine's: how the arithmetic is done.
    """
    parts = (content, preprocessing_id, view, weights_hash, cut, numerics)
    return hashlib.sha256("".join(f"{len(part)}:{part}" for part in parts).encode()).hexdigest()


class FeatureStore(Protocol):
    """Keeps features by key. What it returns is not to be written to."""

    def get(self, key: FeatureKey) -> NDArray[np.float32] | None:
        """Return the features under ``key``, shape (D,), or None where there are none."""

    def put(self, key: FeatureKey, features: NDArray[np.float32]) -> None:
        """Keep ``features``, shape (D,), under ``key``."""


class MemoryStore:
    """Keeps features in memory as long as it lives itself."""

    def __init__(self) -> None:
        self._features: dict[FeatureKey, NDArray[np.float32]] = {}

    def __len__(self) -> int:
        return len(self._features)

    def get(self, key: FeatureKey) -> NDArray[np.float32] | None:
        """Return the features under ``key``, shape (D,), or None where there are none."""
        return self._features.get(key)

    def put(self, key: FeatureKey, features: NDArray[np.float32]) -> None:
        """Keep a copy of ``features``, shape (D,), under ``key``."""
        kept = np.array(features, dtype=np.float32)
        kept.flags.writeable = False
        self._features[key] = kept
