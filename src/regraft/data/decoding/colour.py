"""Conversion of any image that Pillow reads to upright 8-bit sRGB, which pretrained networks were trained on.

Embedded color profiles (ICC.1), bit depths, transparency and Exif orientation are applied.
"""

from __future__ import annotations

import functools
import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from regraft.data.decoding.rendering import FULL_RANGE, PLAIN, Rendering, ground_level

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.ImageCms import ImageCmsTransform


_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
_MAX_INVISIBLE_SHIFT = 3
"""A profile that changes no color by more than this many of 255 levels is treated as sRGB."""


def to_srgb(image: Image.Image, profile: object) -> Image.Image:
    """Return ``image`` (mode L, RGB or CMYK) in sRGB, mode RGB.

    Args:
        image: the image to convert.
        profile: the bytes of the ICC profile embedded in the file, or None. A broken profile, or one for another mode,
            is ignored as in browsers.
    """
    transform = _transform(profile, image.mode) if isinstance(profile, bytes) and profile else None
    if transform is None:
        return image if image.mode == "RGB" else image.convert("RGB")
    return transform.apply(image)


def lab_to_srgb(image: Image.Image) -> Image.Image:
    """Return a CIELAB image (mode LAB, from TIFF) in sRGB, mode RGB."""
    from PIL import ImageCms

    source, target = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(source, target, "LAB", "RGB").apply(image)


@functools.lru_cache(maxsize=64)
def _transform(profile: bytes, mode: str) -> ImageCmsTransform | None:
    """Return the transform of a profile, or None if there is nothing to convert; each is built once."""
    try:
        from PIL import ImageCms

        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != _SPACES[mode]:
            return None
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
        return None if _changes_nothing(transform, mode) else transform
    except Exception:  # noqa: BLE001 - LittleCMS raises various errors for a broken profile; the photo itself is fine
        return None


def _changes_nothing(transform: ImageCmsTransform, mode: str) -> bool:
    if mode == "CMYK":
        return False
    if mode == "L":
        before = np.arange(256, dtype=np.uint8)[None, :]
        gray = np.asarray(transform.apply(Image.fromarray(before)), dtype=np.int16)
        return bool(np.abs(gray - before[..., None]).max() <= _MAX_INVISIBLE_SHIFT)
    levels = np.linspace(0, 255, 9).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(27, 27, 3)
    after = np.asarray(transform.apply(Image.fromarray(grid)), dtype=np.int16)
    return bool(np.abs(after - grid).max() <= _MAX_INVISIBLE_SHIFT)


EXIF_ORIENTATION = 0x0112
_STRIP = 1 << 22
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def exif_orientation(image: Image.Image) -> int:
    """Return the Exif orientation, 1 (upright) to 8 (Exif 2.32, table 4); 1 if it is missing or invalid."""
    try:
        value = image.getexif().get(EXIF_ORIENTATION)
    except Exception:  # noqa: BLE001 - broken Exif raises various errors; the photo itself is fine
        return 1
    return value if isinstance(value, int) and value in _UPRIGHT else 1


def turn_upright(image: Image.Image, orientation: int) -> Image.Image:
    """Return the image upright, given its Exif orientation (1 to 8)."""
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def to_rgb(image: Image.Image, rendering: Rendering = PLAIN, ground: int | None = None) -> Image.Image:
    """Return a loaded image as 8-bit sRGB, mode RGB, on an opaque ground.

    16-bit gray is scaled so that ``rendering.white_level`` becomes 255. For other integers and floating-point values,
    the range is [0, 1] (floating point only), [0, 255] or [0, 65535], whichever is the first to contain all values, and
    otherwise [minimum, maximum].
    Of 16 bits per color channel, Pillow reads the upper 8.

    Args:
        image: the image.
        rendering: the white level of 16-bit gray, and the rule for the ground.
        ground: gray level of the ground, if it is decided already.
    """
    profile = image.info.get("icc_profile")
    if image.mode == "LAB":
        return lab_to_srgb(image)
    if image.mode.startswith("I") or image.mode == "F":
        image = Image.fromarray(_to_levels(np.asarray(image), rendering.white_level))
    if image.has_transparency_data:
        return _on_ground(image.convert("RGBA"), profile, rendering, ground)
    if image.mode not in {"L", "RGB", "CMYK"}:
        image = image.convert("RGB")
    return to_srgb(image, profile)


def to_rgb_in_strips(image: Image.Image, factor: int, rendering: Rendering = PLAIN) -> Image.Image:
    """Return the result of `to_rgb` for a large image, computed in strips to avoid a second full-size copy.

    Args:
        image: the image to convert. Values of more than 8 bits are converted at once, because their range is that of
            the whole image.
        factor: factor of reduction, by averaging squares of that side.
        rendering: the white level of 16-bit gray, and the rule for the ground.
    """
    if image.mode.startswith("I") or image.mode == "F":
        whole = to_rgb(image, rendering)
        return whole.reduce(factor) if factor > 1 else whole
    width, height = image.size
    small = Image.new("RGB", (-(-width // factor), -(-height // factor)))
    ground = None
    if image.has_transparency_data and rendering.ground != "white":
        ground = ground_level(image.resize((1024, 1024), Image.Resampling.NEAREST).convert("RGBA"), rendering.ground)
    rows = factor * max(_STRIP // width // factor, 1)
    for top in range(0, height, rows):
        strip = to_rgb(image.crop((0, top, width, min(top + rows, height))), rendering, ground)
        small.paste(strip.reduce(factor) if factor > 1 else strip, (0, top // factor))
    return small


def _on_ground(image: Image.Image, profile: object, rendering: Rendering, ground: int | None) -> Image.Image:
    alpha = image.getchannel("A")
    colour = to_srgb(image.convert("RGB"), profile)
    if alpha.getextrema() == (255, 255):
        return colour
    if ground is None:
        visible = colour.copy()
        visible.putalpha(alpha)
        ground = ground_level(visible, rendering.ground)
    return Image.composite(colour, Image.new("RGB", image.size, (ground, ground, ground)), alpha)


def _to_levels(values: NDArray[np.generic], white_level: int) -> NDArray[np.uint8]:
    """Return (H, W) numbers of any type as 8-bit levels."""
    if white_level != FULL_RANGE and values.dtype.kind in "iu" and values.min() >= 0 and values.max() <= FULL_RANGE:
        scaled = (np.minimum(values.astype(np.uint32), white_level) * 255 + white_level // 2) // white_level
        return scaled.astype(np.uint8)
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        return ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    numbers = values.astype(np.float64)
    finite = np.isfinite(numbers)
    if not finite.all():
        numbers = np.where(finite, numbers, numbers[finite].min() if finite.any() else 0.0)
    low, high = float(numbers.min()), float(numbers.max())
    if low < 0 or high > 65535:
        numbers = (numbers - low) * (255 / (high - low)) if high > low else np.zeros_like(numbers)
    elif high > 255:
        numbers /= 257
    elif high <= 1 and values.dtype.kind == "f":
        numbers *= 255
    return np.rint(numbers).astype(np.uint8)
