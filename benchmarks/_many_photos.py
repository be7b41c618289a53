"""Generated photos of 64 pixels, each different from all others, in two classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def write_photos(root: Path, count: int, side: int = 64) -> Path:
    """Write ``count`` JPEG files into two class folders of ``root``, and return it."""
    draw = np.random.default_rng(0)
    for label in ("ant", "bee"):
        (root / label).mkdir(parents=True, exist_ok=True)
    for i in range(count):
        coarse = draw.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        coarse[..., i % 2] //= 2
        image = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
        image.save(root / ("ant", "bee")[i % 2] / f"{i:07}.jpg", quality=90)
    return root
