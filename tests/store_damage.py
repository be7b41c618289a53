"""Processes that share a feature store while bits flip in its files and processes are killed.

A run is a driver and four workers, all forks of one process, so that a run takes about a second:

    python tests/store_damage.py FOLDER RUNS FIRST_SEED [--worse]

The driver waits for reports from the workers' pipes, never for a time. A worker's report is a dot for a round of
writing and reading, or the text of an error or warning, which ends the run.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import selectors
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

import numpy as np

from regraft.features.stores.disk_store import DiskStore

PHOTOS = 420
KILLS = 10
ROUNDS = 60


def key_of(i: int) -> str:
    return hashlib.sha256(f"photo {i}".encode()).hexdigest()


def numbers_of(i: int, width: int = 320) -> np.ndarray:
    return np.random.default_rng(i).standard_normal(width).astype(np.float32)


def some(numbers: Iterable[int]) -> list[tuple[str, np.ndarray]]:
    return [(key_of(i), numbers_of(i)) for i in numbers]


def right(store: DiskStore, numbers: Iterable[int]) -> int:
    """Return the number of entries that are there; assert that each has the bits that were written."""
    numbers = list(numbers)
    there = dict(store.get_many([key_of(i) for i in numbers]))
    for position, value in there.items():
        assert value.tobytes() == numbers_of(numbers[position]).tobytes(), f"wrong numbers for {numbers[position]}"
    return len(there)


def flip(draw: random.Random, folder: Path) -> None:
    """Flip one bit of a file of the store, often in its header or its first pages."""

    def change(size: int) -> tuple[int, Callable[[bytes], bytes]]:
        where = draw.randrange(min(size, draw.choice([200, 40_000, size])))
        return where, lambda old: bytes([old[0] ^ 1 << draw.randrange(8)])

    _damage(draw, folder, change)


def worse(draw: random.Random, folder: Path) -> None:
    """Overwrite several bytes where it hurts: page headers, page numbers, the file format, page counts."""

    def change(size: int) -> tuple[int, Callable[[bytes], bytes]]:
        page = 16384 * draw.randrange(max(1, size // 16384))
        where, new = draw.choice([
            (page + draw.randrange(40), draw.randbytes(1)),
            (page + draw.choice([8, 12, 16384 - 400]), b"\xff\xff\xff" + draw.randbytes(1)),
            (draw.randrange(size), draw.randbytes(100)),
            (draw.choice([28, 32, 36, 52]), draw.randbytes(4)),
            (16, draw.choice([b"\x10\x00", b"\x00\x01", b"\x80\x00"])),
        ])  # fmt: skip
        return where, lambda old: new

    _damage(draw, folder, change)


def _damage(draw: random.Random, folder: Path, change: Callable[[int], tuple[int, Callable[[bytes], bytes]]]) -> None:
    files = sorted(file for file in folder.glob("*") if file.is_file()) if folder.is_dir() else []
    if not files:
        return
    try:
        with draw.choice(files).open("r+b", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            if size:
                where, new = change(size)
                file.seek(where)
                if old := file.read(1):
                    file.seek(where)
                    file.write(new(old))
    except OSError:  # another process has removed the file
        return


def run(folder: Path, seed: int, damage: Callable[[random.Random, Path], None] = flip) -> None:
    """Let four processes use the store in ``folder`` until ten were killed; raise AssertionError where it fails."""
    draw = random.Random(seed)
    rows = some(range(PHOTOS))
    workers = selectors.DefaultSelector()
    kills = rounds = 0
    try:
        for k in range(4):
            _begin(workers, folder, rows, 1000 * seed + k)
        while kills < KILLS or rounds < ROUNDS:
            for ready, _ in workers.select():
                report = os.read(ready.fd, 65536)
                if not report:
                    raise AssertionError(f"seed {seed}: a worker ended by itself, status {_end(workers, ready)}")
                if report.strip(b"."):
                    raise AssertionError(f"seed {seed}: {_everything(ready.fd, report)}")
                rounds += len(report)
            for _ in range(draw.choice([0, 0, 1, 2, 3])):
                damage(draw, folder)
            if rounds > 10 and draw.random() < 0.1:
                victim = draw.choice(list(workers.get_map().values()))
                os.kill(victim.data, signal.SIGKILL)
                status = _end(workers, victim)
                assert status == -signal.SIGKILL, f"seed {seed}: a worker ended by itself, status {status}"
                kills += 1
                _begin(workers, folder, rows, 1000 * seed + 3 + kills)
    finally:
        for worker in list(workers.get_map().values()):
            os.kill(worker.data, signal.SIGKILL)
            _end(workers, worker)
        workers.close()
    warned: list[str] = []
    store = DiskStore(folder, warn=warned.append)
    right(store, range(PHOTOS))
    if damage is worse:  # a tree out of order is found by no single read, but by `regraft cache verify`
        store.verify()
    for _ in range(3):  # a damaged list of free pages is found only after a page in use was written over
        store.put_many(rows[:50])
        there = right(store, range(50))
        if there == 50:
            break
    assert there == 50 and not warned, f"seed {seed}: the store is of no more use: {there} of 50, {warned}"
    store.close()


def _begin(workers: selectors.DefaultSelector, folder: Path, rows: list[tuple[str, np.ndarray]], seed: int) -> None:
    read, write = os.pipe()
    worker = os.fork()
    if worker == 0:
        os.close(read)
        _work(folder, rows, seed, write)
    os.close(write)
    workers.register(read, selectors.EVENT_READ, worker)


def _work(folder: Path, rows: list[tuple[str, np.ndarray]], seed: int, write: int) -> NoReturn:
    try:
        draw = random.Random(seed)
        bound = draw.choice([10**9, 500_000])
        store = DiskStore(folder, bound=bound, warn=lambda text: _say(write, text))
        while True:
            first = draw.randrange(PHOTOS - 20)
            store.put_many(rows[first : first + 20], "kind")
            right(store, draw.sample(range(PHOTOS), 60))
            if draw.random() < 0.05:
                store.close()
            _say(write, ".")
    except BaseException:  # noqa: BLE001  (the driver reports it)
        _say(write, traceback.format_exc())
    finally:
        os._exit(1)


def _say(write: int, text: str) -> None:
    os.write(write, text.encode())


def _end(workers: selectors.DefaultSelector, worker: selectors.SelectorKey) -> int:
    """Forget a worker that has ended; return its exit status, or minus the signal that ended it."""
    workers.unregister(worker.fd)
    os.close(worker.fd)
    return os.waitstatus_to_exitcode(os.waitpid(worker.data, 0)[1])


def _everything(fd: int, report: bytes) -> str:
    os.set_blocking(fd, False)
    with contextlib.suppress(BlockingIOError):
        report += os.read(fd, 65536)
    return report.decode(errors="replace").strip(".")


def main() -> int:
    """Make many runs; return 1 where one fails."""
    folder, runs, first = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    failed = 0
    for seed in range(first, first + runs):
        for damage in (flip, worse) if "--worse" in sys.argv else (flip,):
            with tempfile.TemporaryDirectory(dir=folder) as place:
                try:
                    run(Path(place) / "features", seed, damage)
                except AssertionError as error:
                    failed += 1
                    print(f"{damage.__name__}: {error}", flush=True)
        if seed % 50 == 49:
            print(f"seed {seed}", file=sys.stderr, flush=True)
    print(f"{runs} runs of each damage: {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
