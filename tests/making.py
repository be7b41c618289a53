"""Small folders of generated photos."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from regraft.data.manifest import Entry

BACKGROUND_CELLS = 8
"""Cells of a photo's background along each side."""


def make_photos(root: Path, counts: dict[str, int], size: int = 48, noise: float = 60.0, seed: int = 0) -> Path:
    """Write ``counts[label]`` photos for each label: stripes whose direction and colour depend on the class.

    Each photo has its own background. Stripes alone would be near-duplicates of each other at a coarse look, and their
    alignment would take most of the time of a run.
    """
    draw, draw_background = np.random.default_rng(seed), np.random.default_rng((seed, 1))
    cell = np.arange(size) * BACKGROUND_CELLS // size
    for k, (label, n) in enumerate(counts.items()):
        folder = root / label
        folder.mkdir(parents=True, exist_ok=True)
        for i in range(n):
            across = np.arange(size)[:, None] if k % 2 else np.arange(size)[None, :]
            wave = 80 * np.sin(across * (0.2 + 0.15 * k) + draw.uniform(0, 6.3))
            base = 128 + wave[..., None] * np.array([1.0, 0.5 * (k % 3), 1.0 - 0.4 * (k % 2)])
            background = draw_background.uniform(-80, 80, (BACKGROUND_CELLS, BACKGROUND_CELLS, 1))[cell][:, cell]
            pixels = base + background + draw.normal(0, noise, (size, size, 3))
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / f"photo {i:03}.png")
    return root


def entries_of(files: list[Path], *, hashed: bool = True) -> list[Entry]:
    """Return entries of photos as a scan would make them; without content hashes if not ``hashed``."""
    return [
        Entry(
            name=file.name,
            path=file,
            content=hashlib.sha256(file.read_bytes()).hexdigest() if hashed else "",
            label=file.parent.name,
            side=None,
            group=None,
            status="ok",
            why="",
            given_side=None,
        )
        for file in files
    ]
