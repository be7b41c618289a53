"""The feature pass in two shards by two processes of one thread, beside one process that computes all photos.

    python benchmarks/shard_efficiency.py [PHOTOS] [ROUNDS]

Every process runs `regraft features` on one processor and writes into a shared store. Efficiency is the seconds of one
process divided by the sum of those of two; in wall seconds by twice those of the slower one, which is right on a quiet
machine only. It is printed for the pass alone, and for whole processes with imports, the list of photos, hashes and the
choice of the engine, whose CPU seconds are printed too. Rounds alternate; medians are printed.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from _many_photos import write_photos

OPTIONS = ("--engine", "eager fp32", "--json", "--workers", "1")
IN_PASS = ("pass", "set-up of the engine")


def start(photos: Path, store: Path, shard: str, processor: int) -> subprocess.Popen[bytes]:
    """Start the pass of a shard on one processor."""
    command = ["features", photos, "--store", store, "--shard", shard, *OPTIONS]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    child = Path(__file__).with_name("_shard_child.py")
    words = [sys.executable, child, processor, *command]
    return subprocess.Popen(list(map(str, words)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)


def figures(process: subprocess.Popen[bytes]) -> dict[str, float]:
    """Return the CPU seconds of the stages of a process, and the wall seconds of its pass."""
    result: dict[str, Any] = json.loads(process.communicate()[0])
    return {**result["stages"], "wall": float(result["seconds"])}


def cpu(stages: dict[str, float], *, whole: bool) -> float:
    """Return the CPU seconds of the pass with the set-up of its engine, or of the whole process."""
    return sum(used for name, used in stages.items() if name != "wall" and (whole or name in IN_PASS))


def main() -> None:
    """Print the efficiency, and the stages of a process."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    processors = sorted(os.sched_getaffinity(0))[:2]
    rates: dict[str, list[float]] = {"pass, CPU": [], "process, CPU": [], "pass, wall": []}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["REGRAFT_CACHE"] = f"{folder}/cache"
        photos = write_photos(Path(folder) / "photos", count)
        figures(start(photos, Path(folder) / "first", "1/20", processors[0]))  # records what a first run finds out
        for number in range(rounds):
            one = figures(start(photos, Path(folder) / f"one {number}", "1/1", processors[0]))
            store = Path(folder) / f"two {number}"
            processes = [start(photos, store, f"{i + 1}/2", processors[i]) for i in range(2)]
            two = [figures(process) for process in processes]
            rates["pass, CPU"].append(cpu(one, whole=False) / sum(cpu(half, whole=False) for half in two))
            rates["process, CPU"].append(cpu(one, whole=True) / sum(cpu(half, whole=True) for half in two))
            rates["pass, wall"].append(one["wall"] / (2 * max(half["wall"] for half in two)))
            for label, stages in zip(("one process", "shard 1/2", "shard 2/2"), (one, *two), strict=True):
                print(f"{label:12}", "   ".join(f"{name} {used:.1f}" for name, used in stages.items()), flush=True)
    for label, values in rates.items():
        print(f"{count:,} photos: efficiency {statistics.median(values):.3f} ({label}, n={len(values)})")


if __name__ == "__main__":
    main()
