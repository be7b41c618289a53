"""A trial of whole batches: whether photos have the same features at all places, and beside other photos.

It sees what changes many numbers, such as another order of adding. What changes few it may miss. So on a processor
torch is judged operation by operation (`places`), and other engines run batches only of networks that do nothing but
sums.

Invented photos, always the same, to try a network on before it sees a real one.
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
"""Different photos in a trial."""

MIN_TRIAL_BATCH = 4
"""Photos of a batch from which on each of two has several places in it."""


class TrialResult(NamedTuple):
    """What came out of one batch.

    Attributes:
        first: features of the first photo, shape (D,), float32.
        second: likewise of the second; None where a batch has no place for it.
        same: whether each photo had the same bits at all its places.
    """

    first: NDArray[np.float32]
    second: NDArray[np.float32] | None
    same: bool


def run_trial_batch(
    run: Callable[[T], object], photos: T, batch_size: int, which: Sequence[int] = (0, 1)
) -> TrialResult:
    """Run two photos many times in one batch, each at half of its places.

    They take turns as the Thue–Morse sequence does: each is in every half and every quarter, at even and at odd places,
    beside itself and beside the other.

    Args:
        run: gives the features of a batch, an array or a tensor of shape (batch_size, D), float32.
        photos: the first axis counts them.
        batch_size: of the batch.
        which: the two of them; the same number twice fills the batch with one.
    """
    kinds = trial_order(batch_size, which)
    found = np.asarray(run(photos[kinds]))
    rows = [row.tobytes() for row in found]
    same = all(row == rows[kinds.index(kind)] for row, kind in zip(rows, kinds, strict=True))
    return TrialResult(found[0], found[1] if batch_size > 1 else None, same)


def trial_order(batch_size: int, which: Sequence[int] = (0, 1)) -> list[int]:
    """Return which of two photos is at each place of a trial."""
    return [which[place.bit_count() % 2] for place in range(batch_size)]


def is_batch_invariant(run: Callable[[T], object], photos: T, batch_size: int) -> bool:
    """Return whether photos have the same bits at all places of a batch, in two batches that have one in common.

    Args:
        run: as for `run_trial_batch`.
        photos: `TRIAL_PHOTOS` of them; the first axis counts them.
        batch_size: of the batches.
    """
    one, other = (run_trial_batch(run, photos, batch_size, which) for which in ((0, 1), (2, 0)))
    if other.second is None:
        return True
    return one.same and other.same and one.first.tobytes() == other.second.tobytes()


_SCALES = (4, 32, 128)  # cells across: colours of large areas, of parts, of texture


def synthetic_photos(count: int, height: int, width: int) -> torch.Tensor:
    """Return ``count`` photos of noise on three scales, shape (count, 3, H, W), float32, as if normalised."""
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
