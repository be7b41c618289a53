"""The photos of a proof: those of the run, those of a folder, or generated images where there are none."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from regraft.data.file_types import read_regular
from regraft.data.folders.walk import photos_below
from regraft.errors import PhotosError
from regraft.export.proof import MAX_PHOTOS
from regraft.inference.run_photos import photos_of_run

T = TypeVar("T")

GENERATED = "generated images"

_SIZES = ((1, 1), (2, 3), (17, 200), (64, 64), (97, 61), (224, 224), (256, 256), (300, 200), (333, 512), (640, 480))


@dataclass(frozen=True)
class ProofPhotos:
    """Photos to compare the answers on.

    Attributes:
        about: description of them.
        photos: SHA-256 of each photo, by path.
    """

    about: str
    photos: dict[Path, str]


def find_proof_photos(model: Path, folder: Path | None, made: Path) -> ProofPhotos:
    """Return at most `MAX_PHOTOS` photos for a proof.

    Args:
        model: the run folder, or the model file; photos of its run are used unless there is a ``folder``.
        folder: a folder of photos, at any depth; None for none.
        made: folder for generated images, if there are no photos.

    Raises:
        PhotosError: ``folder`` does not exist or contains no photos.
    """
    if folder is not None:
        return ProofPhotos(str(folder), photos_of_folder(folder))
    photos = {entry.path: entry.content for entry in spread(photos_of_run(model)) if entry.path.is_file()}
    if photos:
        return ProofPhotos("photos of the run", photos)
    return ProofPhotos(GENERATED, _generated(made))


def photos_of_folder(folder: Path) -> dict[Path, str]:
    """Return the SHA-256 of photos in ``folder`` by path: all, or `MAX_PHOTOS` at even distances in order of name.

    Raises:
        PhotosError: the folder does not exist or contains no photos.
    """
    if not folder.is_dir():
        raise PhotosError(f"no such folder of photos: {folder}")
    paths = [path for _, path in photos_below(folder, "", frozenset(), [])]
    if not paths:
        raise PhotosError(f"{folder}: expected photos, found none at any depth")
    return _hashed(paths)


def spread(items: list[T], count: int = MAX_PHOTOS) -> list[T]:
    """Return at most ``count`` of ``items``, at even distances."""
    if len(items) <= count:
        return items
    return [items[round(i)] for i in np.linspace(0, len(items) - 1, count)]


def _hashed(paths: list[Path]) -> dict[Path, str]:
    hashes = {}
    for path in spread(paths):
        try:
            hashes[path] = hashlib.sha256(read_regular(path)).hexdigest()
        except OSError:
            hashes[path] = ""  # it counts as unreadable
    return hashes


def _generated(folder: Path) -> dict[Path, str]:
    """Write images of noise on a gradient, in sizes from 1 × 1 to 640 × 480, and return them."""
    draw, paths = np.random.default_rng(0), []
    for number, (width, height) in enumerate(_SIZES):
        slope = np.linspace(0, 160, width)[None, :, None] + np.linspace(0, 60, height)[:, None, None]
        pixels = np.clip(slope + draw.normal(0, 30, (height, width, 3)), 0, 255).astype(np.uint8)
        path = folder / f"generated {width} x {height} ({number}).png"
        Image.fromarray(pixels).save(path)
        paths.append(path)
    return _hashed(paths)
