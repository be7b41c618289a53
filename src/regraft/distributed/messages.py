"""Values as bytes for other processes of the same training, which run the same code.

Tensors are written as their bytes: torch's own way of pickling them copies them twice, and fails for some.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import torch
from torch import Tensor

FIRST = 4096
"""Bytes of a message that are sent at once, with its length; most messages are shorter."""

_LENGTH = 8  # bytes of the length


class _Pickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        """Return the way to rebuild a tensor; anything else is pickled as usual."""
        if not isinstance(value, Tensor):
            return NotImplemented
        own = value.detach().cpu().contiguous()
        return _tensor, (own.reshape(-1).view(torch.uint8).numpy().tobytes(), own.dtype, tuple(own.shape))


def _tensor(content: bytes, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    if not content:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(bytearray(content), dtype=torch.uint8).view(dtype).view(shape)


def packed(value: Any) -> Tensor:
    """Return ``value`` as bytes behind their length, of shape (n,), uint8, at least `FIRST` of them."""
    out = io.BytesIO()
    out.write(bytes(_LENGTH))
    _Pickler(out, pickle.HIGHEST_PROTOCOL).dump(value)
    length = out.tell()
    out.write(bytes(max(0, FIRST - length)))
    content = bytearray(out.getbuffer())
    content[:_LENGTH] = length.to_bytes(_LENGTH, "little")
    return torch.frombuffer(content, dtype=torch.uint8)


def length_of(message: Tensor) -> int:
    """Return the number of bytes of a message whose first bytes are ``message``."""
    return int.from_bytes(message[:_LENGTH].numpy().tobytes(), "little")


def unpacked(message: Tensor) -> Any:
    """Return the value of a message; it may be followed by other bytes."""
    content: Any = message.numpy()
    return pickle.loads(memoryview(content)[_LENGTH : length_of(message)])  # noqa: S301  (from another process of this training)
