"""Run folders and files of this version of regraft, for the tests of later ones: see README.md here.

python make.py ARCHIVE.tar.xz
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from PIL import Image
from torch import nn

import regraft as rg
from regraft.callbacks import BackupAndRestore, Callback, EarlyStopping, ModelCheckpoint, ReduceLROnPlateau
from regraft.screen import QuietScreen

BACKBONE = "test_efficientnet.r160_in1k"
OPTIONS = {"backbone": BACKBONE, "weights": "weights.safetensors", "size": 64, "out": None, "workers": 1}
FINE_TUNE = {
    "recipe": "fine-tune",
    "epochs": 2,
    "batch_size": 4,
    "unfreeze": ("blocks.1",),
    "views": 2,
}  # a small block
RUNS = {
    "linear-probe": {"recipe": "linear-probe"},
    "feature-extraction": {"recipe": "feature-extraction", "epochs": 2, "views": 2},
    "fine-tune": FINE_TUNE,
    "auto": {"recipe": "auto", "epochs": 2, "unfreeze": ("blocks.1",), "views": 2},
}
QUIET = QuietScreen()
SNAPSHOTS = 11  # an interrupted training has written this many


class Killed(BaseException):
    """The end of a training without any tidying up, as by SIGKILL."""


def make_photos(root: Path) -> None:
    """Write 16 photos of 32 x 32 pixels for each of two classes: stripes and noise."""
    draw = np.random.default_rng(0)
    for k, label in enumerate(("ant", "bee")):
        (root / label).mkdir(parents=True)
        for i in range(16):
            across = np.arange(32)[:, None] if k else np.arange(32)[None, :]
            wave = 80 * np.sin(across * (0.2 + 0.15 * k) + draw.uniform(0, 6.3))
            pixels = 128 + wave[..., None] * draw.uniform(0.3, 1, 3) + np.zeros((32, 32, 1))
            pixels = pixels + 16 * draw.integers(-2, 3, (32, 32, 1))  # otherwise they are near-duplicates
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / label / f"{i:02}.png", optimize=True)


def make_weights(path: Path) -> None:
    """Write random weights of few different values, which an archive holds in little room."""
    state = rg.build_backbone(BACKBONE, pretrained=False, size=64).network.state_dict()
    for name, value in state.items():
        if value.ndim > 1:
            scale = value.std()
            state[name] = scale * (value / scale).round().clamp(-2, 2)
    safetensors.torch.save_file(state, str(path))


def kill_after(snapshots: int) -> None:
    """Let the save after this many snapshots of a training raise `Killed`."""
    save, count = rg.Snapshots.save, 0

    def counted(self, *args, **more):
        nonlocal count
        count += 1
        if count > snapshots:
            raise Killed
        return save(self, *args, **more)

    rg.Snapshots.save = counted


def make_interrupted_run(out: Path) -> None:
    """Write the folder of a fine-tuning that ended in the middle of an epoch."""
    save = rg.Snapshots.save
    kill_after(SNAPSHOTS)
    try:
        rg.train("photos", screen=QUIET, **{**OPTIONS, **FINE_TUNE, "out": out}, snapshot_every="0.001s")
    except Killed:
        pass
    else:
        raise SystemExit("the fine-tuning was not interrupted")
    finally:
        rg.Snapshots.save = save


class Kill(Callback):
    """Ends the training at a batch."""

    def on_train_batch_begin(self, batch, logs=None):
        """Raise `Killed` in the third epoch, at its second batch."""
        if batch == 1 and len(self.model.history.epoch) == 2:
            raise Killed


def trainer_of() -> rg.Trainer:
    """Return a trainer of a small network with dropout, momentum and a moving average."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))
    return rg.Trainer(module, "adam", "cross_entropy", ["accuracy"], learning_rate=0.01, ema=0.9, seed=3)


def arrays() -> tuple[np.ndarray, np.ndarray]:
    """Return points (48, 4) and classes (48,)."""
    x = np.random.default_rng(1).normal(size=(48, 4)).astype(np.float32)
    return x, (np.abs(x[:, 0]) * 2).astype(np.int64).clip(0, 2)


def fit(trainer: rg.Trainer, *callbacks: Callback, **more) -> dict[str, list[float]]:
    """Train for four epochs; return the history."""
    x, y = arrays()
    mine = [EarlyStopping(patience=3), ReduceLROnPlateau(patience=1), *callbacks]
    data = {"validation_data": (x[:16], y[:16]), "batch_size": 8, "epochs": 4, "verbose": 0}
    return trainer.fit(x, y, callbacks=mine, **data, **more).history


def make_backups() -> None:
    """Write what BackupAndRestore and fit(resume=) keep of an interrupted training, and its uninterrupted history."""
    history = fit(trainer_of())
    for more, folder in (
        ([BackupAndRestore("backup", save_freq=2)], None),
        ([], rg.Snapshots("snapshots", every=1e-6)),
    ):
        try:
            fit(trainer_of(), *more, Kill(), **({"resume": folder} if folder else {}))
        except Killed:
            continue
        raise SystemExit("the training was not interrupted")
    Path("history.json").write_text(json.dumps(history))


def make_files() -> None:
    """Write what ModelCheckpoint, Trainer and Classifier write of a classifier, and what it predicts."""
    backbone = rg.build_backbone(BACKBONE, weights="weights.safetensors", size=64)
    photos = rg.ImageFolder("photos", network=backbone, screen=QUIET)
    trainer = rg.Trainer(rg.Classifier(backbone, photos.classes), "adam", "cross_entropy", learning_rate=0.01)
    checkpoint = ModelCheckpoint("files/checkpoint.safetensors", save_best_only=True)
    trainer.fit(photos, epochs=1, callbacks=[checkpoint], verbose=0)
    trainer.save_weights("files/classifier.weights.h5")
    trainer.module.save("files/classifier.safetensors")


def make_predictions() -> None:
    """Write the probabilities of three photos by each model."""
    photos = ["photos/ant/00.png", "photos/bee/00.png", "photos/bee/01.png"]
    models = [*RUNS, *(f"files/{path.name}" for path in Path("files").iterdir())]
    answers = {model: [dict(p.top) for p in rg.Predictor.load(Path(model)).predict(photos)] for model in sorted(models)}
    Path("predictions.json").write_text(json.dumps({"photos": photos, "models": answers}, indent=1))


def main() -> None:
    """Write everything into the archive."""
    archive = Path(sys.argv[1]).resolve()
    root = Path(tempfile.gettempdir()) / "old-runs"
    root.mkdir()
    os.chdir(root)
    os.environ["REGRAFT_CACHE"] = str(root / "cache")
    sys.argv = ["make.py"]
    torch.set_num_threads(1)
    make_photos(Path("photos"))
    make_weights(Path("weights.safetensors"))
    for name, more in RUNS.items():
        rg.train("photos", screen=QUIET, **{**OPTIONS, **more, "out": name})
    make_interrupted_run(Path("interrupted"))
    make_backups()
    make_files()
    make_predictions()
    shutil.rmtree("cache")
    with tarfile.open(archive, "w:xz", preset=9) as tar:
        for path in sorted(root.iterdir()):
            tar.add(path, path.name, filter=anonymous)
    shutil.rmtree(root)


def anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Return the entry without owner and time."""
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry


if __name__ == "__main__":
    main()
