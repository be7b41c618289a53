"""The pixels of one photo, from its file: as they are evaluated, or one view for training."""

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
    """Return the pixels of a photo as the network evaluates them, shape (H, W, 3), uint8.

    Raises:
        DecodeError: it cannot be decoded, or is no longer the file that was scanned.
    """
    return evaluation_pixels(read_photo(read_verified(entry), at_least=p.at_least), p)


def load_view(entry: Entry, p: Preprocessing, a: Augmentation, *key: Part) -> NDArray[np.uint8]:
    """Return one view of a photo for training, shape (H, W, 3), uint8.

    Raises:
        DecodeError: it cannot be decoded, or is no longer the file that was scanned.
    """
    image = read_photo(read_verified(entry), at_least=lambda size: view_decode_size(size, p, a, *key))
    return random_view(image, p, a, *key)


def read_verified(entry: Entry) -> bytes:
    """Read a photo's file, and make sure that it still is what its content hash says.

    Raises:
        DecodeError: it cannot be read, or is no longer the file that was scanned.
    """
    try:
        data = read_regular(entry.path)
    except OSError as error:
        raise DecodeError(why_unreadable(error, entry.path)) from error
    if entry.content and hashlib.sha256(data).hexdigest() != entry.content:
        raise DecodeError("changed since it was scanned")
    return data


def mirror(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return pixels, shape (H, W, 3), mirrored left to right."""
    return np.ascontiguousarray(pixels[:, ::-1])


class PhotoTask(Protocol):
    """Work on a photo as data: unlike a function it can be told to another process."""

    def __hash__(self) -> int:
        """Return equal numbers for equal work."""

    def __call__(self, entry: Entry) -> NDArray[np.uint8]:
        """Do it, in threads; what is wrong with the photo is a `DecodeError`."""

    def as_dict(self) -> dict[str, Any]:
        """Return all fields, ready for JSON."""

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Return what `as_dict` gave."""


@dataclass(frozen=True)
class LoadPhoto:
    """What to load of a photo; a `PhotoTask`.

    Attributes:
        preprocessing: the backbone's.
        augmentation: what a view is drawn from; None for the pixels that are evaluated.
        key: all that a view depends on besides the photo's content, such as ``(seed, epoch)``.
        mirrored: whether the pixels that are evaluated are mirrored left to right.
    """

    preprocessing: Preprocessing
    augmentation: Augmentation | None = None
    key: tuple[str | int, ...] = ()
    mirrored: bool = False

    def __call__(self, entry: Entry) -> NDArray[np.uint8]:
        """Return the pixels of a photo, shape (H, W, 3), uint8.

        Raises:
            DecodeError: it cannot be decoded, or is no longer the file that was scanned.
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
        """Return what `as_dict` gave."""
        a = fields["augmentation"]
        ranges = {} if a is None else {name: tuple(a[name]) for name in ("scale", "ratio")}
        return cls(
            Preprocessing.from_dict(fields["preprocessing"]),
            None if a is None else Augmentation(**a | ranges),
            tuple(fields["key"]),
            bool(fields["mirrored"]),
        )
