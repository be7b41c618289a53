"""Where features are kept, by what they depend on.

Features as bytes that tell whether they are still what was kept, and whose they are.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeAlias

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
    """Keeps features by key: float32 or float16, of any shape. What it returns is not to be written to."""

    def get(self, key: FeatureKey) -> FeatureArray | None:
        """Return the features under ``key``, or None where there are none."""

    def get_many(self, keys: Sequence[FeatureKey]) -> Iterator[tuple[int, FeatureArray]]:
        """Yield (position in ``keys``, features) for those that are there, in any order, few at a time in memory."""

    def missing(self, keys: Sequence[FeatureKey]) -> list[int]:
        """Return the positions in ``keys`` of those that are not there; nothing is read but the keys."""

    def put(self, key: FeatureKey, features: FeatureArray, kind: str = "") -> None:
        """Keep ``features`` under ``key``; ``kind`` says to people of what and how they were computed."""

    def put_many(self, items: Iterable[tuple[FeatureKey, FeatureArray]], kind: str = "") -> None:
        """Keep several at once."""


class MemoryStore:
    """Keeps features in memory as long as it lives itself."""

    def __init__(self) -> None:
        self._features: dict[FeatureKey, FeatureArray] = {}

    def __len__(self) -> int:
        return len(self._features)

    def get(self, key: FeatureKey) -> FeatureArray | None:
        """Return the features under ``key``, or None where there are none."""
        return self._features.get(key)

    def get_many(self, keys: Sequence[FeatureKey]) -> Iterator[tuple[int, FeatureArray]]:
        """Yield (position in ``keys``, features) for those that are there."""
        for position, key in enumerate(keys):
            if key in self._features:
                yield position, self._features[key]

    def missing(self, keys: Sequence[FeatureKey]) -> list[int]:
        """Return the positions in ``keys`` of those that are not there."""
        return [position for position, key in enumerate(keys) if key not in self._features]

    def put(self, key: FeatureKey, features: FeatureArray, kind: str = "") -> None:
        """Keep a copy of ``features`` under ``key``."""
        kept = np.array(features)
        kept.flags.writeable = False
        self._features[key] = kept

    def put_many(self, items: Iterable[tuple[FeatureKey, FeatureArray]], kind: str = "") -> None:
        """Keep a copy of each."""
        for key, features in items:
            self.put(key, features, kind)


FeatureArray: TypeAlias = NDArray[np.floating[Any]]

_DTYPES: dict[bytes, np.dtype[np.floating[Any]]] = {b"f": np.dtype("<f4"), b"e": np.dtype("<f2")}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}
_DIGEST = 16
_MAX_DIMENSIONS = 8


def pack(key: bytes, numbers: FeatureArray) -> bytes:
    """Return ``numbers``, any shape, float32 or float16, as bytes: a digest, dtype and shape, then the numbers.

    Raises:
        TypeError: they are of another dtype.
    """
    dtype = numbers.dtype.newbyteorder("<")
    if dtype not in _CODES:
        raise TypeError(f"only float32 and float16 are kept, not {numbers.dtype}")
    head = struct.pack(f"<cB{numbers.ndim}I", _CODES[dtype], numbers.ndim, *numbers.shape)
    body = head + np.ascontiguousarray(numbers, dtype=dtype).tobytes()
    return _digest(key, body) + body


def unpack(key: bytes, data: object) -> FeatureArray | None:
    """Return what `pack` was given for ``key``, not to be written to, or None where a bit of it is not as it was."""
    if not isinstance(data, bytes) or data[:_DIGEST] != _digest(key, memoryview(data)[_DIGEST:]):
        return None
    try:
        code, dimensions = struct.unpack_from("<cB", data, _DIGEST)
        shape = struct.unpack_from(f"<{min(dimensions, _MAX_DIMENSIONS)}I", data, _DIGEST + 2)
        start = _DIGEST + 2 + 4 * len(shape)
        numbers: FeatureArray = np.frombuffer(data, dtype=_DTYPES[code], offset=start).reshape(shape)
        return numbers
    except (struct.error, ValueError, KeyError):
        return None


def _digest(key: bytes, body: bytes | memoryview) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST, key=key[:64]).digest()
