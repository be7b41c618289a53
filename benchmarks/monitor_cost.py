"""What an open live page costs a training: interleaved pairs of `regraft train` with and without one.

    python benchmarks/monitor_cost.py PHOTOS [--pairs 8] [--epochs 3] [--unfreeze 2]

Each pair trains the same run twice from the same features, in alternating order: once alone, and once while a monitor
serves the folder of the runs to a connected page. The weights of all trainings must be equal. Printed are the ratios of
the wall time and of the processor time of the training (with / without), their medians with 95 % intervals (by
bootstrap), and the processor time of the monitor.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import numpy as np
from monitor_load import Server, serving


def train(photos: Path, out: Path, options: list[str]) -> tuple[float, float]:
    """Train into ``out``; return the wall time and the processor time in seconds."""
    words = [sys.executable, "-m", "regraft", "train", str(photos), "-o", str(out), "--recipe", "fine-tune", *options]
    begun = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begun
    if status:
        raise SystemExit(f"{' '.join(words)}: status {status}")
    return wall, usage.ru_utime + usage.ru_stime


class Page:
    """A page that receives the events of a monitor until `close`."""

    def __init__(self, server: Server) -> None:
        self.answer = urllib.request.urlopen(server.address.rstrip("/") + "/events")  # noqa: S310  (own server)
        self.received = 0
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        try:
            while line := self.answer.readline():
                self.received += len(line)
        except (OSError, ValueError, AttributeError):
            return


def interval(values: np.ndarray) -> str:
    """Return the median of ``values`` with its 95 % interval."""
    draw = np.random.default_rng(0)
    medians = np.median(draw.choice(values, (4000, len(values))), axis=1)
    low, high = np.percentile(medians, (2.5, 97.5))
    return f"{np.median(values):.4f} (95 %: {low:.4f} to {high:.4f})"


def main() -> None:
    """Run the pairs and print what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--unfreeze", default="2")
    given = parser.parse_args()
    options = ["--epochs", str(given.epochs), "--unfreeze", given.unfreeze, "--seed", "0", "--quiet"]
    ratios, cpu, received, weights = [], 0.0, 0, set()
    with tempfile.TemporaryDirectory() as temporary:
        runs = Path(temporary, "runs")
        runs.mkdir()

        def once(watched: bool) -> tuple[float, float]:
            nonlocal cpu, received
            out = runs / "run"
            shutil.rmtree(out, ignore_errors=True)
            if watched:
                with serving(runs) as server:
                    page, before = Page(server), server.cpu()
                    time.sleep(1)
                    taken = train(given.photos, out, options)
                    cpu, received = cpu + server.cpu() - before, received + page.received
            else:
                taken = train(given.photos, out, options)
            weights.add(hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest())
            return taken

        once(watched=False)  # fills the store
        for pair in range(given.pairs):
            order = (True, False) if pair % 2 else (False, True)
            times = {watched: once(watched) for watched in order}
            ratios.append([times[True][k] / times[False][k] for k in range(2)])
            print(f"pair {pair}: {times[False][0]:.2f} s alone, {times[True][0]:.2f} s with a page", flush=True)
    values = np.array(ratios)
    print(f"wall time       {interval(values[:, 0])}")
    print(f"processor time  {interval(values[:, 1])}")
    print(f"monitor         {cpu / given.pairs:.2f} s of a core and {received / given.pairs:,.0f} bytes for a training")
    print(f"weights         {len(weights)} different")


if __name__ == "__main__":
    main()
