"""Invented photos, always the same, to try a network on before it sees a real one."""

from __future__ import annotations

import torch

from regraft.randomness import generator

_SCALES = (4, 32, 256)  # cells across: colours of large areas, of parts, of texture


def invented_photos(count: int, height: int, width: int) -> torch.Tensor:
    """Return ``count`` photos of noise on three scales, shape (count, 3, H, W), float32, as if normalised."""
    draw = generator("invented photos", count, height, width)
    x = torch.zeros(count, 3, height, width)
    for cells in _SCALES:
        coarse = torch.from_numpy(draw.standard_normal((count, 3, cells, cells)).astype("float32"))
        x += torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")
    return x.contiguous(memory_format=torch.channels_last)
