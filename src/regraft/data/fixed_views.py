"""Numbered views of a photo, equal in every run, so that their features are computed once and cached.

View 0 is the evaluation view, view 1 its mirror image. All others are random crops with a mild change of color; they
depend only on the photo's content and the number of the view, not on a seed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from regraft.data.augmentation import Augmentation, random_view
from regraft.data.photo_task import LoadPhoto, mirror
from regraft.data.preprocessing import Preprocessing, evaluation_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

PLAIN = "plain"
"""Name of view 0 in keys."""

FIRST_CROP = 2
"""The first view that is a random crop."""

_AUGMENTATION = Augmentation()


def view_name(number: int) -> str:
    """Return the name of view ``number`` in keys; it changes with everything that its pixels depend on."""
    return (PLAIN, "mirrored")[number] if number < FIRST_CROP else f"{_AUGMENTATION.id}/{number}"


def fixed_view(image: Image, p: Preprocessing, number: int, content: str) -> NDArray[np.uint8]:
    """Return view ``number`` of an image of mode RGB that ``content`` identifies, shape (H, W, 3), uint8."""
    if number < FIRST_CROP:
        pixels = evaluation_pixels(image, p)
        return mirror(pixels) if number else pixels
    return random_view(image, p, _AUGMENTATION, "view", number, content)


def fixed_view_task(p: Preprocessing, number: int) -> LoadPhoto:
    """Return the task that loads view ``number`` of a photo."""
    if number < FIRST_CROP:
        return LoadPhoto(p, mirrored=bool(number))
    return LoadPhoto(p, _AUGMENTATION, ("view", number))
