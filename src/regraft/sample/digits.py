"""Handwritten digits as a folder of images: 1,797 real scans that come with regraft.

They are the test set of the UCI "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak 1998,
https://doi.org/10.24432/C50P49, CC BY 4.0; see `digits.LICENSE.txt`). 13 people wrote the digits 0 to 9 on forms. The
scans were reduced to 8x8 pixels with 17 gray levels. `write_digits` writes each as a PNG of 64x64 pixels, dark ink on
white paper.

The domain is dissimilar on purpose: networks pretrained on ImageNet have seen photographs of things but no blurred
strokes, so only their first layers, which detect edges and curves, are of use here.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
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
MAX_INK = 16

EXPECTED_RESULT = (
    "a dissimilar domain on purpose: 8x8-pixel scans for a network that has only seen photographs.\n"
    "Expect about 96 % from the linear probe; photographs of things usually give more, from fewer photos."
)


def load_digits() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return images (1797, 8, 8) with values from 0 (paper) to 16 (ink), and labels (1797,), both uint8."""
    with np.load(Path(__file__).with_name("digits.npz"), allow_pickle=False) as file:
        return file["images"], file["labels"]


def write_digits(out: Path, *, per_class: int | None = None) -> int:
    """Write the digits to ``out``, one folder per digit, and return their number.

    The folder appears only when it is complete. If it already holds these files, nothing changes.

    Args:
        out: the folder to create. It may exist if it is empty.
        per_class: number of images of each digit; all 1,797 images if None.

    Raises:
        PhotosError: ``out`` holds other files.
        OSError: ``out`` could not be written.
    """
    wanted = dict(_named_pixels(per_class))
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        if not out.is_dir() or {p.relative_to(out).as_posix() for p in out.rglob("*.png")} != set(wanted):
            raise PhotosError(f"{out} contains other files, which regraft does not overwrite\n  choose a new folder")
        return len(wanted)
    out.parent.mkdir(parents=True, exist_ok=True)
    incomplete = Path(tempfile.mkdtemp(prefix=".part-", dir=out.parent))
    try:
        _write_images(incomplete, wanted)
        incomplete.chmod(0o755)
        if out.is_dir():
            out.rmdir()
        incomplete.rename(out)
    except BaseException:
        shutil.rmtree(incomplete, ignore_errors=True)
        raise
    return len(wanted)


def _write_images(folder: Path, images: dict[str, NDArray[np.uint8]]) -> None:
    for name, pixels in images.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(path)


def _named_pixels(per_class: int | None) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """Yield pairs such as ``("3/digit-0017.png", pixels)``; pixels are (8, 8), uint8, 255 is paper."""
    taken: Counter[int] = Counter()
    for index, (ink, label) in enumerate(zip(*load_digits(), strict=True)):
        taken[int(label)] += 1
        if per_class is None or taken[int(label)] <= per_class:
            yield f"{label}/digit-{index:04}.png", np.round(255 - ink * (255 / MAX_INK)).astype(np.uint8)
