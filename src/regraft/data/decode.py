"""Decoding of one photo to upright 8-bit sRGB in bounded memory, or a `DecodeError` with the reason.

After a failure, the file is decoded again to report the share of its rows that could be read.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import PIL
from PIL import Image, ImageFile

from regraft.data.decoding.colour import exif_orientation, to_rgb, to_rgb_in_strips, turn_upright
from regraft.data.decoding.decodable_share import decodable_share
from regraft.data.decoding.jpeg_damage import can_be_checked, load_jpeg
from regraft.data.decoding.png_chunks import without_oversized_chunks
from regraft.data.decoding.rendering import PLAIN, Rendering
from regraft.data.decoding.tiff_samples import describe_unsupported
from regraft.data.file_types import (
    HEADER_BYTES,
    describe_non_photo,
    photo_format,
    read_regular,
    webp_size,
    why_unreadable,
)
from regraft.errors import DecodeError

DECODER = f"decode1-pillow{PIL.__version__}"
"""Version of the decoded pixels; part of every key of cached features."""

MAX_PIXELS = 250_000_000
"""Photos with more pixels after scaled decoding are refused: a small file can declare any size."""

LARGE_PIXELS = 40_000_000
"""Photos with more pixels are decoded one at a time, whatever the number of threads, and converted in strips."""

Size: TypeAlias = tuple[int, int]
"""(width, height) in pixels, in Pillow's order."""

MinSize: TypeAlias = Size | Callable[[Size], Size] | None

logging.getLogger("PIL").addHandler(logging.NullHandler())  # without a handler, Python prints errors of Pillow

_LARGE_PHOTO_LOCK = threading.Lock()
_REFUSE_LARGE: list[bool] = []
_EIGHT_BITS = frozenset({"1", "L", "P", "LA", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "La", "RGBa"})

_READERS = {
    "JPEG": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "PNG": ("PIL.PngImagePlugin", "PngImageFile"),
    "GIF": ("PIL.GifImagePlugin", "GifImageFile"),
    "BMP": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "TIFF": ("PIL.TiffImagePlugin", "TiffImageFile"),
    "WebP": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "AVIF": ("PIL.AvifImagePlugin", "AvifImageFile"),
    "HEIC": ("pillow_heif.as_plugin", "HeifImageFile"),
    "JPEG 2000": ("PIL.Jpeg2KImagePlugin", "Jpeg2KImageFile"),
    "PNM": ("PIL.PpmImagePlugin", "PpmImageFile"),
    "TGA": ("PIL.TgaImagePlugin", "TgaImageFile"),
    "ICO": ("PIL.IcoImagePlugin", "IcoImageFile"),
    "QOI": ("PIL.QoiImagePlugin", "QoiImageFile"),
}
INSTALL_HINTS = {
    "HEIC": "HEIC photos need an optional package: pip install 'regraft[heic]'",
    "AVIF": "AVIF photos need Pillow 11.3 or later: pip install -U pillow",
}
"""Reason of files that a package not installed would decode, by format."""


def read_photo(
    source: Path | bytes, *, at_least: MinSize = None, rendering: Rendering = PLAIN, damaged_too: bool = False
) -> Image.Image:
    """Return a decoded photo: its first frame, upright by Exif, 8-bit sRGB, on an opaque ground.

    Args:
        source: the file, or its bytes.
        at_least: (width, height) that the photo will be resized to, or a function that returns it for the full upright
            (width, height). A JPEG is decoded at 1/2, 1/4 or 1/8 scale if at least twice that size remains, so that
            the later resampling loses nothing. Other photos are reduced in the same way if they have more than
            `LARGE_PIXELS` pixels.
        rendering: the white level of 16-bit gray, and the ground of transparent photos.
        damaged_too: whether to return a JPEG whose damage left it decodable, for people to look at.

    Returns:
        An image of mode RGB.

    Raises:
        DecodeError: the photo cannot be decoded; the message is the reason, without the file's name.
    """
    data = source if isinstance(source, bytes) else _read(source)
    kind = _format(data)
    image = _open(data, kind)
    large = image.width * image.height > LARGE_PIXELS
    if large and _REFUSE_LARGE:
        raise LargePhotoRefused
    try:
        with _LARGE_PHOTO_LOCK if large else contextlib.nullcontext():
            return _decode(image, data, kind, at_least, rendering, damaged_too=damaged_too)
    except DecodeError:
        raise
    except MemoryError:
        raise DecodeError(f"needs more memory than is available ({_megapixels(image.size)})") from None
    except Exception as error:
        raise DecodeError(_damage_reason(error, data, kind)) from error


