"""Near-duplicates: pairs of photos that show nearly the same picture.

Candidates are the nearest neighbors by features. A cheap comparison of 16 × 16 pixels rejects most of them and returns
the initial alignment of the others, which are then aligned and compared at 64 and, if in doubt, at 128 pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from regraft.audit.alignment import FINE, Alignment, align, blur_matrix
from regraft.audit.neighbours import Neighbours
from regraft.data.threads import map_in_order, workers_or_default
from regraft.disk.row_table import new_table
from regraft.features.engines.processor import ONE_THREAD

CANDIDATES = 10
"""Candidates per photo. Of the near-duplicates of real photos, 99 % are among the first ten."""

MIN_COARSE_LIKENESS = 0.6
"""Minimum similarity at 16 pixels for aligning a pair; the minimum of 630 near-duplicates was 0.66."""

MIN_FIT_AT_64, CERTAIN_FIT_AT_64 = 0.84, 0.975
"""Minimum fit at 64 pixels for comparing a pair at 128 pixels, and the fit from which that is not necessary."""

MIN_FIT_AT_128 = 0.88
"""Minimum fit of near-duplicates; the minimum of 630 near-duplicates was 0.92, the maximum of other pairs 0.87."""

FINE_SIDE = FINE[-1].side

VERSION = "near2"
"""Version of the search; it changes if the same photos may have other pairs than before."""

_FINE_BATCH = 256
_PAIRS_PER_TASK, _TASKS_AHEAD = 64, 32
"""Pairs per task, and tasks ahead. Each task runs on one thread, because its images are too small to share."""


@dataclass(frozen=True)
class NearDuplicates:
    """Pairs of photos that show nearly the same picture.

    Attributes:
        pairs: positions, the smaller first, shape (m, 2), int64, sorted.
        fit: correlation of the aligned photos, in [-1, 1], shape (m,), float32.
    """

    pairs: NDArray[np.int64]
    fit: NDArray[np.float32]


NO_NEAR_DUPLICATES = NearDuplicates(np.zeros((0, 2), dtype=np.int64), np.zeros(0, dtype=np.float32))


def find_near_duplicates(
    neighbours: Neighbours,
    gray: GrayPhotos,
    fine: Callable[[Sequence[int]], NDArray[np.uint8]],
    *,
    workers: int | None = None,
) -> NearDuplicates:
    """Return the near-duplicates among photos.

    Args:
        neighbours: nearest neighbors of every photo by features.
        gray: the photos, shape (n, 64, 64), uint8.
        fine: returns the photos at some positions at shape (len, 128, 128), uint8.
        workers: number of threads; None for one per processor, 0 for the calling thread.
    """
    workers = workers_or_default(workers)
    pairs = neighbours.pairs()
    match = match_coarsely(gray, pairs, workers=workers)
    likely = match.likeness >= MIN_COARSE_LIKENESS
    pairs = pairs[likely]
    ordered = np.where(match.swapped[likely, None], pairs[:, ::-1], pairs)
    coarse, theta = _align_at_64(gray, ordered, match.theta(likely), workers)
    fit = coarse.copy()
    doubtful = np.flatnonzero((fit >= MIN_FIT_AT_64) & (fit < CERTAIN_FIT_AT_64))
    for i in range(0, len(doubtful), _FINE_BATCH):
        some = doubtful[i : i + _FINE_BATCH]
        fit[some] = _align_at_128(ordered[some], theta[some], fine)
    same = (fit >= MIN_FIT_AT_128) & (coarse >= MIN_FIT_AT_64)
    near = np.sort(ordered[same], axis=1)
    order = np.lexsort((near[:, 1], near[:, 0]))
    return NearDuplicates(near[order], fit[same][order])


def _align_at_64(
    gray: GrayPhotos, pairs: NDArray[np.int64], theta: NDArray[np.float32], workers: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the fit of the pairs at 64 pixels, (m,), and the affine maps from part to whole, (m, 2, 3)."""
    fit, refined = np.zeros(len(pairs), dtype=np.float32), theta.copy()

    @ONE_THREAD
    def aligned(some: slice) -> Alignment:
        return align(gray[pairs[some, 0]], gray[pairs[some, 1]], theta[some])

    parts = [slice(i, i + _PAIRS_PER_TASK) for i in range(0, len(pairs), _PAIRS_PER_TASK)]
    for some, alignment in zip(parts, map_in_order(aligned, parts, workers=workers, ahead=_TASKS_AHEAD), strict=True):
        fit[some], refined[some] = alignment.whole, alignment.theta
    return fit, refined


