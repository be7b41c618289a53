"""What snapshots cost a fine-tuning: `python benchmarks/snapshot_cost.py [--pairs 20]`.

Fine-tuning of all blocks of the default network on invented photos. Pairs with and without snapshots run interleaved in
one process. Snapshots are taken far more often than the default, so that their cost shows above the noise; the share of
the training time at the default interval follows from it. Memory is the peak of the process with snapshots above the
peak without, against the size of all that changes (weights, two moments of AdamW, kept best weights).
"""

from __future__ import annotations

import argparse
import gc
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from regraft.callbacks import EarlyStopping
from regraft.models.classifier import Classifier
from regraft.models.zoo import build_backbone
from regraft.screen import QuietScreen
from regraft.training import Snapshots, Trainer
from regraft.training.saving.snapshots import EVERY

SIZE, BATCH, STEPS, OFTEN = 96, 8, 24, 0.5


def network() -> Classifier:
    """Return the default network with all blocks unfrozen."""
    classifier = Classifier(build_backbone(size=SIZE), ("a", "b"))
    classifier.unfreeze("all")
    return classifier


def train(classifier: Classifier, folder: Path | None) -> tuple[float, int, int]:
    """Train for some steps; return the seconds, the snapshots taken and the bytes of all that changes."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(BATCH * STEPS, 3, SIZE, SIZE, generator=draw)
    y = torch.randint(0, 2, (len(x),), generator=draw)
    optimizer = torch.optim.AdamW([p for p in classifier.parameters() if p.requires_grad], 1e-5)
    trained = {name for name, p in classifier.named_parameters() if p.requires_grad}
    fixed = [name for name in classifier.state_dict() if name not in trained]
    trainer = Trainer(classifier, optimizer, "cross_entropy", fixed=fixed, screen=QuietScreen())
    snapshots = None if folder is None else _Counted(folder, every=OFTEN)
    begun = time.perf_counter()
    stopping = EarlyStopping("loss", patience=9, restore_best_weights=True)
    trainer.fit(x, y, BATCH, verbose=0, callbacks=[stopping], shuffle=False, resume=snapshots)
    seconds = time.perf_counter() - begun
    gc.collect()  # what a trainer and its callbacks hold of each other would count as memory
    weights = sum(p.numel() * p.element_size() for p in classifier.parameters() if p.requires_grad)
    return seconds, snapshots.taken if snapshots is not None else 0, 4 * weights


class _Counted(Snapshots):
    taken = 0

    def save(self, state: dict[str, object], *, wait: bool = False) -> None:  # type: ignore[override]
        self.taken += 1
        super().save(state, wait=wait)


def peak() -> int:
    """Return the largest memory of this process so far, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Run the pairs and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20)
    count = parser.parse_args().pairs
    classifier = network()
    for _ in range(3):
        train(classifier, None)
    before = peak()
    costs = []
    with tempfile.TemporaryDirectory() as place:
        for i in range(count):
            sides = [None, Path(place, str(i))]
            found = {side is None: train(classifier, side) for side in (sides if i % 2 else reversed(sides))}
            seconds, taken, size = found[False]
            costs.append((seconds - found[True][0]) / taken)
    more = peak() - before
    draw = np.random.default_rng(0)
    medians = np.median(draw.choice(costs, (2000, count)), axis=1)
    low, high = np.percentile(medians, [2.5, 97.5])
    cost = float(np.median(costs))
    print(f"a snapshot of {size / 1e6:.0f} MB costs {1e3 * cost:.0f} ms  (95 %: {1e3 * low:.0f} to {1e3 * high:.0f})")
    print(
        f"every {EVERY:.0f} s that is {cost / EVERY:.2%} of the time  (95 %: {low / EVERY:.2%} to {high / EVERY:.2%})"
    )
    print(f"memory: {more / 1e6:.0f} MB more at the peak, {more / size:.2f} × all that changes")


if __name__ == "__main__":
    main()