class LargePhotoRefused(Exception):  # noqa: N818  (it is not an error)
    """A photo with more than `LARGE_PIXELS` pixels, in a process that does not decode such photos."""


def refuse_large_photos() -> None:
    """Make `read_photo` raise `LargePhotoRefused` for large photos from now on.

    Large photos are decoded one at a time under a lock, which separate processes cannot share.
    """
    _REFUSE_LARGE.append(True)


def as_rgb(image: Image.Image, rendering: Rendering = PLAIN) -> Image.Image:
    """Return any PIL image as `read_photo` would decode it: upright, 8-bit sRGB, on an opaque ground.

    Raises:
        DecodeError: its pixels cannot be loaded.
    """
    try:
        image.load()
        return turn_upright(to_rgb(image, rendering), exif_orientation(image))
    except Exception as error:
        raise DecodeError(f"cannot be decoded: {_first_line(error)}") from error


def _read(path: Path) -> bytes:
    try:
        return read_regular(path)
    except OSError as error:
        raise DecodeError(why_unreadable(error, path)) from error
    except ValueError as error:  # a NUL in the name
        raise DecodeError(f"cannot be read: {error}") from error


def _open(data: bytes, kind: str) -> ImageFile.ImageFile:
    """Return the file opened by the reader of its format alone.

    ``Image.open`` would try every format, even Ghostscript, and warn about sizes that are bounded here.
    """
    claimed = webp_size(data[:HEADER_BYTES]) if kind == "WebP" else None
    if claimed is not None and claimed[0] * claimed[1] > MAX_PIXELS // 2:  # opening it allocates twice its pixels
        raise DecodeError(f"too large: {claimed[0]:,} × {claimed[1]:,} pixels")
    try:
        image: ImageFile.ImageFile = reader_class(kind)(io.BytesIO(without_oversized_chunks(data)))
    except (ImportError, DecodeError) as error:
        raise DecodeError(INSTALL_HINTS.get(kind, str(error))) from error
    except Exception as error:
        unsupported = describe_unsupported(data) if kind == "TIFF" else ""
        raise DecodeError(unsupported or f"its header is damaged or cut off{_reason(error)}") from error
    if min(image.size) < 1:
        raise DecodeError("it has no pixels")
    return image


def open_photo(path: Path) -> ImageFile.ImageFile:
    """Return a file opened by the reader of its format, its pixels not loaded yet.

    Raises:
        DecodeError: it cannot be read, is not a photo, or its header is damaged.
    """
    data = _read(path)
    return _open(data, _format(data))


def open_header(data: bytes) -> ImageFile.ImageFile:
    """Return a photo opened from its bytes, its pixels not loaded yet; errors are those of `open_photo`."""
    return _open(data, _format(data))


def _format(data: bytes) -> str:
    kind = photo_format(data[:HEADER_BYTES])
    if kind is None:
        raise DecodeError(f"not a photo: {describe_non_photo(data[:HEADER_BYTES])}")
    return kind


def reader_class(kind: str) -> Callable[[io.BytesIO], Any]:
    """Return the class of Pillow that opens a file of the format ``kind``.

    Raises:
        ImportError: it needs a package that is not installed.
    """
    module, name = _READERS[kind]
    image_file: Callable[[io.BytesIO], Any] = getattr(importlib.import_module(module), name)
    return image_file


