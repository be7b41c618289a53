"""Small pictures for TensorBoard, drawn with Pillow: photos with a caption, a confusion matrix, a sheet of sprites."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from regraft.screen import printable

CAPTION = 18
"""Height of a caption in pixels."""

RIGHT, WRONG = (26, 127, 55), (179, 29, 40)
MOST_NAMED = 30
"""With more classes than this a confusion matrix has no room for their names."""


def captioned(pixels: NDArray[np.uint8], text: str, *, right: bool) -> NDArray[np.uint8]:
    """Return a photo (H, W, 3) above a line of text, green or red; shape (H + 18, W, 3), uint8."""
    height, width = pixels.shape[:2]
    picture = Image.new("RGB", (width, height + CAPTION), RIGHT if right else WRONG)
    picture.paste(Image.fromarray(pixels), (0, 0))
    ImageDraw.Draw(picture).text((3, height + 2), printable(text), fill="white", font=_font())
    return np.asarray(picture)


def confusion_picture(confusion: NDArray[np.int64], classes: Sequence[str]) -> NDArray[np.uint8]:
    """Return a confusion matrix (k, k; rows: the right class) as a picture (H, W, 3), uint8.

    A cell is the darker the larger its share of the row; its count is written into it where there is room.
    """
    k = len(classes)
    cell = max(4, min(44, 880 // k))
    named = k <= MOST_NAMED
    edge = 120 if named else 4
    picture = Image.new("RGB", (edge + k * cell + 4, edge + k * cell + 4), "white")
    draw = ImageDraw.Draw(picture)
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    for row in range(k):
        for column in range(k):
            share = float(shares[row, column])
            x, y = edge + column * cell, edge + row * cell
            draw.rectangle((x, y, x + cell - 1, y + cell - 1), fill=_shade(share))
            if cell >= 26 and confusion[row, column]:
                ink = "white" if share > 0.5 else "black"
                draw.text((x + 4, y + 6), str(int(confusion[row, column])), fill=ink, font=_font())
    if named:
        _names(picture, classes, edge, cell)
    return np.asarray(picture)


def sprite_sheet(photos: Sequence[NDArray[np.uint8]], size: int) -> Image.Image:
    """Return the photos, ``size`` pixels wide and high, in the square sheet that the projector cuts up again."""
    across = math.ceil(math.sqrt(len(photos)))
    sheet = Image.new("RGB", (across * size, across * size), "white")
    for i, pixels in enumerate(photos):
        sheet.paste(Image.fromarray(pixels).resize((size, size)), (i % across * size, i // across * size))
    return sheet


def _names(picture: Image.Image, classes: Sequence[str], edge: int, cell: int) -> None:
    """Write the right classes beside the rows and the predicted ones, turned, above the columns."""
    draw = ImageDraw.Draw(picture)
    for i, name in enumerate(classes):
        text = printable(name)[:18]
        draw.text((2, edge + i * cell + max(0, cell // 2 - 8)), text, fill="black", font=_font())
        label = Image.new("RGB", (edge - 4, min(cell, CAPTION)), "white")
        ImageDraw.Draw(label).text((2, 0), text, fill="black", font=_font())
        turned = label.transpose(Image.Transpose.ROTATE_90)
        picture.paste(turned, (edge + i * cell + max(0, (cell - turned.width) // 2), 2))


def _shade(share: float) -> tuple[int, int, int]:
    return round(240 - 209 * share), round(244 - 133 * share), round(250 - 15 * share)


def _font() -> Any:
    return ImageFont.load_default(size=13)
