"""A lesson in one script: photos are drawn, a small network and a pretrained one are trained on them, one predicts.

    python examples/lesson.py               in a temporary folder; about half a minute, no network connection
    python examples/lesson.py FOLDER        in a folder of your own, which keeps the photos and the runs

Expect over 80 % from the small network and over 90 % from the pretrained one on its held-out photos.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw
from torch import nn

import regraft as rg  # before timm: it repairs a torchvision that was built for another device than torch
from regraft.callbacks import CSVLogger, EarlyStopping, ModelCheckpoint, ReduceLROnPlateau, TensorBoard

CLASSES = ("circle", "square", "triangle")
PER_CLASS = 40


def draw_photos(folder: Path) -> Path:
    """Draw `PER_CLASS` shapes of each class into ``folder``, one folder per class, and return it."""
    draw = random.Random(0)  # noqa: S311
    for name in CLASSES:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(PER_CLASS):
            shape(name, draw).save(folder / name / f"{i:03}.png")
    return folder


def shape(name: str, draw: random.Random) -> Image.Image:
    """Return a picture of 64 x 64 pixels: a bright shape of any color, size and place on a dark ground."""
    picture = Image.new("RGB", (64, 64), tuple(draw.randrange(80) for _ in range(3)))
    pen = ImageDraw.Draw(picture)
    size = draw.randint(24, 40)
    left, top = draw.randint(2, 62 - size), draw.randint(2, 62 - size)
    right, bottom = left + size, top + size
    colour = tuple(draw.randint(150, 255) for _ in range(3))
    if name == "circle":
        pen.ellipse((left, top, right, bottom), fill=colour)
    elif name == "square":
        pen.rectangle((left, top, right, bottom), fill=colour)
    else:
        pen.polygon([(left, bottom), (right, bottom), ((left + right) // 2, top)], fill=colour)
    return picture


def small_network() -> nn.Module:
    """Return a small convolutional network: (n, 3, h, w) to (n, 3)."""

    def block(inside: int, outside: int) -> list[nn.Module]:
        return [nn.Conv2d(inside, outside, 3, padding=1), nn.BatchNorm2d(outside), nn.ReLU(), nn.MaxPool2d(2)]

    layers = [*block(3, 16), *block(16, 32), *block(32, 64)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, len(CLASSES)))


def train_from_scratch(photos: Path, out: Path) -> float:
    """Train the small network with the usual callbacks; return its best accuracy on the validation photos."""
    dataset = rg.ImageFolder(photos, size=32)
    model = rg.Trainer(small_network(), "adam", "cross_entropy", ["accuracy"], learning_rate=0.005)
    my_callbacks = [
        EarlyStopping(patience=8, restore_best_weights=True),
        ModelCheckpoint(out / "model.{epoch:02d}-{val_loss:.2f}.safetensors", save_best_only=True),
        ReduceLROnPlateau(patience=4),
        CSVLogger(out / "log.csv"),
        TensorBoard(out / "logs"),
    ]
    history = model.fit(dataset, epochs=25, batch_size=16, callbacks=my_callbacks, verbose=0)
    return max(history.history["val_accuracy"])


def main() -> None:
    """Draw, train twice, predict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (given.folder or Path(temporary)).resolve()
        photos = draw_photos(folder / "photos")
        print(f"small network: {train_from_scratch(photos, folder):.1%} of the validation photos")

        run = rg.train(photos, recipe="linear-probe", out=folder / "run")
        print(f"pretrained network: {run.accuracy:.1%} of the held-out photos")

        predictor = rg.Predictor.load(run.folder / "model.safetensors")
        for name in CLASSES:
            (answer,) = predictor.predict([photos / name / "000.png"])
            print(f"{name}: {answer.label} ({answer.probability:.0%})")

        import timm  # the user's own use of timm works together with regraft

        print(f"timm {timm.__version__} has {len(timm.list_models()):,} networks")


if __name__ == "__main__":
    main()
