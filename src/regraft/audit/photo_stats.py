"""`Glance`: what the audit keeps of a photo, taken while it is decoded for the network anyway."""

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

GREY = 64
"""Side of the small grey version that photos are compared by, in pixels."""

_KINDS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WebP", "HEIC", "AVIF")
_TAKEN, _TAKEN_BEFORE, _EXIF = 0x9003, 0x0132, 0x8769
_HEAD = struct.Struct("<QIIBB?xd3f16s8s")
PACKED = (_HEAD.size + GREY * GREY) // 4
"""Numbers in float32 that a packed glance takes."""

VERSION = "glance1"
"""Changes whenever the same photo may give another glance."""


@dataclass(frozen=True, slots=True)
class Glance:
    """A photo in about four kilobytes.

    Attributes:
        size: of the file, in bytes.
        width: of the photo as it is stored, in pixels.
        height: likewise.
        kind: its format, such as ``"JPEG"``, whatever its name says.
        mode: how its pixels are stored, in Pillow's words, such as ``"RGB"`` or ``"CMYK"``.
        held: the Exif orientation, 1 (upright) to 8.
        animated: whether it has more than one frame.
        taken: when it was taken by its camera's clock, in seconds since 1970, or NaN where the file does not say.
        colour: mean of red, green and blue, in [0, 255], to the nearest level.
        pixels: a hash of what the network sees of it, 16 bytes.
        grey: the whole photo, upright, squeezed to (64, 64), uint8.
    """

    size: int
    width: int
    height: int
    kind: str
    mode: str
    held: int
    animated: bool
    taken: float
    colour: tuple[float, float, float]
    pixels: bytes
    grey: NDArray[np.uint8]

    def pack(self) -> NDArray[np.float32]:
        """Return the glance as a row that a feature store can keep; its numbers are bytes in disguise."""
        head = _HEAD.pack(
            self.size, self.width, self.height, _KINDS.index(self.kind), self.held, self.animated, self.taken,
            *self.colour, self.pixels, self.mode.encode()[:8],
        )  # fmt: skip
        return np.frombuffer(head + self.grey.tobytes(), dtype=np.float32)

    @classmethod
    def unpack(cls, row: NDArray[np.float32]) -> Glance | None:
        """Return what `pack` packed, or None where it is something else."""
        data = np.ascontiguousarray(row).tobytes()
        if len(data) != _HEAD.size + GREY * GREY:
            return None
        size, width, height, kind, held, animated, taken, r, g, b, pixels, mode = _HEAD.unpack_from(data)
        grey = np.frombuffer(data, dtype=np.uint8, offset=_HEAD.size).reshape(GREY, GREY)
        name = mode.rstrip(b"\0").decode()
        return cls(size, width, height, _KINDS[kind], name, held, animated, taken, (r, g, b), pixels, grey)


def look(entry: Entry, p: Preprocessing) -> tuple[NDArray[np.uint8], Glance]:
    """Decode a photo once: what the network sees, shape (H, W, 3), uint8, and the glance.

    Raises:
        DecodeError: it cannot be decoded, or is no longer the file that was scanned.
    """
    data = read_verified(entry)
    image = read_photo(data, at_least=p.at_least)
    pixels = evaluation_pixels(image, p)
    return pixels, glance_of(data, image, pixels)


def glance_of(data: bytes, image: Image.Image, pixels: NDArray[np.uint8]) -> Glance:
    """Return the glance of a photo from its bytes, the decoded photo and what the network sees of it."""
    kind = photo_format(data[:HEADER_BYTES])
    assert kind is not None
    header = reader_class(kind)(io.BytesIO(data))
    width, height = header.size
    seen = hashlib.sha1(f"{width} {height}".encode(), usedforsecurity=False)  # processors have instructions for it
    seen.update(np.ascontiguousarray(pixels).data)
    small = image.resize((GREY, GREY), Image.Resampling.BOX, reducing_gap=2.0)
    red, green, blue = small.reduce(GREY).getpixel((0, 0))  # type: ignore[misc]
    return Glance(
        size=len(data),
        width=width,
        height=height,
        kind=kind,
        mode=str(header.mode),
        held=exif_orientation(header),
        animated=bool(getattr(header, "is_animated", False)),
        taken=_taken(header),
        colour=(float(red), float(green), float(blue)),
        pixels=seen.digest()[:16],
        grey=np.asarray(small.convert("L")),
    )


def _taken(header: Image.Image) -> float:
    """Return the camera's time in seconds, as if its clock went by UTC; only differences between them mean anything."""
    try:
        exif = header.getexif()
        said = exif.get_ifd(_EXIF).get(_TAKEN) or exif.get(_TAKEN_BEFORE)
        return datetime.strptime(str(said).strip("\0 "), "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
    except Exception:  # noqa: BLE001 - broken Exif raises almost anything, and the photo itself is fine
        return float("nan")
