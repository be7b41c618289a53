"""Embedded colour profiles (ICC.1) to sRGB, which is what pretrained networks have seen."""

from __future__ import annotations

import functools
import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsTransform

_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
_UNSEEN = 3
"""A profile that moves no colour by more than this many of 255 levels is sRGB under another name."""


def to_srgb(image: Image.Image, profile: object) -> Image.Image:
    """Return ``image`` (mode L, RGB or CMYK) in sRGB, mode RGB.

    Args:
        image: what to convert.
        profile: the bytes of the ICC profile embedded in the file, or None. A broken profile, or one for another kind
            of image, is ignored as browsers do.
    """
    transform = _transform(profile, image.mode) if isinstance(profile, bytes) and profile else None
    if transform is None:
        return image if image.mode == "RGB" else image.convert("RGB")
    return transform.apply(image)


def lab_to_srgb(image: Image.Image) -> Image.Image:
    """Return a CIELAB image (mode LAB, as TIFF holds them) in sRGB, mode RGB."""
    from PIL import ImageCms

    source, target = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(source, target, "LAB", "RGB").apply(image)


@functools.lru_cache(maxsize=64)
def _transform(profile: bytes, mode: str) -> ImageCmsTransform | None:
    """Build the transform once for each profile that is met; None where there is nothing to convert."""
    try:
        from PIL import ImageCms

        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != _SPACES[mode]:
            return None
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
        return None if _changes_nothing(transform, mode) else transform
    except Exception:  # noqa: BLE001 - whatever a broken profile makes LittleCMS say, the photo itself is fine
        return None


def _changes_nothing(transform: ImageCmsTransform, mode: str) -> bool:
    if mode == "CMYK":
        return False
    if mode == "L":
        before = np.arange(256, dtype=np.uint8)[None, :]
        gray = np.asarray(transform.apply(Image.fromarray(before)), dtype=np.int16)
        return bool(np.abs(gray - before[..., None]).max() <= _UNSEEN)
    levels = np.linspace(0, 255, 9).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(27, 27, 3)
    after = np.asarray(transform.apply(Image.fromarray(grid)), dtype=np.int16)
    return bool(np.abs(after - grid).max() <= _UNSEEN)
