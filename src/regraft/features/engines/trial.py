"""Trial batches of synthetic photos: features must be the same at every place and with any other photos.

A comparison of whole batches detects changes to many numbers, such as another order of addition, but may miss changes
to a few. So torch on the CPU is also checked operation by operation (`batch_invariance`), and other engines run batches
only of networks that consist of sums and exact operations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from regraft.randomness import generator

T = TypeVar("T", torch.Tensor, "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]")

TRIAL_PHOTOS = 3
"""Number of different photos in a trial."""

MIN_TRIAL_BATCH = 4
"""Minimum batch size at which each of two photos has several places."""


class TrialResult(NamedTuple):
    """Result of one trial batch.

    Attributes:
        first: features of the first photo, shape (D,), float32.
        second: features of the second photo; None if the batch has one place only.
        same: whether each photo had the same bits at all its places.
    """

    first: NDArray[np.float32]
    second: NDArray[np.float32] | None
    same: bool


def run_trial_batch(
    run: Callable[[T], object], photos: T, batch_size: int, which: Sequence[int] = (0, 1)
) -> TrialResult:
    """Run one batch in which two photos fill half of the places each.

    They follow the Thue–Morse sequence: each photo is in every half and every quarter, at even and at odd places, next
    to itself and next to the other.

    Args:
        run: returns the features of a batch, an array or a tensor of shape (batch_size, D), float32.
        photos: candidate photos, along the first axis.
        batch_size: photos in the batch.
        which: indices of the two photos; the same index twice fills the batch with one photo.
    """
    kinds = trial_order(batch_size, which)
    features = np.asarray(run(photos[kinds]))
    rows = [row.tobytes() for row in features]
    same = all(row == rows[kinds.index(kind)] for row, kind in zip(rows, kinds, strict=True))
    return TrialResult(features[0], features[1] if batch_size > 1 else None, same)


def trial_order(batch_size: int, which: Sequence[int] = (0, 1)) -> list[int]:
    """Return the index of the photo at each place of a trial batch."""
    return [which[place.bit_count() % 2] for place in range(batch_size)]


def is_batch_invariant(run: Callable[[T], object], photos: T, batch_size: int) -> bool:
    """Return whether photos have the same bits at all places of two batches that share one photo.

    Args:
        run: as for `run_trial_batch`.
        photos: `TRIAL_PHOTOS` photos along the first axis.
        batch_size: photos in the batches.
    """
    one, other = (run_trial_batch(run, photos, batch_size, which) for which in ((0, 1), (2, 0)))
    if other.second is None:
        return True
    return one.same and other.same and one.first.tobytes() == other.second.tobytes()


_SCALES = (4, 32, 128)  # cells per side: large areas, parts, texture


def synthetic_photos(count: int, height: int, width: int) -> torch.Tensor:
    """Return ``count`` photos of noise on three scales, shape (count, 3, H, W), float32, as if normalized."""
    photos = [_photo(i, height, width) for i in range(count)]
    return torch.stack(photos).contiguous(memory_format=torch.channels_last)


@lru_cache(maxsize=4)
def _photo(number: int, height: int, width: int) -> torch.Tensor:
    draw = generator("invented photo", number, height, width)
    x = torch.zeros(1, 3, height, width)
    for cells in _SCALES:
        coarse = torch.from_numpy(draw.standard_normal((1, 3, cells, cells), dtype="float32"))
        x += torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")
    return x[0]
