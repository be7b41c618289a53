"""Photos as scikit-learn passes them: a sequence of paths or pictures, or an array of pictures, as `X`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from regraft.data.file_types import read_regular, why_unreadable
from regraft.data.loading.photo_task import LoadPhoto
from regraft.data.manifest import Entry
from regraft.data.preprocessing import Preprocessing, evaluation_pixels
from regraft.data.threads import map_in_order
from regraft.errors import ConfigError, DecodeError
from regraft.inference.pictures import Picture, is_one_photo, photo_forms

PhotoForm: TypeAlias = Path | Picture

_EXPECTED = (
    "X: expected several photos: a list of paths, PIL images or arrays, or an array of shape (n, height, width, 3)"
)


def photos_of(X: Any) -> list[PhotoForm]:
    """Return each photo of ``X`` as a path or as a picture in memory.

    Args:
        X: a sequence, an array or a data frame's column of photos in any form of `regraft.Predictor.predict`; or a
            table with one such column, shape (n, 1).

    Raises:
        ConfigError: it is one photo, a table of numbers, or has something that is not a photo.
    """
    array = X.to_numpy() if hasattr(X, "to_numpy") else X  # a column of pandas or polars
    if isinstance(array, np.ndarray) and array.dtype.kind in "OUS":
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.ndim != 1:
            raise ConfigError(f"{_EXPECTED}; found an array of objects of shape {array.shape}")
        array = [str(photo) if isinstance(photo, str) else photo for photo in array]
    numbers = hasattr(array, "__array__") and not hasattr(array, "getexif")
    if numbers and np.ndim(array) == 2:
        raise ConfigError(
            f"{_EXPECTED}; found numbers of shape {tuple(np.shape(array))}\n"
            "  features that are computed already belong to regraft.sklearn.LinearProbe or another classifier"
        )
    if numbers and np.ndim(array) == 3:  # gray pictures, one after the other
        return list(photo_forms(array[..., None]))
    if isinstance(array, str) or is_one_photo(array):
        raise ConfigError(f"{_EXPECTED}; found one {type(array).__name__}\n  put it into a list: [photo]")
    return list(
        photo_forms([Path(one) if isinstance(one, str) else one for one in array] if _is_list(array) else array)
    )


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence)


@dataclass(frozen=True)
class PhotoInputs:
    """Photos with their content hashes.

    Attributes:
        entries: one for each photo; those of pictures in memory are named by their position.
        pictures: the pictures in memory, by the names of their entries.
    """

    entries: list[Entry]
    pictures: dict[str, Picture]

    @classmethod
    def hashed(cls, photos: Sequence[PhotoForm], preprocessing: Preprocessing, workers: int) -> PhotoInputs:
        """Return photos with the hashes of their bytes, or of their pixels if they have no bytes.

        Args:
            photos: the photos.
            preprocessing: preprocessing of the network.
            workers: number of reading threads.
        """

        def entry(item: tuple[int, PhotoForm]) -> Entry:
            position, photo = item
            if isinstance(photo, Path):
                return _entry_of_file(photo)
            name = f"photo {position}"
            return Entry(name, Path(name), _content(photo, preprocessing), "")

        numbered = list(enumerate(photos))
        entries = list(map_in_order(entry, numbered, workers=workers, ahead=4 * max(workers, 1)))
        return cls(entries, {entries[i].name: photo for i, photo in numbered if isinstance(photo, Picture)})

    def load(self, preprocessing: Preprocessing) -> LoadPhoto | _LoadForm:
        """Return the task that decodes a photo by its entry."""
        plain = LoadPhoto(preprocessing)
        return _LoadForm(plain, self.pictures) if self.pictures else plain


@dataclass(frozen=True)
class _LoadForm:
    """A task that returns the pixels of a photo, which may be in memory."""

    plain: LoadPhoto
    pictures: dict[str, Picture]

    def __call__(self, entry: Entry) -> NDArray[np.uint8]:
        """Return the pixels, shape (H, W, 3), uint8."""
        picture, p = self.pictures.get(entry.name), self.plain.preprocessing
        if picture is None:
            return self.plain(entry)
        return evaluation_pixels(picture.rgb(p.rendering, p.at_least), p)


def _entry_of_file(path: Path) -> Entry:
    try:
        return Entry(str(path), path, hashlib.sha256(read_regular(path)).hexdigest(), "")
    except OSError as error:
        return Entry(str(path), path, "", "", status="put aside", why=why_unreadable(error, path))


def _content(picture: Picture, preprocessing: Preprocessing) -> str:
    """Return the SHA-256 of a picture's bytes, or of its size and pixels; "" if it cannot be decoded."""
    if isinstance(picture.source, bytes):
        return hashlib.sha256(picture.source).hexdigest()
    try:
        image = picture.rgb(preprocessing.rendering, preprocessing.at_least)
    except DecodeError:  # decoding reports it
        return ""
    return hashlib.sha256(b"%d x %d RGB " % image.size + image.tobytes()).hexdigest()
