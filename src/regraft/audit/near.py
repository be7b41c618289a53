"""Pairs of photos that show the same picture, or nearly: sought by their features, proved by their pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regraft.audit.alignment import FINE, Aligned, align
from regraft.audit.coarse import Greys, look_roughly
from regraft.audit.neighbours import Neighbours
from regraft.data.threads import in_order, workers_or_default
from regraft.features.one_thread import ONE_THREAD

NEIGHBOURS = 10
"""Candidates for every photo. Of near-copies of real photos, 99 % are among the first ten."""

LIKELY = 0.6
"""Likeness at 16 pixels from which a pair is aligned; the least of 630 near-copies had 0.66."""

DOUBTFUL, SURE = 0.84, 0.975
"""Fit at 64 pixels from which a pair is looked at again at 128, and from which that is not needed."""

SAME = 0.88
"""Fit at 128 pixels that proves a pair; the least of 630 near-copies had 0.92, the best of strangers 0.87."""

FINE_SIDE = FINE[-1].side

VERSION = "near2"
"""Changes whenever the same photos may give other pairs."""

_AT_ONCE = 256
_A_FEW, _AHEAD = 64, 32
"""Pairs that are aligned on one thread, several such parts at once: their images are too small for threads to share."""


@dataclass(frozen=True)
class Near:
    """Pairs of photos that show the same picture.

    Attributes:
        pairs: positions, the smaller first, shape (m, 2), int64, in order.
        fit: how well they fit, in [-1, 1], shape (m,), float32.
    """

    pairs: NDArray[np.int64]
    fit: NDArray[np.float32]


NEAR_NONE = Near(np.zeros((0, 2), dtype=np.int64), np.zeros(0, dtype=np.float32))


def near_pairs(
    neighbours: Neighbours,
    grey: Greys,
    fine: Callable[[Sequence[int]], NDArray[np.uint8]],
    *,
    workers: int | None = None,
) -> Near:
    """Return the pairs of photos that show the same picture.

    Args:
        neighbours: of every photo by its features.
        grey: the photos, shape (n, 64, 64), uint8.
        fine: gives the photos at some positions, larger: shape (len, 128, 128), uint8.
        workers: threads that compare; None for one on each processor, 0 for none.
    """
    workers = workers_or_default(workers)
    pairs = neighbours.pairs()
    rough = look_roughly(grey, pairs, workers=workers)
    likely = rough.likeness >= LIKELY
    pairs = pairs[likely]
    ordered = np.where(rough.swapped[likely, None], pairs[:, ::-1], pairs)
    coarse, theta = _coarsely(grey, ordered, rough.theta(likely), workers)
    fit = coarse.copy()
    doubtful = np.flatnonzero((fit >= DOUBTFUL) & (fit < SURE))
    for i in range(0, len(doubtful), _AT_ONCE):
        some = doubtful[i : i + _AT_ONCE]
        fit[some] = _finely(ordered[some], theta[some], fine)
    same = (fit >= SAME) & (coarse >= DOUBTFUL)
    found = np.sort(ordered[same], axis=1)
    order = np.lexsort((found[:, 1], found[:, 0]))
    return Near(found[order], fit[same][order])


def _coarsely(
    grey: Greys, pairs: NDArray[np.int64], theta: NDArray[np.float32], workers: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return how well the pairs fit at 64 pixels, (m,), and where the part lies in the whole, (m, 2, 3)."""
    fit, found = np.zeros(len(pairs), dtype=np.float32), theta.copy()

    @ONE_THREAD
    def aligned(some: slice) -> Aligned:
        return align(grey[pairs[some, 0]], grey[pairs[some, 1]], theta[some])

    parts = [slice(i, i + _A_FEW) for i in range(0, len(pairs), _A_FEW)]
    for some, done in zip(parts, in_order(aligned, parts, workers=workers, ahead=_AHEAD), strict=True):
        fit[some], found[some] = done.whole, done.theta
    return fit, found


def _finely(
    pairs: NDArray[np.int64], theta: NDArray[np.float32], fine: Callable[[Sequence[int]], NDArray[np.uint8]]
) -> NDArray[np.float32]:
    which, place = np.unique(pairs, return_inverse=True)
    large = fine(which.tolist())
    place = place.reshape(pairs.shape)
    return align(large[place[:, 0]], large[place[:, 1]], theta, FINE).whole
