"""Handwritten digits as a folder of images: 1,797 real scans that come with scikit-learn.

They are the test part of the UCI "Optical Recognition of Handwritten Digits" (Alpaydin & Kaynak 1998,
https://doi.org/10.24432/C50P49): 43 people wrote 0 to 9 on forms, which were scanned, and counted down to 8x8 pixels of
17 grey levels. Here each becomes a PNG of 64x64 pixels, dark ink on white paper.

The domain is dissimilar on purpose: networks pretrained on ImageNet have seen photographs of things, never blurred
strokes, so what transfers here is only their early sense of edges and curves.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from regraft.errors import PhotosError

if TYPE_CHECKING:
    from numpy.typing import NDArray

COUNT = 1797
SIDE = 64

EXPECTED_RESULT = (
    "a dissimilar domain on purpose: 8x8-pixel scans for a network that has only seen photographs.\n"
    "Expect about 96 % from the linear probe; photographs of things usually give more, from fewer photos."
)


def write_digits(out: Path, *, per_class: int | None = None) -> int:
    """Write the digits below ``out``, one folder per digit, whole or not at all; return how many there are.

    A second call finds them there and changes nothing.

    Args:
        out: the folder to make. It may exist if it is empty.
        per_class: only that many of each digit, or None for all 1,797.

    Raises:
        PhotosError: ``out`` holds something else.
        OSError: it cannot be written.
    """
    wanted = dict(_digits(per_class))
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        if not out.is_dir() or {p.relative_to(out).as_posix() for p in out.rglob("*.png")} != set(wanted):
            raise PhotosError(f"{out} holds something else, and nothing there is overwritten\n  name a new folder")
        return len(wanted)
    out.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=out.parent))
    try:
        _write(part, wanted)
        part.chmod(0o755)
        if out.is_dir():
            out.rmdir()
        part.rename(out)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return len(wanted)


def _write(folder: Path, images: dict[str, NDArray[np.uint8]]) -> None:
    for name, pixels in images.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(path)


def _digits(per_class: int | None) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Yield ``("3/digit-0017.png", pixels)``: shape (8, 8), uint8, 255 is paper."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    taken = dict.fromkeys(range(10), 0)
    for index, (ink, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        taken[int(label)] += 1
        if per_class is None or taken[int(label)] <= per_class:
            yield f"{label}/digit-{index:04}.png", np.round(255 - ink * (255 / 16)).astype(np.uint8)
