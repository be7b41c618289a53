"""The feature pass in two shards by two processes of one thread, beside one process that computes all photos.

    python benchmarks/shard_efficiency.py [PHOTOS] [ROUNDS]

Every process runs `regraft features` on one processor and writes into a shared store. The pass is timed, not the import
of torch or the hashing of the photos. Efficiency by wall time is the time of one process divided by twice that of the
slower of two, which is right on a quiet machine only; by CPU time, it is that of one divided by the sum of both. Rounds
alternate; medians are printed.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from _many_photos import write_photos

CHILD = """
import os, resource, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
from regraft.cli import exits
from regraft.workflows import feature_pass
run = feature_pass.run_pass
def timed(*arguments):
    before = resource.getrusage(resource.RUSAGE_SELF)
    result = run(*arguments)
    after = resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {**result, "cpu_seconds": used}
feature_pass.run_pass = timed
from regraft.cli.main import call
sys.exit(call(sys.argv[2:]))
"""


def start(photos: Path, store: Path, shard: str, processor: int) -> subprocess.Popen[bytes]:
    """Start the pass of a shard on one processor."""
    command = [
        "features",
        photos,
        "--store",
        store,
        "--shard",
        shard,
        "--engine",
        "eager fp32",
        "--json",
        "--workers",
        "1",
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-c", CHILD, str(processor), *map(str, command)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)


def seconds(process: subprocess.Popen[bytes]) -> tuple[float, float]:
    """Return wall and CPU seconds of a pass."""
    result = json.loads(process.communicate()[0])
    return float(result["seconds"]), float(result["cpu_seconds"])


def main() -> None:
    """Print the efficiency."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    processors = sorted(os.sched_getaffinity(0))[:2]
    wall, cpu = [], []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["REGRAFT_CACHE"] = f"{folder}/cache"
        photos = write_photos(Path(folder) / "photos", count)
        seconds(start(photos, Path(folder) / "first", "1/20", processors[0]))  # finds the batch size
        for number in range(rounds):
            one = seconds(start(photos, Path(folder) / f"one {number}", "1/1", processors[0]))
            store = Path(folder) / f"two {number}"
            two = [start(photos, store, f"{i + 1}/2", processors[i]) for i in range(2)]
            halves = [seconds(process) for process in two]
            wall.append(one[0] / (2 * max(half[0] for half in halves)))
            cpu.append(one[1] / sum(half[1] for half in halves))
            print(f"one process {one[0]:.1f} s, {one[1]:.1f} CPU s; two {halves}", flush=True)
    print(
        f"{count:,} photos: efficiency {statistics.median(wall):.3f} by wall time, {statistics.median(cpu):.3f} by CPU"
    )


if __name__ == "__main__":
    main()
