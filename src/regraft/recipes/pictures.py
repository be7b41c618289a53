"""What TensorBoard shows of the validation photos: some with their predictions, a confusion matrix, the projector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from regraft.callbacks import Callback, TensorBoard
from regraft.callbacks.projector import Projector
from regraft.data.loader import decode_in_order
from regraft.data.manifest import Entry
from regraft.data.photo_task import Loading
from regraft.disk.atomic import write_text
from regraft.recipes.drawing import captioned, confusion_picture, sprite_sheet
from regraft.recipes.job import Job
from regraft.screen import printable

A_FEW = 16
MOST_SPRITES = 400
SPRITE = 48
"""Side of a photo in the projector, in pixels."""

VECTORS = "frozen features of validation photos"


class ValidationPictures(Callback):
    """Writes pictures of the validation photos into TensorBoard's files after every epoch.

    They cost no further pass: the outputs of the validation that `fit` makes anyway are listened to. The projector is
    written once, from the features of the frozen backbone, which the run has already.

    Args:
        board: whose files are written to; it has to come after this callback, because it flushes and closes them.
        job: the training in progress.
        choose: the validation photos, in the order of the validation.
    """

    display: ClassVar[bool] = True  # what it shows, the validation gives it anew

    def __init__(self, board: TensorBoard, job: Job, choose: Sequence[Entry]) -> None:
        super().__init__()
        self._board, self._job, self._choose = board, job, list(choose)
        self._labels = job.photos.labels(choose)
        self._few = _spread(len(self._choose), A_FEW)
        self._pixels: list[NDArray[np.uint8]] = []
        self._outputs: list[torch.Tensor] = []
        self._listening: Any = None

    def needs_validation(self) -> str:
        """Return what validation data is needed for."""
        return "shows validation photos"

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Read the photos that are shown, and write the projector."""
        self._pixels = self._load(self._few)
        self._write_projector()

    def on_test_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Begin to listen to the module."""
        self._outputs = []
        self._listening = self.model.module.register_forward_hook(self._listen)

    def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Stop listening."""
        self.close()

    def close(self) -> None:
        """Stop listening."""
        if self._listening is not None:
            self._listening.remove()
            self._listening = None

    def _listen(self, module: torch.nn.Module, given: Any, output: torch.Tensor) -> None:
        self._outputs.append(output.detach().float())

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Write the photos with their predictions, and the confusion matrix."""
        probabilities = torch.softmax(torch.cat(self._outputs), dim=1).cpu().numpy()
        predicted = probabilities.argmax(axis=1)
        classes = self._job.photos.classes
        confusion = np.zeros((len(classes), len(classes)), dtype=np.int64)
        np.add.at(confusion, (self._labels, predicted), 1)
        file = self._board.file("validation")
        file.images("confusion matrix", confusion_picture(confusion, classes)[None], epoch)
        shown = []
        for i, pixels in zip(self._few, self._pixels, strict=True):
            guess, right = int(predicted[i]), bool(predicted[i] == self._labels[i])
            text = f"{classes[guess]} {100 * probabilities[i, guess]:.0f} %"
            shown.append(captioned(pixels, text if right else f"{text}, not {self._choose[i].label}", right=right))
        file.images("photos", np.stack(shown), epoch)

    def _load(self, positions: Sequence[int]) -> list[NDArray[np.uint8]]:
        preprocessing = self._job.backbone.spec.preprocessing
        entries = [self._choose[i] for i in positions]
        batches = decode_in_order(entries, Loading(preprocessing), batch_size=32, workers=self._job.workers)
        loaded = {int(i): pixels for batch in batches for i, pixels in zip(batch.index, batch.pixels, strict=True)}
        nothing = np.full((preprocessing.height, preprocessing.width, 3), 128, dtype=np.uint8)
        return [loaded.get(i, nothing) for i in range(len(entries))]

    def _write_projector(self) -> None:
        folder = self._job.folder.tensorboard
        positions = _spread(len(self._choose), MOST_SPRITES)
        entries = [self._choose[i] for i in positions]
        values = {VECTORS: self._job.features(entries)}
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
