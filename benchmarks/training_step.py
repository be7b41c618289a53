"""Photos/s of the training step: `python benchmarks/training_step.py DATA --peers PEERS [--steps 20]`.

The plain loop is the peers' `naive_finetune.py`, which prints the speed of its own step; ours is the step of the
fine-tune recipe, all blocks unfrozen, on the same number of photos a batch. They run in turn, each in its own process.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from _peers import peer


def main() -> None:
    """Run both in turn and print the ratio pair by pair."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--peers", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--own", action="store_true", help="only our own step, as a line of JSON")
    given = parser.parse_args()
    if given.own:
        print(json.dumps({"step_photos_per_s": round(own(given.data, given.steps), 2)}))
        return
    ratios = []
    for turn in range(given.repeat):
        command = [sys.executable, __file__, str(given.data), "--peers", ".", "--steps", str(given.steps), "--own"]
        printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        ours = json.loads(printed.strip().splitlines()[-1])["step_photos_per_s"]
        theirs = peer(given.peers / "naive_finetune.py", str(given.data), "1", str(given.steps)).found[
            "step_photos_per_s"
        ]
        ratios.append(ours / theirs)
        print(f"{turn + 1}: regraft {ours:.1f} photos/s, plain loop {theirs:.1f} photos/s", flush=True)
    print(f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


def own(data: Path, steps: int) -> float:
    """Return photos/s of the fine-tune recipe's step, from the batch to the updated weights, loading left out."""
    import torch

    from regraft.data.loader import PhotoBatches, default_workers
    from regraft.data.manifest import scan
    from regraft.data.source import find_photos
    from regraft.data.views import Augmentation
    from regraft.models.classifier import Classifier
    from regraft.models.zoo import build_backbone
    from regraft.process import keep_freed_memory
    from regraft.recipes.fine_tune import BATCH_SIZE, LAYER_DECAY, WEIGHT_DECAY
    from regraft.training import Trainer

    keep_freed_memory()
    manifest = scan(find_photos(data), workers=2)
    entries = [entry for entry in manifest.usable if entry.given == "train"]
    backbone = build_backbone()
    classifier = Classifier(backbone, manifest.classes)
    classifier.to(memory_format=torch.channels_last)
    classifier.unfreeze("all")
    groups = classifier.parameter_groups(3e-4, layer_decay=LAYER_DECAY, weight_decay=WEIGHT_DECAY)
    trainer = Trainer(classifier, optimizer=torch.optim.AdamW(groups), loss="cross_entropy")
    labels = [manifest.classes.index(entry.label) for entry in entries]
    source = PhotoBatches(
        entries,
        labels,
        backbone.spec.preprocessing,
        augmentation=Augmentation(),
        batch_size=BATCH_SIZE,
        shuffle=True,
        workers=default_workers(),
    )
    done = spent = 0.0
    for epoch in range(1 + steps // max(1, len(source))):
        for x, y in source.epoch(epoch):
            begun = time.perf_counter()
            trainer.train_on_batch(x, y)
            spent += time.perf_counter() - begun
            done += len(y)
            if done >= steps * BATCH_SIZE:
                return done / spent
    return done / spent


if __name__ == "__main__":
    main()
