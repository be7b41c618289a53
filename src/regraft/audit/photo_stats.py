"""`PhotoStats`: what the audit keeps of a photo, taken while it is decoded for the network anyway."""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regraft.data.colour import exif_orientation
from regraft.data.decode import read_photo, reader_class
from regraft.data.file_types import HEADER_BYTES, photo_format
from regraft.data.manifest import Entry
from regraft.data.photo_task import read_verified
from regraft.data.preprocessing import Preprocessing, evaluation_pixels

warnings.filterwarnings("ignore", message="Corrupt EXIF data", module="PIL")  # it is read for its time alone

GRAY_SIDE = 64
"""Side of the small gray version that photos are compared by, in pixels."""

_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WebP", "HEIC", "AVIF")
_DATE_TIME_ORIGINAL, _DATE_TIME, _EXIF_IFD = 0x9003, 0x0132, 0x8769
_HEADER = struct.Struct("<QIIBB?xd3f16s8s")
PACKED_LENGTH = (_HEADER.size + GRAY_SIDE * GRAY_SIDE) // 4
"""Numbers in float32 that a packed stats takes."""

VERSION = "glance1"
"""Changes whenever the same photo may give another stats."""


@dataclass(frozen=True, slots=True)
class PhotoStats:
    """A photo in about four kilobytes.

    Attributes:
        file_size: of the file, in bytes.
        width: of the photo as it is stored, in pixels.
        height: likewise.
        format: its format, such as ``"JPEG"``, whatever its name says.
        mode: how its pixels are stored, in Pillow's words, such as ``"RGB"`` or ``"CMYK"``.
        exif_orientation: the Exif orientation, 1 (upright) to 8.
        animated: whether it has more than one frame.
        captured_at: when it was taken by its camera's clock, in seconds since 1970, or NaN where the file does not say.
        mean_color: mean of red, green and blue, in [0, 255], to the nearest level.
        pixel_hash: a hash of what the network sees of it, 16 bytes.
        gray: the whole photo, upright, squeezed to (64, 64), uint8.
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
        """Return the stats as a row that a feature store can keep; its numbers are bytes in disguise."""
        head = _HEADER.pack(
            self.file_size, self.width, self.height, _FORMATS.index(self.format), self.exif_orientation, self.animated,
            self.captured_at, *self.mean_color, self.pixel_hash, self.mode.encode()[:8],
        )  # fmt: skip
        return np.frombuffer(head + self.gray.tobytes(), dtype=np.float32)

    @classmethod
    def unpack(cls, row: NDArray[np.float32]) -> PhotoStats | None:
        """Return what `pack` packed, or None where it is something else."""
        data = np.ascontiguousarray(row).tobytes()
        if len(data) != _HEADER.size + GRAY_SIDE * GRAY_SIDE:
            return None
        size, width, height, kind, held, animated, taken, r, g, b, pixels, mode = _HEADER.unpack_from(data)
        gray = np.frombuffer(data, dtype=np.uint8, offset=_HEADER.size).reshape(GRAY_SIDE, GRAY_SIDE)
        name = mode.rstrip(b"\0").decode()
        return cls(size, width, height, _FORMATS[kind], name, held, animated, taken, (r, g, b), pixels, gray)


def decode_with_stats(entry: Entry, p: Preprocessing) -> tuple[NDArray[np.uint8], PhotoStats]:
    """Decode a photo once: what the network sees, shape (H, W, 3), uint8, and the stats.

    Raises:
        DecodeError: it cannot be decoded, or is no longer the file that was scanned.
    """
    data = read_verified(entry)
    image = read_photo(data, at_least=p.at_least)
    pixels = evaluation_pixels(image, p)
    return pixels, measure_photo(data, image, pixels)


def measure_photo(data: bytes, image: Image.Image, pixels: NDArray[np.uint8]) -> PhotoStats:
    """Return the stats of a photo from its bytes, the decoded photo and what the network sees of it."""
    kind = photo_format(data[:HEADER_BYTES])
    assert kind is not None
    header = reader_class(kind)(io.BytesIO(data))
    width, height = header.size
    seen = hashlib.sha1(f"{width} {height}".encode(), usedforsecurity=False)  # processors have instructions for it
    seen.update(np.ascontiguousarray(pixels).data)
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
        pixel_hash=seen.digest()[:16],
        gray=np.asarray(small.convert("L")),
    )


def _captured_at(header: Image.Image) -> float:
    """Return the camera's time in seconds, as if its clock went by UTC; only differences between them mean anything."""
    try:
        exif = header.getexif()
        said = exif.get_ifd(_EXIF_IFD).get(_DATE_TIME_ORIGINAL) or exif.get(_DATE_TIME)
        return datetime.strptime(str(said).strip("\0 "), "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
    except Exception:  # noqa: BLE001 - broken Exif raises almost anything, and the photo itself is fine
        return float("nan")
