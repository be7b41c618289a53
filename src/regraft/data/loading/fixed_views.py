"""Numbered views of a photo, equal in every run, so that their features are computed once and cached.

View 0 is the evaluation view, view 1 its mirror image. All others are random crops with a mild change of color; they
depend only on the photo's content and the number of the view, not on a seed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from regraft.data.augmentation import Augmentation, random_view, view_decode_size
from regraft.data.loading.photo_task import LoadPhoto, mirror
from regraft.data.preprocessing import Preprocessing, evaluation_pixels

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from PIL.Image import Image

    from regraft.data.decode import Size

PLAIN = "plain"
"""Name of view 0 in keys."""

FIRST_CROP = 2
"""The first view that is a random crop."""

AUGMENTATION = Augmentation()
"""Ranges of the random crops."""


def view_name(number: int, source: str = "") -> str:
    """Return the name of view ``number`` in keys; it changes with everything that its pixels depend on.

    Args:
        number: of the view.
        source: id of the reduced photos that random crops are cut from; empty for whole photos.
    """
    if number < FIRST_CROP:
        return (PLAIN, "mirrored")[number]
    return f"{AUGMENTATION.id}/{source}/{number}" if source else f"{AUGMENTATION.id}/{number}"


def fixed_view_key(number: int) -> tuple[str, int]:
    """Return the key of the random values of view ``number``, without the photo's content."""
    return "view", number


def fixed_view(image: Image, p: Preprocessing, number: int, content: str) -> NDArray[np.uint8]:
    """Return view ``number`` of an image of mode RGB that ``content`` identifies, shape (H, W, 3), uint8."""
    if number < FIRST_CROP:
        pixels = evaluation_pixels(image, p)
        return mirror(pixels) if number else pixels
    return random_view(image, p, AUGMENTATION, *fixed_view_key(number), content)


def view_size(p: Preprocessing, number: int, content: str) -> Callable[[Size], Size]:
    """Return the function from the size of a photo to the size that a random view of it needs, for `read_photo`."""
    return lambda size: view_decode_size(size, p, AUGMENTATION, *fixed_view_key(number), content)


def fixed_view_task(p: Preprocessing, number: int) -> LoadPhoto:
    """Return the task that loads view ``number`` of a photo."""
    if number < FIRST_CROP:
        return LoadPhoto(p, mirrored=bool(number))
    return LoadPhoto(p, AUGMENTATION, fixed_view_key(number))
