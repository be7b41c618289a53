"""Checks of a photo before it is decoded: a small file can declare a billion pixels, or a thousand passes over them."""

from __future__ import annotations

from regraft.data.decode import open_header
from regraft.data.file_types import HEADER_BYTES, photo_format, webp_size

MAX_SCANS = 100
"""Maximum number of scans of a JPEG, each a pass over the whole photo. Cameras and programs write at most 12."""

_START_OF_SCAN = b"\xff\xda"


class PhotoTooLargeError(Exception):
    """A photo that is not decoded, because this would take too much memory or time."""


def check_photo(photo: bytes, max_pixels: int) -> None:
    """Check that a photo may be decoded.

    Raises:
        PhotoTooLargeError: it has too many pixels or too many scans.
        DecodeError: it is not a photo, or its header is damaged.
    """
    kind = photo_format(photo[:HEADER_BYTES])
    declared = webp_size(photo[:HEADER_BYTES]) if kind == "WebP" else None  # opening a WebP allocates its pixels
    width, height = declared or open_header(photo).size
    if width * height > max_pixels:
        raise PhotoTooLargeError(f"it has {width:,} × {height:,} pixels; at most {max_pixels:,} are accepted")
    if kind == "JPEG" and photo.count(_START_OF_SCAN) > MAX_SCANS:
        raise PhotoTooLargeError(f"it has {photo.count(_START_OF_SCAN):,} scans; at most {MAX_SCANS} are accepted")
