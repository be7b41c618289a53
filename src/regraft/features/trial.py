"""Whether a photo's place in a batch, or what is beside it, changes a bit of its features: it is tried."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch

T = TypeVar("T", torch.Tensor, "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]")

KINDS = 3
"""Different photos in a trial batch."""


def place_does_not_matter(run: Callable[[T], object], photos: T, batch_size: int) -> bool:
    """Run the same photos at all places, beside others, and compare their features to the bit.

    Args:
        run: gives the features of a batch, an array or a tensor of shape (batch_size, D), float32.
        photos: `KINDS` of them at most; the first axis counts them.
        batch_size: of the batches.
    """
    kinds = min(KINDS, batch_size, len(photos))
    seen: dict[int, bytes] = {}
    for shift in range(2):
        which = [(place + shift) % kinds for place in range(batch_size)]
        for kind, features in zip(which, np.asarray(run(photos[which])), strict=True):
            if seen.setdefault(kind, features.tobytes()) != features.tobytes():
                return False
    return True
