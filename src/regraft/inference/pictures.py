"""Pictures in the forms that programs have them: files, bytes, file objects, PIL images, arrays and tensors."""

from __future__ import annotations

import glob
import hashlib
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from regraft.data.archives.address import address_of
from regraft.data.decode import MinSize, as_rgb, read_photo
from regraft.data.decoding.rendering import Rendering
from regraft.errors import ConfigError, PhotosError

if TYPE_CHECKING:
    from PIL.Image import Image

Channels: TypeAlias = Literal["rgb", "bgr"]

EXPECTED = "a path, a PIL image, bytes, a file object, an array or a tensor"
_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]+:/|data:)", re.IGNORECASE)


@dataclass(frozen=True)
class Picture:
    """A picture in memory.

    Attributes:
        name: for the prediction.
        source: the bytes of a photo, or a PIL image.
    """

    name: str
    source: bytes | Image

    @cached_property
    def content(self) -> str:
        """SHA-256 that the random views of the picture depend on: that of the bytes, or of the pixels."""
        data = self.source if isinstance(self.source, bytes) else as_rgb(self.source).tobytes()
        return hashlib.sha256(data).hexdigest()

    def rgb(self, rendering: Rendering, at_least: MinSize) -> Image:
        """Return the picture as `regraft.data.decode.read_photo` decodes it.

        Raises:
            DecodeError: it cannot be decoded.
        """
        if isinstance(self.source, bytes):
            return read_photo(self.source, at_least=at_least, rendering=rendering)
        return as_rgb(self.source, rendering)


def is_one_photo(photos: Any) -> bool:
    """Return whether ``photos`` is one photo, and not a collection, a pattern or a batch."""
    if isinstance(photos, str):
        return not _is_pattern(photos)
    if _is_column(photos):
        return False
    if isinstance(photos, (Path, bytes, bytearray, memoryview)) or hasattr(photos, "read") or _is_pil(photos):
        return True
    return _is_array(photos) and np.ndim(_as_array(photos)) < 4


def photo_forms(photos: Any, channels: Channels = "rgb") -> Iterator[Path | Picture]:
    """Yield each photo of ``photos`` as a path or as a picture in memory.

    Args:
        photos: a photo in any form, a pattern such as ``"new/*.jpg"``, a batch of arrays, or an iterable of these.
        channels: order of the channels of arrays and tensors.

    Raises:
        ConfigError: something is not a photo in any form, or its values or its shape have no meaning.
        PhotosError: an address in the web, or a pattern that matches nothing.
    """
    if channels not in ("rgb", "bgr"):
        raise ConfigError(f"channels: expected 'rgb' or 'bgr', found {channels!r}")
    if _is_column(photos):
        photos = list(photos)
    if is_one_photo(photos) or isinstance(photos, str) or _is_array(photos):
        yield from _forms_of_one(photos, channels)
        return
    if not isinstance(photos, Iterable):
        raise ConfigError(f"photos: expected {EXPECTED}, or several of them; found a {type(photos).__name__}")
    for photo in photos:
        yield from _forms_of_one(photo, channels)


def refuse_address(name: str) -> None:
    """Refuse the address of a photo in the web; those of storage, such as ``s3://``, are read.

    Raises:
        PhotosError: ``name`` is one.
    """
    if _ADDRESS.match(name) and address_of(name) is None and not Path(name).exists():
        raise PhotosError(
            f"{name[:200]} is an address: regraft loads nothing from the network\n"
            "  download the photo, and give the path of its file (or its bytes, in Python)"
        )


def _forms_of_one(photo: Any, channels: Channels) -> Iterator[Path | Picture]:
    if _is_array(photo):
        yield from (Picture("array", image) for image in _images(photo, channels))
        return
    if channels != "rgb":
        raise ConfigError(f"channels={channels!r} applies to arrays and tensors; found a {type(photo).__name__}")
    if isinstance(photo, (str, Path)):
        refuse_address(str(photo))
        yield from _matches(photo) if isinstance(photo, str) and _is_pattern(photo) else [Path(photo)]
    elif isinstance(photo, (bytes, bytearray, memoryview)):
        yield Picture("bytes", bytes(photo))
    elif _is_pil(photo):
        name = str(getattr(photo, "filename", "") or "image")
        yield Picture(name, _unread_file(photo) or photo)
    elif hasattr(photo, "read"):
        yield _of_file(photo)
    else:
        raise ConfigError(f"photos: expected {EXPECTED}, found a {type(photo).__name__}")


