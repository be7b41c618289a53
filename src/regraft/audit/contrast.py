"""Local contrast: what differs from its surroundings, so that light and large blobs of colour say nothing."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional

_FLAT = 2.0
"""Levels of spread below which a surrounding counts as flat: what varies there is noise."""

_FILL, _LITTLE = 4.0, 0.01
"""Levels by which fill varies, and the share of a photo below which it is none."""


def local_contrast(image: Tensor, radius: int, inside: Tensor | None = None) -> Tensor:
    """Return what differs from the surroundings, per spread of the surroundings.

    Args:
        image: shape (..., side, side), float32, in [0, 255].
        radius: of the surroundings, in pixels.
        inside: 1 for pixels that count and 0 for those that do not, of the same shape; all count if None.
    """
    blur = blur_matrix(image.shape[-1], radius)
    if inside is None:
        detail = image - blur @ image @ blur.T
        spread = (blur @ (detail * detail) @ blur.T).sqrt()
    else:
        weight = (blur @ inside @ blur.T).clamp_min(1e-3)
        detail = (image - blur @ (image * inside) @ blur.T / weight) * inside
        spread = (blur @ (detail * detail) @ blur.T / weight).sqrt()
    return detail / (spread + _FLAT + 0.5 * spread.mean(dim=(-2, -1), keepdim=True))


@cache
def blur_matrix(side: int, radius: int) -> Tensor:
    """Return the matrix, shape (side, side), that blurs along one axis: twice a box, the edge repeated outside."""
    box = torch.zeros(side, side)
    for row in range(side):
        for at in range(row - radius, row + radius + 1):
            box[row, min(max(at, 0), side - 1)] += 1 / (2 * radius + 1)
    return box @ box


def without_fill(image: Tensor) -> Tensor:
    """Return 1 for pixels that belong to the picture, 0 for a border or corners filled with one colour, float32.

    A pixel is fill where it, and all between it and the edge, are of the colour of a corner beside it.

    Args:
        image: shape (m, side, side), float32, in [0, 255].
    """
    fill = torch.zeros_like(image)
    for turned in (False, True):
        for flips in ((), (1,), (2,), (1, 2)):
            seen = (image.mT if turned else image).flip(flips)
            same = ((seen - seen[:, :1, :1]).abs() <= _FILL).to(image.dtype).cumprod(dim=2)
            run = same.flip(flips)
            fill = torch.maximum(fill, run.mT if turned else run)
    wider = functional.max_pool2d(fill[:, None], 3, stride=1, padding=1)[:, 0]  # pixels at its edge are mixed
    return 1 - torch.where(
        fill.sum(dim=(1, 2), keepdim=True) > _LITTLE * fill[0].numel(), wider, torch.zeros_like(fill)
    )
