"""Feature stores: keys that name everything a feature depends on, and a byte format that detects damage."""

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
        preprocessing_id: ID of the decoder and the preprocessing.
        view: name of the view of the photo, such as ``"plain"``.
        weights_hash: SHA-256 of all parameters and buffers of the network.
        cut: name of the network and the point in it where the features are taken.
        numerics: numerics of the engine.
    """
    parts = (content, preprocessing_id, view, weights_hash, cut, numerics)
    return hashlib.sha256("".join(f"{len(part)}:{part}" for part in parts).encode()).hexdigest()


class FeatureStore(Protocol):
    """Interface of feature stores: float32 or float16 arrays of any shape, by key. Returned arrays are read-only."""

    def get(self, key: FeatureKey) -> FeatureArray | None:
        """Return the features stored under ``key``, or None."""

    def get_many(self, keys: Sequence[FeatureKey]) -> Iterator[tuple[int, FeatureArray]]:
        """Yield (position in ``keys``, features) for stored keys, in any order; only a few are in memory at a time."""

    def missing(self, keys: Sequence[FeatureKey]) -> list[int]:
        """Return the positions in ``keys`` that are not stored; this reads keys only."""

    def put(self, key: FeatureKey, features: FeatureArray, kind: str = "") -> None:
        """Store ``features`` under ``key``; ``kind`` describes them for people."""

    def put_many(self, items: Iterable[tuple[FeatureKey, FeatureArray]], kind: str = "") -> None:
        """Store several entries."""


class MemoryStore:
    """Feature store in memory."""

    def __init__(self) -> None:
        self._features: dict[FeatureKey, FeatureArray] = {}

    def __len__(self) -> int:
        return len(self._features)

    def get(self, key: FeatureKey) -> FeatureArray | None:
        """Return the features stored under ``key``, or None."""
        return self._features.get(key)

    def get_many(self, keys: Sequence[FeatureKey]) -> Iterator[tuple[int, FeatureArray]]:
        """Yield (position in ``keys``, features) for stored keys."""
        for position, key in enumerate(keys):
            if key in self._features:
                yield position, self._features[key]

    def missing(self, keys: Sequence[FeatureKey]) -> list[int]:
        """Return the positions in ``keys`` that are not stored."""
        return [position for position, key in enumerate(keys) if key not in self._features]

    def put(self, key: FeatureKey, features: FeatureArray, kind: str = "") -> None:
        """Store a copy of ``features`` under ``key``."""
        copied = np.array(features)
        copied.flags.writeable = False
        self._features[key] = copied

    def put_many(self, items: Iterable[tuple[FeatureKey, FeatureArray]], kind: str = "") -> None:
        """Store a copy of each entry."""
        for key, features in items:
            self.put(key, features, kind)


FeatureArray: TypeAlias = NDArray[np.floating[Any]]

_DTYPES: dict[bytes, np.dtype[Any]] = {b"f": np.dtype("<f4"), b"e": np.dtype("<f2"), b"B": np.dtype("u1")}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}
_DIGEST = 16
_MAX_DIMENSIONS = 8


def pack(key: bytes, numbers: FeatureArray) -> bytes:
    """Return ``numbers``, any shape, float32, float16 or uint8, as bytes: digest, dtype, shape and numbers.

    Raises:
        TypeError: the dtype is another one.
    """
    dtype = numbers.dtype.newbyteorder("<")
    if dtype not in _CODES:
        raise TypeError(f"expected float32, float16 or uint8, found {numbers.dtype}")
    head = struct.pack(f"<cB{numbers.ndim}I", _CODES[dtype], numbers.ndim, *numbers.shape)
    body = head + np.ascontiguousarray(numbers, dtype=dtype).tobytes()
    return _digest(key, body) + body


def unpack(key: bytes, data: object) -> FeatureArray | None:
    """Return the read-only array that was packed for ``key``, or None if a bit of ``data`` has changed."""
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
