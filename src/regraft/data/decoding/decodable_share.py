"""Share of a damaged photo that decodes, measured by decoding it onto two grounds."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFile

from regraft.data.decoding.colour import EXIF_ORIENTATION

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TESTABLE_MODES = frozenset({"L", "RGB", "RGBA", "CMYK", "P"})


def decodable_share(reopen: Callable[[], ImageFile.ImageFile]) -> float | None:
    """Return the share of rows, in [0, 1], that decode before the data end or break; None if it is unknown.

    The photo is decoded onto black and onto white. Rows that are equal in both results were decoded.

    Args:
        reopen: returns the photo, opened again.
    """
    try:
        black, white = (_decoded_onto(reopen(), level) for level in (0, 255))
    except Exception:  # noqa: BLE001 - the share only improves a message; without it the message is shorter
        return None
    if black.shape != white.shape:
        return None
    same = (black == white).reshape(len(black), -1).all(axis=1)
    return float(np.argmin(same)) / len(same) if not same.all() else 1.0


def _decoded_onto(image: ImageFile.ImageFile, level: int) -> NDArray[np.uint8]:
    if image.mode not in _TESTABLE_MODES or image.info.get("interlace") or image.size[0] * image.size[1] > 50_000_000:
        raise ValueError("this format has no scaled decoding")
    if not image.tile or image.tile[0][0] == "libtiff" or getattr(image, "tag_v2", {}).get(EXIF_ORIENTATION, 1) != 1:
        raise ValueError("decoded in one piece, or rotated by the decoder")
    bands = len(image.getbands())
    palette = image.palette
    ground = Image.new(image.mode, image.size, level if bands == 1 else (level,) * bands)
    image.im = ground.im
    image.palette = palette
    image._ended = True  # type: ignore[attr-defined] # with LOAD_TRUNCATED_IMAGES Pillow fills a JPEG with gray
    with contextlib.suppress(Exception):
        image.load()
    return np.asarray(Image.Image._new(ground, image.im)).copy()
