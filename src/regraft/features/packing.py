"""Features as bytes that tell whether they are still what was kept, and whose they are."""

from __future__ import annotations

import hashlib
import struct
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Numbers: TypeAlias = NDArray[np.floating[Any]]

_DTYPES: dict[bytes, np.dtype[np.floating[Any]]] = {b"f": np.dtype("<f4"), b"e": np.dtype("<f2")}
_CODES = {dtype: code for code, dtype in _DTYPES.items()}
_DIGEST = 16
_MOST_DIMENSIONS = 8


def pack(key: bytes, numbers: Numbers) -> bytes:
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


def unpack(key: bytes, data: object) -> Numbers | None:
    """Return what `pack` was given for ``key``, not to be written to, or None where a bit of it is not as it was."""
    if not isinstance(data, bytes) or data[:_DIGEST] != _digest(key, memoryview(data)[_DIGEST:]):
        return None
    try:
        code, dimensions = struct.unpack_from("<cB", data, _DIGEST)
        shape = struct.unpack_from(f"<{min(dimensions, _MOST_DIMENSIONS)}I", data, _DIGEST + 2)
        start = _DIGEST + 2 + 4 * len(shape)
        numbers: Numbers = np.frombuffer(data, dtype=_DTYPES[code], offset=start).reshape(shape)
        return numbers
    except (struct.error, ValueError, KeyError):
        return None


def _digest(key: bytes, body: bytes | memoryview) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST, key=key[:64]).digest()
