"""Affine alignment of pairs of photos, and the correlation of their local contrast afterwards.

Small gray images are aligned by an affine map (shift, scale, rotation), from coarse to fine, by Gauss-Newton steps
on their difference, with brightness and contrast projected out (Evangelidis and Psarakis 2008, "Parametric image
alignment using enhanced correlation coefficient maximization", https://doi.org/10.1109/TPAMI.2008.113).

Local contrast is the difference of a pixel from its surroundings, divided by their spread. It does not depend on
lighting, and two photos that only share a large bright area differ in it. The worst quarter of the blocks is left out,
so that filled corners, a border or a caption do not hide a duplicate.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

_BATCH = 64
_CELLS, _KEPT_SHARE = 8, 0.75
_MIN_OVERLAP = 0.35
"""Minimum share of the part that must overlap; below it, the fit is not meaningful."""


@dataclass(frozen=True)
class Stage:
    """A level of the alignment.

    Attributes:
        side: side of the images, in pixels.
        steps: number of Gauss-Newton steps.
        radius: radius of the surroundings in local contrast, in pixels.
        min_correlation: pairs with a lower correlation afterwards are dropped.
    """

    side: int
    steps: int
    radius: int
    min_correlation: float


COARSE = (Stage(32, 3, 3, 0.4), Stage(32, 4, 3, 0.65), Stage(64, 3, 5, 0.7))
FINE = (Stage(128, 3, 6, 0.6),)


@dataclass(frozen=True)
class Alignment:
    """The alignment of m pairs of photos.

    Attributes:
        fit: correlation of local contrast in the overlap, without the worst quarter of the blocks, in [-1, 1]; -1 for
            dropped pairs. Shape (m,), float32.
        whole: the same with all blocks.
        overlap: share of the part that the other photo covers, in [0, 1], shape (m,), float32.
        theta: affine map on [-1, 1] from the part to the other photo, shape (m, 2, 3), float32.
    """

    fit: NDArray[np.float32]
    whole: NDArray[np.float32]
    overlap: NDArray[np.float32]
    theta: NDArray[np.float32]


def align(
    part: NDArray[np.uint8], other: NDArray[np.uint8], theta: NDArray[np.float32], stages: tuple[Stage, ...] = COARSE
) -> Alignment:
    """Return the alignment of pairs of gray images.

    Args:
        part: shape (m, side, side), uint8; the side is that of the last stage.
        other: the other images, likewise.
        theta: initial affine maps, shape (m, 2, 3).
        stages: the levels, from coarse to fine.
    """
    m = len(part)
    fit, whole, overlap = (np.full(m, -1.0, dtype=np.float32) for _ in range(3))
    result = Alignment(fit, whole, overlap, theta.astype(np.float32))
    for i in range(0, m, _BATCH):
        at = slice(i, min(i + _BATCH, m))
        one, two = (torch.from_numpy(np.array(x[at], dtype=np.float32)) for x in (part, other))
        _align_batch(one, two, result, at, stages)
    return result


def _align_batch(a: Tensor, b: Tensor, result: Alignment, at: slice, stages: tuple[Stage, ...]) -> None:
    theta = torch.from_numpy(result.theta[at].copy())
    rows = torch.arange(len(a))
    masks = [picture_mask(x) for x in (a, b)]
    for stage in stages:
        small = [functional.avg_pool2d(x[rows], x.shape[-1] // stage.side) for x in (a, b, *masks)]
        theta[rows], fit = _refine(_Layer.of(small[0], small[2], stage), _Layer.of(small[1], small[3], stage),
                                    theta[rows], stage.steps)  # fmt: skip
        rows = rows[fit > stage.min_correlation]
        if not len(rows):
            return
    one, two = (_Layer(x[rows], mask[rows]) for x, mask in zip((a, b), masks, strict=True))
    fit, whole, overlap = _compare(one, two, theta[rows], stages[-1].radius)
    where = rows.numpy() + at.start
    result.theta[where] = theta[rows].numpy()
    for array, value in ((result.fit, fit), (result.whole, whole), (result.overlap, overlap)):
        array[where] = value.numpy()


@dataclass(frozen=True)
class _Layer:
    """Images, and a mask that is 1 inside the picture and 0 in a border; both (m, side, side)."""

    image: Tensor
    mask: Tensor

    @classmethod
    def of(cls, gray: Tensor, mask: Tensor, stage: Stage) -> _Layer:
        return cls(local_contrast(gray, stage.radius, mask), mask)


def _refine(a: _Layer, b: _Layer, theta: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Return refined maps, shape (m, 2, 3), and the correlation before the last step, shape (m,)."""
    m, side, _ = a.image.shape
    x, y = _coordinates(side)
    channels = torch.stack([b.image, *_slopes(b.image), b.mask], dim=1)
    target, mask = a.image.reshape(m, 1, -1), a.mask.reshape(m, 1, -1)
    fit = torch.zeros(m)
    for _ in range(steps):
        seen, inside = _warp(channels, theta)
        value, across, down, visible = seen.chunk(4, dim=1)
        inside = inside * visible * mask
        rows = torch.cat(
            [across * x, across * y, across, down * x, down * y, down, value, target, torch.ones_like(value)], dim=1
        )
        step, fit = _step((rows * inside) @ rows.mT)
        theta = theta + step
    return theta, fit


