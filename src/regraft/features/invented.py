"""Invented photos, always the same, to try a network on before it sees a real one."""

from __future__ import annotations

from functools import lru_cache

import torch

from regraft.randomness import generator

_SCALES = (4, 32, 128)  # cells across: colours of large areas, of parts, of texture


def invented_photos(count: int, height: int, width: int) -> torch.Tensor:
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
