"""Whether a photo's place in a batch, or what is beside it, changes a bit of its features: it is tried."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch

from regraft.data.threads import in_order

T = TypeVar("T", torch.Tensor, "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]")

KINDS = 3
"""Different photos in a trial batch."""


def place_does_not_matter(run: Callable[[T], object], photos: T, batch_size: int, *, streams: int = 1) -> bool:
    """Run the same photos at all places, beside others, and compare their features to the bit.

    Args:
        run: gives the features of a batch, an array or a tensor of shape (batch_size, D), float32.
        photos: `KINDS` of them at most; the first axis counts them.
        batch_size: of the batches.
        streams: batches that may be run at once.
    """
    kinds = min(KINDS, batch_size, len(photos))
    trials = [[(place + shift) % kinds for place in range(batch_size)] for shift in range(2)]
    batches = (photos[which] for which in trials)
    found = in_order(run, batches, workers=streams if streams > 1 else 0, ahead=2)
    seen: dict[int, bytes] = {}
    for which, values in zip(trials, found, strict=True):
        for kind, features in zip(which, np.asarray(values), strict=True):
            if seen.setdefault(kind, features.tobytes()) != features.tobytes():
                return False
    return True