def _step(gram: Tensor) -> tuple[Tensor, Tensor]:
    """Return the Gauss-Newton step, shape (m, 2, 3), and the correlation, from products of the slopes and the images.

    Args:
        gram: shape (m, 9, 9), of the six slopes, the warped image, the target and the mask.
    """
    count = gram[:, 8, 8].clamp_min(1)[:, None, None]
    centered = gram[:, :8, :8] - gram[:, :8, 8:] @ gram[:, 8:, :8] / count
    slopes, with_value, with_target = centered[:, :6, :6], centered[:, :6, 6:7], centered[:, :6, 7:8]
    value, target = (centered[:, i, i].clamp_min(1e-6)[:, None, None] for i in (6, 7))
    both = centered[:, 6, 7][:, None, None]
    hessian = (slopes - with_value @ with_value.mT / value) / value
    pull = (with_target - with_value * both / value) / (value * target).sqrt()
    ridge = hessian.diagonal(dim1=1, dim2=2).mean(dim=1)[:, None, None] * 1e-3 + 1e-6
    step = torch.linalg.solve(hessian + ridge * torch.eye(6), pull)
    return step.reshape(-1, 2, 3).clamp(-0.15, 0.15), (both / (value * target).sqrt())[:, 0, 0]


def _coordinates(side: int) -> tuple[Tensor, Tensor]:
    at = (torch.arange(side, dtype=torch.float32) + 0.5) * (2 / side) - 1
    return at.repeat(side), at.repeat_interleave(side)


