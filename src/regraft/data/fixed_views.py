"""Numbered views: what a photo looks like in view 0, 1, 2 …, the same for every run, so that it need be seen once only.

View 0 is the plain one that is evaluated, view 1 its mirror image, and all others are random crops with a mild change
of colour that depend on the photo's content and the number alone, on no seed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from regraft.data.augmentation import Augmentation, augmented
from regraft.data.photo_task import Loading, mirrored
from regraft.data.preprocessing import Preprocessing, plain

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


def numbered(image: Image, p: Preprocessing, number: int, content: str) -> NDArray[np.uint8]:
    """Return view ``number`` of an image of mode RGB that ``content`` identifies, shape (H, W, 3), uint8."""
    if number < FIRST_CROP:
        pixels = plain(image, p)
        return mirrored(pixels) if number else pixels
    return augmented(image, p, _AUGMENTATION, "view", number, content)


def numbered_loading(p: Preprocessing, number: int) -> Loading:
    """Return what loads view ``number`` of a photo."""
    if number < FIRST_CROP:
        return Loading(p, mirrored=bool(number))
    return Loading(p, _AUGMENTATION, ("view", number))
