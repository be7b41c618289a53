"""Memory for batches that is used again, so that a long run needs no more of it than a short one.

A batch takes tens of megabytes. Where each is allocated anew, small things settle in the holes that freed ones leave,
the next does not fit there, and the process grows by several batches over thousands of photos.
"""

from __future__ import annotations

import math
import sys
import threading
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

_KEPT = 2  # a consumer holds one batch while the next is made
_UNUSED = 3  # references to a buffer that nobody uses: the list, the loop, the call that counts
_ALIGNED = 64

_buffers: list[NDArray[np.uint8]] = []
_lock = threading.Lock()


def batch_of(shape: tuple[int, ...]) -> torch.Tensor:
    """Return a float32 tensor of ``shape`` with any values in it, in memory that no other live tensor uses.

    The memory is taken again once nothing refers to it any more: ``torch.from_numpy`` holds its array as long as any
    tensor lives in it, and an array holds the one that owns its memory.
    """
    import torch

    wanted = 4 * math.prod(shape)
    with _lock:
        buffer = _unused(wanted)
        if buffer is None:
            buffer = np.empty(wanted + _ALIGNED, dtype=np.uint8)
            _buffers[:] = [*_buffers, buffer][-_KEPT:]
        start = -buffer.ctypes.data % _ALIGNED
        return torch.from_numpy(buffer[start : start + wanted].view(np.float32).reshape(shape))


def _unused(wanted: int) -> NDArray[np.uint8] | None:
    """Return a buffer that is free and large enough, yet not so large that a small batch would pin it."""
    for buffer in _buffers:
        if wanted <= buffer.nbytes - _ALIGNED <= 2 * wanted and sys.getrefcount(buffer) <= _UNUSED:
            return buffer
    return None
