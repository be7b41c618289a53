"""The working tree beside an earlier commit: the command line's start, the linear probe, and a step of fine-tuning.

    python benchmarks/against_commit.py COMMIT PHOTOS [--rounds 5]

COMMIT is checked out to a temporary folder, and runs with the packages of this environment. Both run in turn, and
change places from round to round. Printed for each: the seconds of the working tree, and their ratio to those of the
commit, as the median over rounds with the smallest and the largest; in wall time, and in CPU time of the process.

- `help`: `regraft --help`.
- `probe, cold`: `regraft train PHOTOS --recipe linear-probe` without features in the cache.
- `probe, again`: the same, with them.
- `step`: 30 steps of `Trainer.fit` on the default network, all blocks trained, 16 photos of 128 pixels.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
_STEPS = """
import torch, regraft as rg
from regraft.training import Trainer
torch.manual_seed(0)
classifier = rg.Classifier(rg.build_backbone("tf_efficientnet_lite0", pretrained=False, size=128), ["ant", "bee"])
x, y = torch.randn(480, 3, 128, 128), torch.arange(480) % 2
trainer = Trainer(classifier, optimizer="sgd", loss="cross_entropy", metrics=["accuracy"])
trainer.fit(x, y, epochs=1, batch_size=16, verbose=0)
"""


def commands(photos: Path, place: Path) -> dict[str, list[str]]:
    """Return what is measured; every call finds the folder as the one before has left it."""
    train = [
        "-m",
        "regraft",
        "train",
        str(photos),
        "--recipe",
        "linear-probe",
        "--fresh",
        "--quiet",
        "-o",
        f"{place}/run",
    ]
    return {
        "help": ["-m", "regraft", "--help"],
        "probe, cold": train,
        "probe, again": train,
        "step": ["-c", _STEPS],
    }


def seconds(source: Path, words: list[str], cache: Path) -> tuple[float, float]:
    """Return the wall seconds and the CPU seconds of a Python process that imports regraft from ``source``."""
    environment = os.environ | {"PYTHONPATH": str(source / "src"), "REGRAFT_CACHE": str(cache)}
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *words], env=environment, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(trees: dict[str, Path], photos: Path, rounds: int) -> None:
    """Run everything in turn, and print the ratios."""
    figures: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            for name in list(trees) if number % 2 == 0 else list(trees)[::-1]:
                place = Path(folder) / name
                place.mkdir()
                for what, words in commands(photos, place).items():
                    found = seconds(trees[name], words, place / "cache")
                    figures.setdefault(what, {}).setdefault(name, []).append(found)
    for what, of in figures.items():
        for kind, position in (("wall", 0), ("CPU", 1)):
            now = [one[position] for one in of["now"]]
            ratios = [a / b[position] for a, b in zip(now, of["commit"], strict=True)]
            middle, low, high = statistics.median(ratios), min(ratios), max(ratios)
            print(f"{what:13} {kind:5} {statistics.median(now):7.2f} s   {middle:.3f} ({low:.3f} to {high:.3f})")


def main() -> None:
    """Check the commit out, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commit")
    parser.add_argument("photos", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "commit"
        subprocess.run(["git", "-C", HERE, "worktree", "add", "-q", "--detach", tree, given.commit], check=True)
        try:
            measure({"commit": tree, "now": HERE}, given.photos.resolve(), given.rounds)
        finally:
            subprocess.run(["git", "-C", HERE, "worktree", "remove", "--force", tree], check=True)


if __name__ == "__main__":
    main()