def _align_at_128(
    pairs: NDArray[np.int64], theta: NDArray[np.float32], fine: Callable[[Sequence[int]], NDArray[np.uint8]]
) -> NDArray[np.float32]:
    """Return the fit of the pairs at 128 pixels, shape (m,)."""
    positions, index = np.unique(pairs, return_inverse=True)
    large = fine(positions.tolist())
    index = index.reshape(pairs.shape)
    return align(large[index[:, 0]], large[index[:, 1]], theta, FINE).whole


COARSE_SIDE, _SOURCE_SIDE, _RADIUS = 16, 32, 3
_ZOOM, _SHIFTS = 0.86, (-0.1, 0.0, 0.1)
_TURN_ZOOM, _TURNS = 0.93, (-5.0, 5.0)
_PHOTOS_PER_BLOCK, _PAIRS_PER_PRODUCT = 512, 512


@dataclass(frozen=True)
class CoarseMatch:
    """Coarse comparison of m pairs.

    Attributes:
        likeness: best correlation over a few crops, rotations and mirror images, in [-1, 1], shape (m,), float32.
        swapped: whether the second photo is the part and the first the whole, shape (m,), bool.
        view: index of the best crop or rotation; values >= the number of views mean the mirrored view; shape (m,),
            int8.
    """

    likeness: NDArray[np.float32]
    swapped: NDArray[np.bool_]
    view: NDArray[np.int8]

    def theta(self, which: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return the affine maps from part to whole of the selected pairs, shape (len, 2, 3)."""
        mirrored, view = np.divmod(self.view[which], len(_views()))
        theta = _views().numpy()[view]
        theta[:, :, 0] *= np.where(mirrored == 1, -1, 1)[:, None]
        return theta


class GrayPhotos(Protocol):
    """Gray photos, shape (n, 64, 64), uint8, not necessarily all in memory."""

    def __len__(self) -> int: ...

    def __getitem__(self, positions: NDArray[np.int64], /) -> NDArray[np.uint8]: ...


def match_coarsely(gray: GrayPhotos, pairs: NDArray[np.int64], *, workers: int = 0) -> CoarseMatch:
    """Return a coarse comparison of pairs of photos.

    Args:
        gray: the photos.
        pairs: positions of the photos of each pair, shape (m, 2), int64.
        workers: number of threads; 0 for the calling thread.
    """
    m = len(pairs)
    best = np.full((2, m), -2.0, dtype=np.float32)
    which = np.zeros((2, m), dtype=np.int8)
    whole = new_table(len(gray), COARSE_SIDE * COARSE_SIDE)
    blocks = [np.arange(i, min(i + _PHOTOS_PER_BLOCK, len(gray))) for i in range(0, len(gray), _PHOTOS_PER_BLOCK)]
    for block in blocks:
        whole[block[0] : block[-1] + 1] = _view_contrast(gray[block], slice(0, 1))[:, 0].numpy()
    orders = [np.argsort(pairs[:, side], kind="stable") for side in (0, 1)]

    @ONE_THREAD
    def compare(block: NDArray[np.int64]) -> None:
        seen: Tensor | None = None  # the views of a block of photos are computed once
        for side, order in enumerate(orders):
            low, high = np.searchsorted(pairs[:, side], [block[0], block[-1] + 1], sorter=order)
            for i in range(low, high, _PAIRS_PER_PRODUCT):
                seen = _view_contrast(gray[block]) if seen is None else seen
                pair = order[i : min(i + _PAIRS_PER_PRODUCT, high)]
                views, part = seen[torch.from_numpy(pairs[pair, side] - block[0])], whole[pairs[pair, 1 - side]]
                best[side, pair], which[side, pair] = _best_match(views, torch.from_numpy(part))

    for _ in map_in_order(compare, blocks, workers=workers, ahead=2 * workers):
        pass
    swapped = best[0] > best[1]  # side 0: views of the first were compared with the second
    return CoarseMatch(np.maximum(best[0], best[1]), swapped, np.where(swapped, which[0], which[1]))


def _best_match(views: Tensor, part: Tensor) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the best correlation of the views, (m, v, 256), with the photos, (m, 256), and the index of the view."""
    mirrored = part.reshape(-1, COARSE_SIDE, COARSE_SIDE).flip(2).reshape(part.shape)
    match = views @ torch.stack([part, mirrored], dim=2)
    value, index = match.transpose(1, 2).reshape(len(part), -1).max(dim=1)
    return value.numpy(), index.numpy()


@cache
def _views() -> Tensor:
    """Return the affine maps of the views: the whole photo, crops and rotations, shape (v, 2, 3)."""
    maps = [[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]
    maps += [[[_ZOOM, 0.0, x], [0.0, _ZOOM, y]] for x, y in product(_SHIFTS, _SHIFTS)]
    for turn in _TURNS:
        c, s = _TURN_ZOOM * math.cos(math.radians(turn)), _TURN_ZOOM * math.sin(math.radians(turn))
        maps.append([[c, -s, 0.0], [s, c, 0.0]])
    return torch.tensor(maps, dtype=torch.float32)


@cache
def _view_matrices() -> Tensor:
    """Return the linear maps from 32 × 32 pixels to the detail of each view, shape (v, 256, 1024)."""
    views = _views()
    pixels = torch.eye(_SOURCE_SIDE * _SOURCE_SIDE).reshape(_SOURCE_SIDE * _SOURCE_SIDE, 1, _SOURCE_SIDE, _SOURCE_SIDE)
    blur = blur_matrix(COARSE_SIDE, _RADIUS)
    out = []
    for view in views:
        fine = functional.affine_grid(view[None], [1, 1, 2 * COARSE_SIDE, 2 * COARSE_SIDE], align_corners=False)
        seen = functional.grid_sample(
            pixels, fine.expand(len(pixels), -1, -1, -1), padding_mode="border", align_corners=False
        )
        small = functional.avg_pool2d(seen, 2)[:, 0]
        out.append((small - blur @ small @ blur.T).reshape(len(pixels), -1).T)
    return torch.stack(out)


def _view_contrast(gray: NDArray[np.uint8], which: slice = slice(None)) -> Tensor:
    """Return the normalized local contrast of each view: (n, 64, 64), uint8 -> (n, v, 256), float32."""
    image = functional.avg_pool2d(torch.from_numpy(np.ascontiguousarray(gray)).to(torch.float32), 2).reshape(
        len(gray), -1
    )
    matrix = _view_matrices()[which]
    detail = (image @ matrix.reshape(-1, image.shape[1]).T).reshape(len(gray), len(matrix), COARSE_SIDE, COARSE_SIDE)
    blur = blur_matrix(COARSE_SIDE, _RADIUS)
    spread = (blur @ (detail * detail) @ blur.T).clamp_min(0).sqrt()
    contrast = detail / (spread + 2.0 + 0.5 * spread.mean(dim=(-2, -1), keepdim=True))
    flat = contrast.flatten(2)
    return functional.normalize(flat - flat.mean(dim=2, keepdim=True), dim=2)