def _is_pattern(text: str) -> bool:
    return glob.has_magic(text) and not Path(text).exists() and not _ADDRESS.match(text)


def _matches(pattern: str) -> list[Path]:
    paths = [Path(path) for path in sorted(glob.glob(pattern, recursive=True))]
    if not paths:
        raise PhotosError(f"no photo matches {pattern!r}")
    return paths


def _of_file(file: Any) -> Picture:
    data = file.read()
    name = getattr(file, "name", None) or getattr(file, "filename", None)
    if not isinstance(data, (bytes, bytearray)):
        raise ConfigError(f"photos: expected a file object that reads bytes, found one that reads {type(data).__name__}"
                          "\n  open the file with mode 'rb'")  # fmt: skip
    return Picture(name if isinstance(name, str) else "file", bytes(data))


def _is_array(photo: Any) -> bool:
    return hasattr(photo, "__array__") and not isinstance(photo, (str, bytes)) and not _is_pil(photo)


def _is_column(photos: Any) -> bool:
    """Return whether ``photos`` is an array or a column of a table that contains paths or other forms of photos."""
    if not _is_array(photos) or hasattr(photos, "detach"):
        return False
    array = np.asarray(photos)
    return array.ndim == 1 and array.dtype.kind in "OUST"


def _is_pil(photo: Any) -> bool:
    return hasattr(photo, "getexif") and hasattr(photo, "convert")


def _unread_file(image: Any) -> bytes | None:
    """Return the bytes of a file that PIL has opened and not decoded yet, so that it is decoded as every file is."""
    file = getattr(image, "fp", None)
    if not getattr(image, "tile", None) or file is None or getattr(image, "decoderconfig", None) or image.tell():
        return None
    try:
        place = file.tell()
        file.seek(0)
        data = file.read()
        file.seek(place)
    except (OSError, ValueError, io.UnsupportedOperation):
        return None
    return bytes(data)


def _as_array(photo: Any) -> NDArray[Any]:
    return np.asarray(photo.detach().cpu().numpy() if hasattr(photo, "detach") else photo)


def _images(photo: Any, channels: Channels) -> list[Image]:
    """Return the pictures of an array or a tensor: one, or one for each element of a batch."""
    from PIL import Image

    array = _as_array(photo)
    if array.size == 0 or array.ndim not in (2, 3, 4):
        raise ConfigError(
            "photos: expected an array of shape (height, width, 3), (height, width) or a batch of them, "
            f"found shape {array.shape}"
        )
    first = hasattr(photo, "detach")  # torch has the channels first
    if array.dtype.kind == "f":
        array = _eight_bits(array)  # together: a dark picture has the scale of the others
    batch = array if array.ndim == 4 else array[None]
    return [Image.fromarray(_pixels(one, channels, channels_first=first)) for one in batch]


def _pixels(array: NDArray[Any], channels: Channels, *, channels_first: bool) -> NDArray[Any]:
    """Return the pixels of one picture, shape (H, W), (H, W, 3) or (H, W, 4), uint8; or 16-bit gray, shape (H, W)."""
    if array.ndim == 3:
        first, last = array.shape[0] in (1, 3, 4), array.shape[-1] in (1, 3, 4)
        if not first and not last:
            raise ConfigError(f"photos: expected 1, 3 or 4 channels, found an array of shape {array.shape}")
        if first and (channels_first or not last):
            array = np.moveaxis(array, 0, -1)
        if array.shape[-1] == 1:
            array = array[..., 0]
    if array.dtype == np.uint16 and array.ndim == 2:
        return np.ascontiguousarray(array)
    pixels = _eight_bits(array)
    if channels == "bgr" and pixels.ndim == 3:
        pixels = np.concatenate([pixels[..., 2::-1], pixels[..., 3:]], axis=-1)
    return np.ascontiguousarray(pixels)


def _eight_bits(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Return values of 0 to 255: integers as they are, and floating-point numbers of 0 to 1 scaled."""
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * 255
    if array.dtype.kind not in "iuf":
        raise ConfigError(f"photos: expected an array of numbers, found {array.dtype}")
    low, high = float(array.min()), float(array.max())
    if not (low >= 0 and high <= 255):  # also true for NaN
        raise ConfigError(
            f"photos: expected pixels of 0 to 255, or of 0 to 1, found values from {low:g} to {high:g}"
            "\n  pass the picture itself, before any normalization"
        )
    scaled = array * 255.0 if array.dtype.kind == "f" and high <= 1 else array
    return np.round(scaled).astype(np.uint8)
