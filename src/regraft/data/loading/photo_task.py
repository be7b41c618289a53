"""Tasks that load the pixels of one photo: evaluation pixels, or one view for training."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from regraft.data.augmentation import Augmentation, random_view, view_decode_size
from regraft.data.decode import read_photo
from regraft.data.file_types import read_regular, why_unreadable
from regraft.data.manifest import Entry
from regraft.data.preprocessing import Preprocessing, evaluation_pixels
from regraft.errors import DecodeError
from regraft.randomness import Part

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray


def load_plain(entry: Entry, p: Preprocessing) -> NDArray[np.uint8]:
    """Return the evaluation pixels of a photo, shape (H, W, 3), uint8.

    Raises:
        DecodeError: it cannot be decoded, or the file has changed since the scan.
    """
    return evaluation_pixels(read_photo(read_verified(entry), at_least=p.at_least, rendering=p.rendering), p)


def load_view(entry: Entry, p: Preprocessing, a: Augmentation, *key: Part) -> NDArray[np.uint8]:
    """Return one random view of a photo for training, shape (H, W, 3), uint8.

    Raises:
        DecodeError: it cannot be decoded, or the file has changed since the scan.
    """
    data = read_verified(entry)
    image = read_photo(data, at_least=lambda size: view_decode_size(size, p, a, *key), rendering=p.rendering)
    return random_view(image, p, a, *key)


def read_verified(entry: Entry) -> bytes:
    """Return the bytes of a photo's file after comparing them with its content hash.

    Raises:
        DecodeError: it cannot be read, or the file has changed since the scan.
    """
    try:
        data = read_regular(entry.path)
    except OSError as error:
        raise DecodeError(why_unreadable(error, entry.path)) from error
    if entry.content and hashlib.sha256(data).hexdigest() != entry.content:
        raise DecodeError("changed since it was scanned")
    return data


def mirror(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return pixels, shape (H, W, 3), mirrored horizontally."""
    return np.ascontiguousarray(pixels[:, ::-1])


class PhotoTask(Protocol):
    """A task on one photo as data, which, unlike a function, can be sent to another process."""

    def __hash__(self) -> int:
        """Return equal numbers for equal tasks."""

    def __call__(self, entry: Entry) -> NDArray[np.uint8]:
        """Return the result as bytes of any shape; threads may call it. An unusable photo is a `DecodeError`."""

    def as_dict(self) -> dict[str, Any]:
        """Return all fields, ready for JSON."""

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Return the task that `as_dict` described."""


@dataclass(frozen=True)
class LoadPhoto:
    """A `PhotoTask` that returns the pixels of a photo.

    Attributes:
        preprocessing: preprocessing of the backbone.
        augmentation: ranges of the random view; None for evaluation pixels.
        key: key of the random view, without the photo's content, such as ``(seed, epoch)``.
        mirrored: whether evaluation pixels are mirrored horizontally.
    """

    preprocessing: Preprocessing
    augmentation: Augmentation | None = None
    key: tuple[str | int, ...] = ()
    mirrored: bool = False

    def __call__(self, entry: Entry) -> NDArray[np.uint8]:
        """Return the pixels of a photo, shape (H, W, 3), uint8.

        Raises:
            DecodeError: it cannot be decoded, or the file has changed since the scan.
        """
        if self.augmentation is not None:
            return load_view(entry, self.preprocessing, self.augmentation, *self.key, entry.content)
        pixels = load_plain(entry, self.preprocessing)
        return mirror(pixels) if self.mirrored else pixels

    def as_dict(self) -> dict[str, Any]:
        """Return all fields, ready for JSON."""
        augmentation = None if self.augmentation is None else asdict(self.augmentation)
        return {
            "preprocessing": self.preprocessing.as_dict(),
            "augmentation": augmentation,
            "key": list(self.key),
            "mirrored": self.mirrored,
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> LoadPhoto:
        """Return the task that `as_dict` described."""
        a = fields["augmentation"]
        ranges = {} if a is None else {name: tuple(a[name]) for name in ("scale", "ratio")}
        return cls(
            Preprocessing.from_dict(fields["preprocessing"]),
            None if a is None else Augmentation(**a | ranges),
            tuple(fields["key"]),
            bool(fields["mirrored"]),
        )
