"""Small pictures of photos inside a page, as text."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from regraft.data.decode import read_photo
from regraft.data.threads import map_in_order, workers_or_default
from regraft.errors import DecodeError

FEW = 400
"""Up to this number, pictures are large enough to look closely; more are small, so that the page stays small."""

LARGE, SMALL = 420, 160
"""Longer side of a picture, in pixels."""


def thumbnails(places: Mapping[str, Path], workers: int | None = None) -> dict[str, str]:
    """Return a picture of each photo by name, as the address of an image; "" for one that cannot be decoded.

    Args:
        places: paths of the photos by their names.
        workers: threads that decode, or None for the default.
    """
    side = LARGE if len(places) <= FEW else SMALL
    paths = list(places.values())
    images = map_in_order(lambda path: _thumbnail(path, side), paths, workers=workers_or_default(workers), ahead=64)
    return dict(zip(places, images, strict=True))


def _thumbnail(path: Path, side: int) -> str:
    try:
        image = read_photo(path, at_least=(side, side), damaged_too=True)
    except DecodeError:
        return ""
    image.thumbnail((side, side), Image.Resampling.BILINEAR, reducing_gap=2.0)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=70)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"
