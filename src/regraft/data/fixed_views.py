"""Numbered views: what a photo looks like in view 0, 1, 2 …, the same for every run, so that it need be seen once only.

View 0 is the plain one that is evaluated, view 1 its mirror image, and all others are random crops with a mild change
of colour that depend on the photo's content and the number alone, on no seed.
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
"""What view 0 is called in keys."""

FIRST_CROP = 2
"""The first view that is a random crop."""

_AUGMENTATION = Augmentation()


def view_name(number: int) -> str:
    """Return what view ``number`` is called in keys: it changes with everything that its pixels depend on."""
    return (PLAIN, "mirrored")[number] if number < FIRST_CROP else f"{_AUGMENTATION.id}/{number}"


def fixed_view(image: Image, p: Preprocessing, number: int, content: str) -> NDArray[np.uint8]:
    """Return view ``number`` of an image of mode RGB that ``content`` identifies, shape (H, W, 3), uint8."""
    if number < FIRST_CROP:
        pixels = evaluation_pixels(image, p)
        return mirror(pixels) if number else pixels
    return random_view(image, p, _AUGMENTATION, "view", number, content)


def fixed_view_task(p: Preprocessing, number: int) -> LoadPhoto:
    """Return what loads view ``number`` of a photo."""
    if number < FIRST_CROP:
        return LoadPhoto(p, mirrored=bool(number))
    return LoadPhoto(p, _AUGMENTATION, ("view", number))
