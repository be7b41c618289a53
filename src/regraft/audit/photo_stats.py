"""`PhotoStats`: the data on a photo that the audit needs, computed while the photo is decoded for the network."""

from __future__ import annotations

import hashlib
import struct
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regraft.data.decode import open_header, read_photo
from regraft.data.decoding.colour import exif_orientation
from regraft.data.file_types import HEADER_BYTES, photo_format
from regraft.data.loading.photo_task import read_verified
from regraft.data.manifest import Entry
from regraft.data.preprocessing import Preprocessing, evaluation_pixels

for _text in ("Corrupt EXIF data", "Truncated File Read", "Tag data larger than file", "Metadata Warning"):
    warnings.filterwarnings("ignore", message=_text, module="PIL")  # the reason of a failure is reported with the file

GRAY_SIDE = 64
"""Side of the small gray image of each photo, in pixels; photos are compared by it."""

_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WebP", "HEIC", "AVIF", "JPEG 2000", "PNM", "TGA", "ICO", "QOI")
_DATE_TIME_ORIGINAL, _DATE_TIME, _EXIF_IFD = 0x9003, 0x0132, 0x8769
_HEADER = struct.Struct("<QIIBB?xd3f16s8s")
PACKED_LENGTH = (_HEADER.size + GRAY_SIDE * GRAY_SIDE) // 4
"""Number of float32 values in packed stats."""

VERSION = "glance1"
"""Version of the stats; it changes if a photo may have other stats than before."""


@dataclass(frozen=True, slots=True)
class PhotoStats:
    """Hashes, sizes and a small gray image of a photo, about four kilobytes.

    Attributes:
        file_size: size of the file, in bytes.
        width: width of the photo as it is stored, in pixels.
        height: height of the photo as it is stored, in pixels.
        format: the file's format by content, such as ``"JPEG"``.
        mode: Pillow's mode of the stored pixels, such as ``"RGB"`` or ``"CMYK"``.
        exif_orientation: the Exif orientation, 1 (upright) to 8.
        animated: whether it has more than one frame.
        captured_at: capture time by the camera's clock, in seconds since 1970; NaN if the file does not contain it.
        mean_color: mean of red, green and blue, in [0, 255], rounded to integers.
        pixel_hash: hash of the evaluation pixels and the size of the photo, 16 bytes.
        gray: the whole photo, upright, resized to (64, 64), uint8.
    """

    file_size: int
    width: int
    height: int
    format: str
    mode: str
    exif_orientation: int
    animated: bool
    captured_at: float
    mean_color: tuple[float, float, float]
    pixel_hash: bytes
    gray: NDArray[np.uint8]

    def pack(self) -> NDArray[np.float32]:
        """Return the stats as a row for a feature store: bytes, viewed as float32 values."""
        head = _HEADER.pack(
            self.file_size, self.width, self.height, _FORMATS.index(self.format), self.exif_orientation, self.animated,
            self.captured_at, *self.mean_color, self.pixel_hash, self.mode.encode()[:8],
        )  # fmt: skip
        return np.frombuffer(head + self.gray.tobytes(), dtype=np.float32)

    @classmethod
    def unpack(cls, row: NDArray[np.float32]) -> PhotoStats | None:
        """Return the stats that `pack` packed, or None if the row has another length."""
        data = np.ascontiguousarray(row).tobytes()
        if len(data) != _HEADER.size + GRAY_SIDE * GRAY_SIDE:
            return None
        size, width, height, kind, orientation, animated, time, r, g, b, pixel_hash, mode = _HEADER.unpack_from(data)
        gray = np.frombuffer(data, dtype=np.uint8, offset=_HEADER.size).reshape(GRAY_SIDE, GRAY_SIDE)
        name = mode.rstrip(b"\0").decode()
        color = (r, g, b)
        format_ = _FORMATS[kind]
        return cls(size, width, height, format_, name, orientation, animated, time, color, pixel_hash, gray)


def decode_with_stats(entry: Entry, p: Preprocessing) -> tuple[NDArray[np.uint8], PhotoStats]:
    """Return the evaluation pixels of a photo, shape (H, W, 3), uint8, and its stats, from one decoding.

    Raises:
        DecodeError: it cannot be decoded, or the file has changed since the scan.
    """
    data = read_verified(entry)
    image = read_photo(data, at_least=p.at_least, rendering=p.rendering)
    pixels = evaluation_pixels(image, p)
    return pixels, measure_photo(data, image, pixels)


def measure_photo(data: bytes, image: Image.Image, pixels: NDArray[np.uint8]) -> PhotoStats:
    """Return the stats of a photo from its bytes, the decoded image and its evaluation pixels."""
    kind = photo_format(data[:HEADER_BYTES])
    assert kind is not None
    header = open_header(data)
    width, height = header.size
    digest = hashlib.sha1(f"{width} {height}".encode(), usedforsecurity=False)  # fast on processors
    digest.update(np.ascontiguousarray(pixels).data)
    small = image.resize((GRAY_SIDE, GRAY_SIDE), Image.Resampling.BOX, reducing_gap=2.0)
    red, green, blue = small.reduce(GRAY_SIDE).getpixel((0, 0))  # type: ignore[misc]
    return PhotoStats(
        file_size=len(data),
        width=width,
        height=height,
        format=kind,
        mode=str(header.mode),
        exif_orientation=exif_orientation(header),
        animated=bool(getattr(header, "is_animated", False)),
        captured_at=_captured_at(header),
        mean_color=(float(red), float(green), float(blue)),
        pixel_hash=digest.digest()[:16],
        gray=np.asarray(small.convert("L")),
    )


def _captured_at(header: Image.Image) -> float:
    """Return the capture time in seconds as if it were in UTC; only differences of such times are meaningful."""
    try:
        exif = header.getexif()
        text = exif.get_ifd(_EXIF_IFD).get(_DATE_TIME_ORIGINAL) or exif.get(_DATE_TIME)
        return datetime.strptime(str(text).strip("\0 "), "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
    except Exception:  # noqa: BLE001 - broken Exif raises various errors; the photo itself is fine
        return float("nan")
