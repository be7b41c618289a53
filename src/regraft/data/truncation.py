"""How far a damaged photo could be read: worked out only after decoding it has failed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ORIENTATION = 0x0112
_MODES = frozenset({"L", "RGB", "RGBA", "CMYK", "P"})


def how_far(reopen: Callable[[], ImageFile.ImageFile]) -> float | None:
    """Return the share of rows, in [0, 1], that decode before the data end or break; None where it cannot be told.

    The photo is decoded onto black and onto white. Rows that come out the same on both were really decoded.

    Args:
        reopen: opens the photo anew.
    """
    try:
        black, white = (_decoded_onto(reopen(), level) for level in (0, 255))
    except Exception:  # noqa: BLE001 - this only makes a message better; a file this broken gets the plain one
        return None
    if black.shape != white.shape:
        return None
    same = (black == white).reshape(len(black), -1).all(axis=1)
    return float(np.argmin(same)) / len(same) if not same.all() else 1.0


def _decoded_onto(image: ImageFile.ImageFile, level: int) -> NDArray[np.uint8]:
    if image.mode not in _MODES or image.info.get("interlace") or image.size[0] * image.size[1] > 50_000_000:
        raise ValueError("cannot be told")
    if not image.tile or image.tile[0][0] == "libtiff" or getattr(image, "tag_v2", {}).get(_ORIENTATION, 1) != 1:
        raise ValueError("decoded at once, or turned while it is")
    bands = len(image.getbands())
    palette = image.palette
    ground = Image.new(image.mode, image.size, level if bands == 1 else (level,) * bands)
    image.im = ground.im
    image.palette = palette
    image._ended = True  # type: ignore[attr-defined] # with LOAD_TRUNCATED_IMAGES Pillow would fill a JPEG up with gray
    with contextlib.suppress(Exception):
        image.load()
    return np.asarray(Image.Image._new(ground, image.im)).copy()
