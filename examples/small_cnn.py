"""A small convolutional network, trained from scratch: the first notebook of every lecture, with three callbacks.

    python examples/small_cnn.py                    handwritten digits, 8 x 8 pixels
    python examples/small_cnn.py photos/            a folder of photos, one folder per class, 64 x 64 pixels

It stops early, and the weights of its best epoch are put back. Expect about 95 % of the digits; on a few hundred photos
a network from scratch learns little, which is what `regraft train photos/` is for.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import nn

from regraft.callbacks import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau
from regraft.training import Trainer


def network(channels: int, classes: int) -> nn.Module:
    """Return three blocks of convolutions, dropout, and a linear layer: (n, channels, h, w) to (n, classes)."""

    def block(inside: int, outside: int) -> list[nn.Module]:
        return [nn.Conv2d(inside, outside, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]

    return nn.Sequential(
        *block(channels, 16), *block(16, 32), *block(32, 64),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(64, classes),
    )  # fmt: skip


def digits() -> tuple[Any, Any, int, int]:
    """Return images (1797, 1, 8, 8) between 0 and 1, labels, and the numbers of channels and classes."""
    from regraft.sample.digits import load_digits

    images, labels = load_digits()
    return (images[:, None] / 16).astype("float32"), labels.astype("int64"), 1, 10


def photos(folder: Path, size: int) -> tuple[Any, Any, int, int]:
    """Return a data set of photos, which brings its own labels and validation part."""
    from regraft import ImageFolder

    dataset = ImageFolder(folder, size=size)
    return dataset, None, 3, len(dataset.classes)


def train(folder: Path | None = None, *, epochs: int = 60, size: int = 64, out: Path = Path(), verbose: int = 1) -> Any:
    """Train, and return the trainer and its history."""
    x, y, channels, classes = digits() if folder is None else photos(folder, size)
    torch.manual_seed(0)
    model = Trainer(network(channels, classes), "adam", "cross_entropy", ["accuracy"], learning_rate=0.003)
    my_callbacks = [
        EarlyStopping(patience=4, restore_best_weights=True, verbose=verbose),
        ModelCheckpoint(out / "small_cnn.safetensors", save_best_only=True),
        ReduceLROnPlateau(patience=2, factor=0.5, verbose=verbose),
    ]
    held_out = {"validation_split": 0.2} if folder is None else {}
    history = model.fit(x, y, epochs=epochs, batch_size=32, callbacks=my_callbacks, verbose=verbose, **held_out)
    return model, history


def main() -> None:
    """Read the arguments and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--epochs", type=int, default=60)
    given = parser.parse_args()
    _, history = train(given.folder, epochs=given.epochs)
    print(history.stop_reason or "ran to the last epoch")
    print(f"best validation accuracy {max(history.history['val_accuracy']):.1%}")


if __name__ == "__main__":
    main()