def _slopes(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return the derivatives along x and y, in units of [-1, 1] across the image."""
    scale = image.shape[-1] / 4
    wide = functional.pad(image[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    return (wide[:, 1:-1, 2:] - wide[:, 1:-1, :-2]) * scale, (wide[:, 2:, 1:-1] - wide[:, :-2, 1:-1]) * scale


def _warp(channels: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
    """Return the channels sampled at ``theta``, (m, c, pixels), and 1 for samples inside the image, (m, 1, pixels)."""
    m, c, side, _ = channels.shape
    grid = functional.affine_grid(theta, [m, 1, side, side], align_corners=False)
    seen = functional.grid_sample(channels, grid, mode="bilinear", padding_mode="border", align_corners=False)
    inside = (grid.abs() <= 1).all(dim=-1).to(torch.float32).reshape(m, 1, -1)
    return seen.reshape(m, c, -1), inside


def _compare(a: _Layer, b: _Layer, theta: Tensor, radius: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the correlation with and without the worst blocks, and the overlap; each (m,)."""
    m, side, _ = a.image.shape
    seen, inside = _warp(torch.stack([b.image, b.mask], dim=1), theta)
    mask = (inside[:, 0] * (seen[:, 1] > 0.99)).reshape(m, side, side) * a.mask
    one, two = (local_contrast(x, radius, mask) for x in (a.image, seen[:, 0].reshape(m, side, side)))
    cells = [_cells(x) for x in (one * two, one * one, two * two)]
    whole = cells[0].sum(1) / (cells[1].sum(1) * cells[2].sum(1)).clamp_min(1e-9).sqrt()
    harm = cells[1] + cells[2] - 2 * cells[0]  # share of each block in the squared difference
    order = harm.argsort(dim=1)[:, : int(_KEPT_SHARE * harm.shape[1])]
    sums = [x.gather(1, order).sum(1) for x in cells]
    fit = sums[0] / (sums[1] * sums[2]).clamp_min(1e-9).sqrt()
    overlap = mask.sum(dim=(1, 2)) / a.mask.sum(dim=(1, 2)).clamp_min(1)
    poor = (overlap < _MIN_OVERLAP) | ~torch.isfinite(fit)
    return torch.where(poor, -1.0, fit), torch.where(poor, -1.0, whole), overlap


def _cells(image: Tensor) -> Tensor:
    return functional.avg_pool2d(image, image.shape[-1] // _CELLS).flatten(1)


_FLAT_SPREAD = 2.0
"""Spread, in levels, below which surroundings count as flat: their variation is noise."""

_FILL_TOLERANCE, _MIN_FILL_SHARE = 4.0, 0.01
"""Variation of a fill color, in levels, and the minimum share of a photo that counts as fill."""


def local_contrast(image: Tensor, radius: int, inside: Tensor | None = None) -> Tensor:
    """Return the difference of each pixel from its surroundings, divided by their spread.

    Args:
        image: shape (..., side, side), float32, in [0, 255].
        radius: radius of the surroundings, in pixels.
        inside: mask of the pixels that count, 1 or 0, of the same shape; all count if None.
    """
    blur = blur_matrix(image.shape[-1], radius)
    if inside is None:
        detail = image - blur @ image @ blur.T
        spread = (blur @ (detail * detail) @ blur.T).sqrt()
    else:
        weight = (blur @ inside @ blur.T).clamp_min(1e-3)
        detail = (image - blur @ (image * inside) @ blur.T / weight) * inside
        spread = (blur @ (detail * detail) @ blur.T / weight).sqrt()
    return detail / (spread + _FLAT_SPREAD + 0.5 * spread.mean(dim=(-2, -1), keepdim=True))


@cache
def blur_matrix(side: int, radius: int) -> Tensor:
    """Return the matrix, shape (side, side), that blurs along one axis: two box filters, with repeated edges."""
    box = torch.zeros(side, side)
    for row in range(side):
        for at in range(row - radius, row + radius + 1):
            box[row, min(max(at, 0), side - 1)] += 1 / (2 * radius + 1)
    return box @ box


def picture_mask(image: Tensor) -> Tensor:
    """Return a mask, float32: 1 for pixels of the picture, 0 for borders or corners filled with one color.

    A pixel belongs to the fill if it and all pixels between it and the edge have the color of the corner of its row or
    column.

    Args:
        image: shape (m, side, side), float32, in [0, 255].
    """
    fill = torch.zeros_like(image)
    for turned in (False, True):
        for flips in ((), (1,), (2,), (1, 2)):
            seen = (image.mT if turned else image).flip(flips)
            same = ((seen - seen[:, :1, :1]).abs() <= _FILL_TOLERANCE).to(image.dtype).cumprod(dim=2)
            run = same.flip(flips)
            fill = torch.maximum(fill, run.mT if turned else run)
    wider = functional.max_pool2d(fill[:, None], 3, stride=1, padding=1)[:, 0]  # edge pixels are mixed
    return 1 - torch.where(
        fill.sum(dim=(1, 2), keepdim=True) > _MIN_FILL_SHARE * fill[0].numel(), wider, torch.zeros_like(fill)
    )