def _decode(
    image: ImageFile.ImageFile, data: bytes, kind: str, at_least: MinSize, rendering: Rendering, *, damaged_too: bool
) -> Image.Image:
    orientation = exif_orientation(image) if kind == "JPEG" else 1
    _shrink(image, kind, _needed_as_stored(at_least, image.size, orientation))
    damage = load_jpeg(image, data) if kind == "JPEG" else ""
    if damage and not damaged_too:
        raise DecodeError(damage)
    image.load()
    if ImageFile.LOAD_TRUNCATED_IMAGES and not (kind == "JPEG" and can_be_checked(data)):
        # set by the user; it must not turn damaged photos into gray ones
        _refuse_truncated(data, kind)
    if kind not in {"JPEG", "TIFF", "HEIC"}:  # Pillow rotates TIFF, and libheif HEIC, by itself
        orientation = exif_orientation(image)
    if image.width * image.height > LARGE_PIXELS:
        need = _needed_as_stored(at_least, image.size, orientation)
        converted = to_rgb_in_strips(image, _spare_factor(image.size, need) if need else 1, rendering)
    else:
        converted = to_rgb(image, rendering)
    upright = turn_upright(converted, orientation)
    upright.info = {}  # its orientation and its profile have been applied
    return upright


def _needed_as_stored(at_least: MinSize, size: Size, orientation: int) -> Size | None:
    """Return the requested (width, height) in the orientation in which the photo is stored."""
    if at_least is None:
        return None
    rotated = orientation >= 5
    need = at_least((size[1], size[0]) if rotated else size) if callable(at_least) else at_least
    return (need[1], need[0]) if rotated else need


def _spare_factor(size: Size, need: Size) -> int:
    """Return the largest factor of reduction that leaves twice the needed size; at least 1."""
    return max(min(size[0] // max(2 * need[0], 1), size[1] // max(2 * need[1], 1)), 1)


def _shrink(image: ImageFile.ImageFile, kind: str, need: Size | None) -> None:
    """Set the scale at which a JPEG is decoded, and refuse photos that are too large."""
    width, height = image.size
    # a progressive JPEG contains the coefficients of the whole image in memory, whatever the scale
    if kind == "JPEG" and (width * height <= MAX_PIXELS or not image.info.get("progressive")):
        scale = _spare_factor(image.size, need) if need else 1
        while _pixels_at(image.size, scale) > MAX_PIXELS and scale < 8:
            scale *= 2
        if scale > 1:
            image.draft(None, (max(width // scale, 1), max(height // scale, 1)))
    most = MAX_PIXELS if image.mode in _EIGHT_BITS else MAX_PIXELS // 4  # the rest is converted in float64
    if image.size[0] * image.size[1] > most:
        raise DecodeError(f"too large: {width:,} × {height:,} pixels; at most {_megapixels((most, 1))} are decoded")


def _pixels_at(size: Size, scale: int) -> int:
    step = max((s for s in (8, 4, 2, 1) if s <= scale), default=1)
    return -(-size[0] // step) * -(-size[1] // step)


def _refuse_truncated(data: bytes, kind: str) -> None:
    share = decodable_share(lambda: reader_class(kind)(io.BytesIO(data)))
    if share is not None and share < 1:
        raise DecodeError(_with_share("truncated", share))


def _damage_reason(error: Exception, data: bytes, kind: str) -> str:
    """Return the damage of a file whose header could be read."""
    reason = _first_line(error)
    cut = "truncated" in reason.lower()
    share = decodable_share(lambda: reader_class(kind)(io.BytesIO(data)))
    if cut or (share and share < 1):
        return _with_share("truncated" if cut else "damaged", share)
    return f"cannot be decoded: {reason}"


def _with_share(what: str, share: float | None) -> str:
    percent = int(100 * (share or 0))
    return f"{what} after {percent} %" if 0 < percent < 100 else what


def _reason(error: BaseException) -> str:
    """Return Pillow's message in parentheses, or an empty string if users could not understand it."""
    reason = _first_line(error)
    return "" if reason.startswith(("not identified", "unpack", "index out", "Truncated")) else f" ({reason})"


def _first_line(error: BaseException) -> str:
    first = (str(error).splitlines() or [""])[0].strip()
    return first or type(error).__name__


def _megapixels(size: Size) -> str:
    return f"{size[0] * size[1] / 1e6:,.0f} megapixels"
