"""Photos/s of the training step: `python benchmarks/training_step.py DATA --peers PEERS [--steps 20]`.

The plain loop is the peers' `naive_finetune.py`, which prints the speed of its own step. Ours are the steps of the
fine-tune recipe on the same number of photos a batch, all blocks unfrozen, and the last two from the cut point with its
activations in the store. What waiting for the loader takes is counted in all of them. They run in turn, each in its own
process.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from _peers import peer

KINDS = ("all", "cut")
WARM = 2


def main() -> None:
    """Run both in turn and print the ratio pair by pair."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--peers", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--own", choices=KINDS, help="only our own step, as a line of JSON")
    given = parser.parse_args()
    if given.own:
        print(json.dumps({"step_photos_per_s": round(own(given.data, given.steps, given.own), 2)}))
        return
    ratios: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for turn in range(given.repeat):
        theirs = peer(given.peers / "naive_finetune.py", str(given.data), "1", str(given.steps)).found
        said = [f"plain loop {theirs['step_photos_per_s']:.1f}"]
        for kind in KINDS:
            command = [sys.executable, __file__, str(given.data), "--peers", ".", "--own", kind]
            command += ["--steps", str(given.steps * (5 if kind == "cut" else 1))]
            printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            ours = json.loads(printed.strip().splitlines()[-1])["step_photos_per_s"]
            ratios[kind].append(ours / theirs["step_photos_per_s"])
            said.append(f"{kind} {ours:.1f}")
        print(f"{turn + 1}: photos/s: {', '.join(said)}", flush=True)
    for kind, found in ratios.items():
        print(f"{kind}: {statistics.median(found):.2f} times as fast ({min(found):.2f} to {max(found):.2f})")


def own(data: Path, steps: int, kind: str) -> float:
    """Return photos/s of the fine-tune recipe's training, waiting for the loader included; two steps warm up."""
    import tempfile
    from contextlib import nullcontext

    import torch

    from regraft.data.augmentation import Augmentation
    from regraft.data.loading.loader import PhotoBatches
    from regraft.data.manifest import scan
    from regraft.data.source import find_photos
    from regraft.data.threads import default_workers
    from regraft.features.activations import ActivationBatches, Activations
    from regraft.features.engines.graph_engines import OnnxEngine
    from regraft.features.engines.processor import has_bf16
    from regraft.features.stores.disk_store import DiskStore
    from regraft.models.classifier import Classifier
    from regraft.models.zoo import build_backbone
    from regraft.process import keep_freed_memory
    from regraft.recipes.steps.faster_steps import faster_steps
    from regraft.recipes.steps.step_precision import bf16_gain, precision_for
    from regraft.recipes.steps.trainers import LAYER_DECAY, WEIGHT_DECAY
    from regraft.recipes.steps.tuning_plan import BATCH_SIZE, VIEWS
    from regraft.training import Trainer

    keep_freed_memory()
    manifest = scan(find_photos(data), workers=2)
    entries = [entry for entry in manifest.usable if entry.given_side == "train"]
    backbone = build_backbone()
    classifier = Classifier(backbone, manifest.classes)
    classifier.to(memory_format=torch.channels_last)
    classifier.unfreeze("all" if kind == "all" else 2)
    groups = classifier.parameter_groups(3e-4, layer_decay=LAYER_DECAY, weight_decay=WEIGHT_DECAY)
    labels = [manifest.classes.index(entry.label) for entry in entries]
    with tempfile.TemporaryDirectory() as place:
        if kind == "all":
            source: Any = PhotoBatches(
                entries,
                labels,
                backbone.spec.preprocessing,
                augmentation=Augmentation(),
                batch_size=BATCH_SIZE,
                shuffle=True,
                workers=default_workers(),
            )
            entered: Any = nullcontext()
        else:
            at = len(backbone.blocks) - 2
            lower = backbone.lower(at)
            activations = Activations(lower, OnnxEngine(lower), DiskStore(Path(place)))
            activations.fill(entries, range(VIEWS))
            source = ActivationBatches(activations, entries, labels, views=VIEWS, batch_size=BATCH_SIZE, shuffle=True)
            entered = classifier.backbone.entered_at(classifier.backbone.halves(at))
        with entered:
            gain = bf16_gain(backbone.spec.name, classifier, BATCH_SIZE) if has_bf16() else 1.0
            optimizer, precision = torch.optim.AdamW(groups), precision_for(gain)
            trainer = Trainer(classifier, optimizer=optimizer, loss="cross_entropy", precision=precision)
            with faster_steps(classifier.backbone):
                return _speed(trainer, source, steps)


def _speed(trainer: Any, source: Any, steps: int) -> float:
    done = 0
    begun = time.perf_counter()
    for epoch in range(2 + (steps + WARM) // len(source)):
        for x, y in source.epoch(epoch):
            trainer.train_on_batch(x, y)
            done += 1
            if done == WARM:
                begun, photos = time.perf_counter(), 0
            elif done > WARM:
                photos += len(y)
            if done == steps + WARM:
                return photos / (time.perf_counter() - begun)
    raise AssertionError("the epochs are too few")


if __name__ == "__main__":
    main()
