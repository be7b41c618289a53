"""The places of photos as the user names them: addresses in plain form, and a file of labels in place of a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from regraft.data.archives.address import address_of, plain_place
from regraft.data.file_types import HEADER_BYTES, open_regular, read_regular
from regraft.data.labels.cvat import CVAT_FILE, is_cvat, is_datumaro, parsed_json
from regraft.data.labels.label_files import LABEL_SUFFIXES
from regraft.errors import ConfigError

_PARQUET = ".parquet"


def photo_places(photos: Sequence[Path | str], labels: Any = None) -> tuple[tuple[Path, ...], Any]:
    """Return folders and archives of photos, and the place of their labels.

    A file of labels in place of a folder means its folder and these labels: ``labels.csv`` is the folder of the file,
    with the labels in it.

    Args:
        photos: what the user names.
        labels: the file or the data frame of labels that the user names, or None.

    Raises:
        PhotosError: an address is not read.
        ConfigError: a file of labels is named next to folders.
    """
    places = tuple(plain_place(place) for place in photos)
    files = [place for place in places if is_label_file(place)]
    if not files:
        return places, labels
    if len(places) > 1 or labels is not None:
        raise ConfigError(
            f"photos: {files[0]} is a file of labels; expected it alone, or folders of photos with labels={files[0]}"
        )
    return (_folder_of(files[0]),), None if _is_export(files[0]) else files[0]


def is_label_file(place: Path) -> bool:
    """Return whether a place is a file of labels, and not of photos."""
    if place.suffix.lower() not in LABEL_SUFFIXES:
        return False
    if address_of(place) is None and not place.is_file():
        return False
    if place.suffix.lower() != _PARQUET:
        return True
    from regraft.data.archives.arrow_rows import parquet_rows  # for Parquet only

    return parquet_rows(place) is None


def _is_export(file: Path) -> bool:
    """Return whether a file belongs to an export with pictures, whose root is read as a whole."""
    if file.name == CVAT_FILE:
        with open_regular(file) as opened:
            return is_cvat(opened.read(16 * HEADER_BYTES))
    return file.parent.name == "annotations" and file.suffix == ".json" and is_datumaro(parsed_json(read_regular(file)))


def _folder_of(file: Path) -> Path:
    return file.parent.parent if _is_export(file) and file.name != CVAT_FILE else file.parent
