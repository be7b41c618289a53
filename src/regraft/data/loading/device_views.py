"""Random views of a batch of photos in tensors, for devices that compute faster than Pillow feeds them.

The views are those of `regraft.data.augmentation.random_view` within rounding: the same random values, Pillow's
filters, its order of the two directions, and its rounding between them. Both directions of a resampling are linear, so
a resized crop is two products of matrices. A flip reverses the rows of one of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from torch import Tensor

from regraft.data.augmentation import color_map

if TYPE_CHECKING:
    from regraft.data.augmentation import ViewDraw
    from regraft.data.preprocessing import Preprocessing

Kernel: TypeAlias = Callable[[Tensor], Tensor]

_GRAY = (19595, 38470, 7471)  # Pillow's conversion to gray in whole numbers, times 65,536


def views_on_device(photos: Sequence[Tensor], draws: Sequence[ViewDraw], p: Preprocessing) -> Tensor:
    """Return one view of each photo.

    Args:
        photos: each of shape (3, h, w), uint8; all on one device, of any sizes.
        draws: the random values of each view, from `regraft.data.augmentation.draw_view`.
        p: preprocessing, for the size and the interpolation.

    Returns:
        Shape (B, 3, H, W), float32, whole numbers from 0 to 255, on the same device.
    """
    with torch.autocast(photos[0].device.type, enabled=False):  # whole numbers need more than 8 bits in between
        return _views(photos, draws, p)


def _views(photos: Sequence[Tensor], draws: Sequence[ViewDraw], p: Preprocessing) -> Tensor:
    boxes = [draw.box((photo.shape[2], photo.shape[1])) for photo, draw in zip(photos, draws, strict=True)]
    across = [_Line.of(box[0], box[2], photo.shape[2], p.width, p) for box, photo in zip(boxes, photos, strict=True)]
    down = [_Line.of(box[1], box[3], photo.shape[1], p.height, p) for box, photo in zip(boxes, photos, strict=True)]
    device, n = photos[0].device, len(photos)
    height, width = max(line.length for line in down), max(line.length for line in across)
    pixels = torch.zeros((n, 3, height, width), dtype=torch.float32, device=device)
    for row, photo, x, y in zip(pixels, photos, across, down, strict=True):
        row[:, : y.length, : x.length] = photo[:, y.first : y.first + y.length, x.first : x.first + x.length]
    columns = _weights(across, p.width, p.interpolation, device)
    flip = torch.tensor([draw.flip for draw in draws], device=device)
    columns = torch.where(flip[:, None, None], columns.flip(1), columns)
    rows = _weights(down, p.height, p.interpolation, device)
    narrow = _rounded(pixels.flatten(1, 2) @ columns.transpose(1, 2)).view(n, 3, height, p.width)
    return _recolored(_rounded(rows[:, None] @ narrow), draws)


def normalize_on_device(views: Tensor, p: Preprocessing) -> Tensor:
    """Return the normalized input of the network, as `regraft.data.preprocessing.normalise` does.

    Args:
        views: shape (B, 3, H, W), float32, from 0 to 255; it is changed in place.
        p: the backbone's preprocessing.

    Returns:
        Shape (B, 3, H, W), float32, in channels-last memory format, on the same device.
    """
    mean, std = (torch.tensor(v, device=views.device)[:, None, None] for v in (p.mean, p.std))
    return views.div_(255).sub_(mean).div_(std).contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class _Line:
    """One direction of a resized crop: the pixels that it reads, and its geometry in these pixels.

    Attributes:
        first: position of the first pixel that it reads, in the photo.
        length: number of pixels that it reads.
        start: start of the crop, in pixels from ``first``.
        step: pixels of the photo for each pixel of the view.
        reach: distance in pixels at which the filter ends.
    """

    first: int
    length: int
    start: float
    step: float
    reach: float

    @classmethod
    def of(cls, start: float, end: float, size: int, resized: int, p: Preprocessing) -> _Line:
        """Return the line of a crop from ``start`` to ``end`` in ``size`` pixels, resized to ``resized`` pixels."""
        step = (end - start) / resized
        reach = _KERNELS[p.interpolation][0] * (1 if p.interpolation == "nearest" else max(1.0, step))
        first = max(0, math.floor(start - reach))
        return cls(first, min(size, math.ceil(end + reach)) - first, start - first, step, reach)


def _weights(lines: Sequence[_Line], resized: int, interpolation: str, device: torch.device) -> Tensor:
    """Return the weight of each pixel read in each pixel of the view, shape (B, resized, longest line)."""
    half, kernel = _KERNELS[interpolation]
    start, step, reach, length = torch.tensor(
        [(line.start, line.step, line.reach, line.length) for line in lines], dtype=torch.float32, device=device
    ).T[:, :, None, None]
    center = start + (torch.arange(resized, device=device)[:, None] + 0.5) * step
    position = torch.arange(max(line.length for line in lines), device=device)
    weights: Tensor = kernel((position + 0.5 - center) * (half / reach)) * (position < length)
    return weights.div_(weights.sum(2, keepdim=True))


def _recolored(views: Tensor, draws: Sequence[ViewDraw]) -> Tensor:
    maps = [color_map(draw.brightness, draw.contrast, draw.saturation) for draw in draws]
    matrix = torch.tensor(np.stack([one for one, _ in maps]), dtype=torch.float32, device=views.device)
    share = torch.tensor([one for _, one in maps], dtype=torch.float32, device=views.device)
    factors = torch.tensor(_GRAY, dtype=torch.int32, device=views.device)[:, None, None]
    gray = ((views.int() * factors).sum(1, dtype=torch.int32) + 0x8000) >> 16
    mean = gray.sum((1, 2), dtype=torch.int64).float() / gray[0].numel()
    return _rounded((matrix @ views.flatten(2)).view(views.shape) + (share * mean)[:, None, None, None])


def _rounded(values: Tensor) -> Tensor:
    """Return values rounded to whole numbers from 0 to 255, halves upward as Pillow does."""
    return values.add_(0.5).floor_().clamp_(0, 255)


def _box(d: Tensor) -> Tensor:
    return ((d > -0.5) & (d <= 0.5)).float()


def _bilinear(d: Tensor) -> Tensor:
    return (1 - d.abs()).clamp_min(0)


def _hamming(d: Tensor) -> Tensor:
    return torch.where(d.abs() < 1, torch.sinc(d) * (0.54 + 0.46 * torch.cos(math.pi * d)), 0.0)


def _bicubic(d: Tensor) -> Tensor:
    x = d.abs()
    near, far = (1.5 * x - 2.5) * x * x + 1, ((2.5 - 0.5 * x) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))


def _lanczos(d: Tensor) -> Tensor:
    return torch.where(d.abs() < 3, torch.sinc(d) * torch.sinc(d / 3), 0.0)


_KERNELS: dict[str, tuple[float, Kernel]] = {
    "nearest": (0.5, _box),
    "box": (0.5, _box),
    "bilinear": (1.0, _bilinear),
    "hamming": (1.0, _hamming),
    "bicubic": (2.0, _bicubic),
    "lanczos": (3.0, _lanczos),
}
"""Filters of Pillow (``src/libImaging/Resample.c``): half of the width, and the function."""
