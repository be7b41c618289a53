"""Pictures of the validation photos for TensorBoard: predictions, a confusion matrix, sprites for the projector."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from regraft.callbacks import Callback, TensorBoard
from regraft.callbacks.projector import Projector
from regraft.context.run_context import RunContext
from regraft.data.loading.loader import decode_in_order
from regraft.data.loading.photo_task import LoadPhoto
from regraft.data.manifest import Entry
from regraft.disk.atomic import write_text
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
    """Return a confusion matrix (k, k; rows: the true class) as a picture (H, W, 3), uint8.

    A cell is the darker the larger its share of the row; its count is written into it if there is space.
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
    """Return the photos, ``size`` pixels wide and high, in one square picture, which the projector divides again."""
    across = math.ceil(math.sqrt(len(photos)))
    sheet = Image.new("RGB", (across * size, across * size), "white")
    for i, pixels in enumerate(photos):
        sheet.paste(Image.fromarray(pixels).resize((size, size)), (i % across * size, i // across * size))
    return sheet


def _names(picture: Image.Image, classes: Sequence[str], edge: int, cell: int) -> None:
    """Write the true classes next to the rows and the predicted ones, turned, above the columns."""
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


A_FEW = 16
MOST_SPRITES = 400
SPRITE = 48
"""Side of a photo in the projector, in pixels."""

VECTORS = "frozen features of validation photos"


class ValidationPictures(Callback):
    """Writes pictures of the validation photos into TensorBoard's files after every epoch.

    They cost no further pass: a hook collects the outputs of the validation that `fit` runs anyway. The projector is
    written once, from the features of the frozen backbone, which have been computed before.

    Args:
        board: owner of the files; it must come after this callback, because it flushes and closes them.
        context: the run.
        validation: the validation photos, in the order of the validation.
    """

    display: ClassVar[bool] = True  # its content is computed again by the next validation

    def __init__(self, board: TensorBoard, context: RunContext, validation: Sequence[Entry]) -> None:
        super().__init__()
        self._board, self._context, self._validation = board, context, list(validation)
        self._labels = context.dataset.labels(validation)
        self._few = _spread(len(self._validation), A_FEW)
        self._pixels: list[NDArray[np.uint8]] = []
        self._outputs: list[torch.Tensor] = []
        self._listening: Any = None

    def needs_validation(self) -> str:
        """Return why validation data is needed."""
        return "shows validation photos"

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Read the photos to show, and write the projector."""
        self._pixels = self._load(self._few)
        self._write_projector()

    def on_test_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Start to collect the outputs of the module."""
        self._outputs = []
        self._listening = self.model.module.register_forward_hook(self._listen)

    def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Stop collecting outputs."""
        self.close()

    def close(self) -> None:
        """Stop collecting outputs."""
        if self._listening is not None:
            self._listening.remove()
            self._listening = None

    def _listen(self, module: torch.nn.Module, given: Any, output: torch.Tensor) -> None:
        self._outputs.append(output.detach().float())

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Write the photos with their predictions, and the confusion matrix."""
        probabilities = torch.softmax(torch.cat(self._outputs), dim=1).cpu().numpy()
        predicted = probabilities.argmax(axis=1)
        classes = self._context.dataset.classes
        confusion = np.zeros((len(classes), len(classes)), dtype=np.int64)
        np.add.at(confusion, (self._labels, predicted), 1)
        file = self._board.file("validation")
        file.images("confusion matrix", confusion_picture(confusion, classes)[None], epoch)
        shown = []
        for i, pixels in zip(self._few, self._pixels, strict=True):
            guess, right = int(predicted[i]), bool(predicted[i] == self._labels[i])
            text = f"{classes[guess]} {100 * probabilities[i, guess]:.0f} %"
            shown.append(captioned(pixels, text if right else f"{text}, not {self._validation[i].label}", right=right))
        file.images("photos", np.stack(shown), epoch)

    def _load(self, positions: Sequence[int]) -> list[NDArray[np.uint8]]:
        preprocessing = self._context.backbone.spec.preprocessing
        entries = [self._validation[i] for i in positions]
        batches = decode_in_order(entries, LoadPhoto(preprocessing), batch_size=32, workers=self._context.workers)
        loaded = {int(i): pixels for batch in batches for i, pixels in zip(batch.index, batch.pixels, strict=True)}
        nothing = np.full((preprocessing.height, preprocessing.width, 3), 128, dtype=np.uint8)
        return [loaded.get(i, nothing) for i in range(len(entries))]

    def _write_projector(self) -> None:
        folder = self._context.folder.tensorboard
        positions = _spread(len(self._validation), MOST_SPRITES)
        entries = [self._validation[i] for i in positions]
        values = {VECTORS: self._context.features.of(entries)}
        (folder / "projector").mkdir(parents=True, exist_ok=True)
        rows = ["class\tphoto", *(f"{_cell(entry.label)}\t{_cell(entry.name)}" for entry in entries)]
        write_text(folder / "projector" / "labels.tsv", "\n".join(rows) + "\n")
        sprite_sheet(self._load(positions), SPRITE).save(folder / "projector" / "sprites.png")
        sprites = {VECTORS: ("projector/sprites.png", SPRITE, SPRITE)}
        Projector(folder, values, {VECTORS: "projector/labels.tsv"}, sprites).write(values)


def _spread(n: int, most: int) -> list[int]:
    """Return up to ``most`` positions, evenly over ``n``."""
    return sorted({int(i) for i in np.linspace(0, n - 1, min(n, most))})


def _cell(text: str) -> str:
    return printable(text).replace("\t", " ").replace("\n", " ").replace("\r", " ")
