"""Kill trainings at any instant, start them again until they are done, and compare with ones that nobody touched.

    python benchmarks/torture.py PHOTOS [--runs 100] [--jobs 2] [--seed 0] [--kinds command,photos,plain]

Three kinds of training take turns: the command ``regraft train`` (fine-tuning on real photos, with early stopping,
TensorBoard and a callback of the user's), a `Trainer` on a pretrained classifier and photos that are decoded by
workers, and a `Trainer` on a plain module with a ``DataLoader``; the last two with early stopping, a plateau,
checkpoints, a CSV file, TensorBoard, a moving average, accumulated gradients, dropout and a torch scheduler. Each is
killed (SIGKILL) one to five times: half of the kills at a random time from the start of the process on, half exactly
before or after a write, a flush or a rename of a snapshot. Everything that is left must equal, to the bit, what the
untouched training left.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHILD = Path(__file__).with_name("_torture_child.py")
KINDS = ("command", "photos", "plain")
SEEDS = 3
"""Trainings of each kind; each has one untouched twin that all of its tortured ones are compared with."""

LONGEST = 300.0
EVENTS = ("write", "flush", "rename", "renamed")


@dataclass(frozen=True)
class Case:
    """One tortured training."""

    number: int
    kind: str
    seed: int
    kills: tuple[tuple[str, float], ...]
    """Each is (``"time"``, share of the untouched training's time) or (event, which one of them in the process)."""


def cases(runs: int, kinds: list[str], seed: int) -> list[Case]:
    """Return what is done to each training: a pure function of the arguments."""
    draw = random.Random(seed)  # noqa: S311 (which instants are tried is no secret)
    found = []
    for number in range(runs):
        kills = tuple(
            ("time", draw.random()) if draw.random() < 0.5 else (draw.choice(EVENTS), draw.randrange(1, 12))
            for _ in range(draw.randrange(1, 6))
        )
        found.append(Case(number, kinds[number % len(kinds)], draw.randrange(SEEDS), kills))
    return found


class Torturer:
    """Runs trainings in ``place`` on ``photos``."""

    def __init__(self, place: Path, photos: Path) -> None:
        self._place, self._photos = place, photos
        self._untouched: dict[tuple[str, int], tuple[dict[str, Any], float]] = {}

    def untouched(self, kind: str, seed: int) -> tuple[dict[str, Any], float]:
        """Return what a training of ``kind`` leaves when nobody touches it, and the seconds that it took."""
        if (kind, seed) not in self._untouched:
            folder = self._place / f"untouched-{kind}-{seed}"
            begun = time.monotonic()
            process = self._start(kind, seed, folder, "", 0)
            process.wait(LONGEST)
            if process.returncode:
                raise SystemExit(f"the untouched {kind} ended with {process.returncode}: see {folder}.log")
            self._untouched[kind, seed] = (_result(folder), time.monotonic() - begun)
        return self._untouched[kind, seed]

    def torture(self, case: Case) -> tuple[str, int]:
        """Return what came out (``"equal"``, or what differs), and how often the training was really killed."""
        expected, seconds = self.untouched(case.kind, case.seed)
        folder = self._place / f"tortured-{case.number}"
        killed = 0
        for kind, when in (*case.kills, ("", 0.0)):
            process = self._start(case.kind, case.seed, folder, "" if kind == "time" else kind, int(when))
            try:
                process.wait(when * seconds if kind == "time" else LONGEST)
            except subprocess.TimeoutExpired:
                if kind != "time":
                    process.kill()
                    return "it hung", killed
                process.send_signal(signal.SIGKILL)
                process.wait()
            killed += process.returncode == -signal.SIGKILL
            if process.returncode not in (0, -signal.SIGKILL):
                return f"a start ended with {process.returncode}: see {folder}.log", killed
        found = _result(folder)
        others = [name for name in expected if found.get(name) != expected[name]]
        return (f"differs in {', '.join(others)}" if others else "equal"), killed

    def _start(self, kind: str, seed: int, folder: Path, event: str, which: int) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "REGRAFT_CACHE": str(self._place / "cache"),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command = [sys.executable, str(CHILD), kind, str(seed), str(self._photos), str(folder), event, str(which)]
        with Path(f"{folder}.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, env=environment)


def _result(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return found


def main() -> int:
    """Torture, and say what came out; return 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="a folder of train/CLASS/*, such as hymenoptera")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--keep", type=Path, help="a folder to work in, which stays")
    given = parser.parse_args()
    outcomes: Counter[str] = Counter()
    kills = 0
    with tempfile.TemporaryDirectory() as temporary:
        place = given.keep or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        torturer = Torturer(place.resolve(), given.photos.resolve())
        todo = cases(given.runs, given.kinds.split(","), given.seed)
        pairs = sorted({(case.kind, case.seed) for case in todo})
        with ThreadPoolExecutor(given.jobs) as pool:
            list(pool.map(lambda pair: torturer.untouched(*pair), pairs))
            for case, (outcome, killed) in zip(todo, pool.map(torturer.torture, todo), strict=True):
                outcomes[outcome if outcome == "equal" else "lost"] += 1
                kills += killed
                print(f"{case.number + 1:4}/{given.runs}  {case.kind:<8} killed {killed}×  {outcome}", flush=True)
    print(f"{outcomes['equal']} of {given.runs} equal to the bit after {kills} kills")
    return int(outcomes["equal"] != given.runs)


if __name__ == "__main__":
    sys.exit(main())
