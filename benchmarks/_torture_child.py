"""One training of `benchmarks/torture.py`, as a process of its own that may kill itself at an event.

python benchmarks/_torture_child.py KIND SEED PHOTOS FOLDER EVENT WHICH
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def kill_at(event: str, which: int) -> None:
    """Let this process kill itself at occurrence number ``which`` of ``event`` while it writes a snapshot."""
    from regraft.disk import atomic, safetensors_file

    seen = [0]

    def pass_by(name: str) -> None:
        seen[0] += name == event
        if name == event and seen[0] == which:
            os.kill(os.getpid(), signal.SIGKILL)

    write, flush, rename = safetensors_file._write_all, atomic._flush, os.replace

    def writing(file: Any, data: Any) -> None:
        half = memoryview(data)[: len(data) // 2]
        file.write(half)
        pass_by("write")
        write(file, memoryview(data)[len(half) :])

    def flushing(path: Path) -> None:
        pass_by("flush")
        flush(path)

    def renaming(source: Any, target: Any) -> None:
        if "resume" in Path(target).parts:
            pass_by("rename")
        rename(source, target)
        if "resume" in Path(target).parts:
            pass_by("renamed")

    safetensors_file._write_all, atomic._flush, os.replace = writing, flushing, renaming


def command(seed: int, photos: Path, folder: Path) -> dict[str, Any]:
    """Run ``regraft train``."""
    from regraft.cli.main import call
    from regraft.data.manifest import Manifest

    run = folder / "run"
    os.chdir(folder)
    (folder / "their_callbacks.py").write_text(
        "import regraft.callbacks as c\n"
        "class Best(c.ModelCheckpoint):\n"
        "    def __init__(self): super().__init__('best.safetensors', 'val_loss', save_best_only=True)\n"
        "class Log(c.CSVLogger):\n"
        "    def __init__(self): super().__init__('log.csv')\n",
        encoding="utf-8",
    )
    options = ["--recipe", "fine-tune", "--epochs", "4", "--batch-size", "4", "--size", "64", "--early-stop", "2"]
    options += ["--reduce-lr-on-plateau", "--tensorboard", "--callback", "their_callbacks:Best"]
    options += ["--callback", "their_callbacks:Log", "--snapshot-every", "0.3s", "--seed", str(seed), "--workers", "2"]
    code = call(["train", str(photos), "-o", str(run), "--quiet", *options])
    if code:
        sys.exit(code)
    journal = [json.loads(line) for line in (run / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    timed = ("time", "running_for", "after_seconds")
    kept = [{k: v for k, v in e.items() if k not in timed} for e in journal if e["event"] in ("epoch", "best epoch")]
    sides = [(e.name, e.side) for e in Manifest.read(run / "manifest.csv").entries]
    return {
        "weights": sha256(run / "model.safetensors"),
        "best": sha256(folder / "best.safetensors"),
        "history": (run / "history.csv").read_text(encoding="utf-8"),
        "log": (folder / "log.csv").read_text(encoding="utf-8"),
        "metrics": json.loads((run / "metrics.json").read_text(encoding="utf-8")),
        "events": kept,
        "sides": sides,
        "scalars": scalars(run / "tensorboard"),
        "left over": left_over(folder),
    }


def in_trainer(
    make: Callable[[int, Path], tuple[Any, Any, dict[str, Any]]], seed: int, photos: Path, folder: Path
) -> Any:
    """Run a `Trainer` with everything on."""
    import torch

    import regraft.callbacks as c
    from regraft.screen import QuietScreen
    from regraft.training import Snapshots, Trainer

    known = any((folder / "resume").glob("[ab].safetensors"))
    torch.manual_seed(seed + 1000 * known)  # from the first snapshot on, what a process begins with is of no matter
    module, data, more = make(seed, photos)
    trained = [p for p in module.parameters() if p.requires_grad]
    trainer = Trainer(
        module, torch.optim.AdamW(trained, 1e-3), "cross_entropy", ["accuracy"], accumulate=3, clip_norm=1.0, ema=0.9,
        seed=seed, screen=QuietScreen(), **more.pop("trainer", {}),
    )  # fmt: skip
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(trainer.optimizer.torch, 5)
    history = trainer.fit(
        data, epochs=5, verbose=0, resume=Snapshots(folder / "resume", every=0.3), **more,
        callbacks=[
            c.EarlyStopping("val_loss", patience=2, restore_best_weights=True),
            c.ReduceLROnPlateau("val_loss", patience=1, factor=0.5, min_delta=0.01),
            c.ModelCheckpoint(folder / "best.safetensors", "val_loss", save_best_only=True),
            c.CSVLogger(folder / "log.csv"),
            c.TensorBoard(folder / "board", update_freq=2, histogram_freq=2),
            schedule,
        ],
    )  # fmt: skip
    trainer.save_weights(folder / "final.safetensors")
    return {
        "weights": sha256(folder / "final.safetensors"),
        "best": sha256(folder / "best.safetensors"),
        "history": {name: [repr(v) for v in values] for name, values in history.history.items()},
        "epochs": history.epoch,
        "stop": history.stop_reason,
        "log": (folder / "log.csv").read_text(encoding="utf-8"),
        "scalars": scalars(folder / "board"),
        "left over": left_over(folder),
    }


def on_photos(seed: int, photos: Path) -> tuple[Any, Any, dict[str, Any]]:
    """Return a pretrained classifier with dropout, and photos."""
    from torch import nn

    from regraft.data.image_folder import ImageFolder
    from regraft.models.classifier import Classifier
    from regraft.models.zoo import build_backbone

    data = ImageFolder(photos, size=64, split_seed=seed, workers=2)
    classifier = Classifier(build_backbone(size=64), data.classes)
    classifier.unfreeze(3)
    fixed = [name for name, p in classifier.named_parameters() if not p.requires_grad]
    module = nn.Sequential(classifier, nn.Dropout(0.2))
    return module, data, {"batch_size": 4, "trainer": {"fixed": [f"0.{name}" for name in fixed]}}


def plain(seed: int, photos: Path) -> tuple[Any, Any, dict[str, Any]]:
    """Return a network from scratch, and loaders."""
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(720, 3, 16, 16, generator=draw)
    y = (x.mean((1, 2, 3)) > 0).long()
    module = nn.Sequential(
        nn.Conv2d(3, 48, 3), nn.BatchNorm2d(48), nn.ReLU(), nn.Dropout(0.3), nn.Conv2d(48, 48, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(48, 2),
    )  # fmt: skip
    train, held_out = TensorDataset(x[:600], y[:600]), TensorDataset(x[600:], y[600:])
    loader = DataLoader(train, batch_size=8, shuffle=True, num_workers=2)
    return module, loader, {"validation_data": DataLoader(held_out, batch_size=32)}


def scalars(folder: Path) -> list[Any]:
    """Return every scalar in TensorBoard's files: side, name, step, value, in order."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = []
    for path in sorted(folder.rglob("*tfevents*")):
        events = EventAccumulator(str(path), {"scalars": 0})
        events.Reload()
        for name in events.Tags()["scalars"]:
            if "steps_per_second" not in name:
                found += [[path.parent.name, name, e.step, repr(e.value)] for e in events.Scalars(name)]
    return sorted(found)


def left_over(folder: Path) -> list[str]:
    """Return temporary files that were left behind."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob(".part-*")
        if "resume" in path.parts or "run" in path.parts
    )


def sha256(path: Path) -> str:
    """Return the checksum of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sample(photos: Path, folder: Path) -> Path:
    """Return a folder of a few of the photos, made once."""
    made = folder.parent / "sample"
    if not made.exists():
        part = folder.parent / f"sample-{os.getpid()}"
        for kind in sorted(p for p in (photos / "train").iterdir() if p.is_dir()):
            (part / kind.name).mkdir(parents=True)
            for path in sorted(kind.iterdir())[:40]:
                shutil.copy(path, part / kind.name)
        try:
            part.rename(made)
        except OSError:  # another process was faster
            shutil.rmtree(part)
    return made


def main() -> None:
    """Train, and write down what is left."""
    kind, seed, photos, place, event, which = sys.argv[1:]
    folder = Path(place)
    folder.mkdir(parents=True, exist_ok=True)
    if event:
        kill_at(event, int(which))
    few = sample(Path(photos), folder)
    if kind == "command":
        result = command(int(seed), few, folder)
    else:
        result = in_trainer(on_photos if kind == "photos" else plain, int(seed), few, folder)
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
