"""Four writers and a compaction of a shared store are killed at any instant: no wrong feature, and none is lost."""

from __future__ import annotations

import os
import random
import selectors
import signal
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("pyarrow", reason="the extra scale is not installed")

from regraft.features.stores.shared.compaction import compact, verify
from regraft.features.stores.shared.places import FolderPlace
from regraft.features.stores.shared.shared_store import SharedStore
from store_damage import PHOTOS, key_of, right, some

WRITERS, KILLS, BATCH = 4, 25, 12
REPORT = struct.Struct("<i")
FAILED = -1


def write(folder: Path, seed: int, report: Callable[[int], None]) -> None:
    """Write random batches, and report the first photo of each batch that is stored."""
    draw = random.Random(seed)
    store = SharedStore(FolderPlace(folder), warn=lambda text: report(FAILED))
    while True:
        first = draw.randrange(PHOTOS - BATCH)
        store.put_many(some(range(first, first + BATCH)), "kind")
        report(first)
        right(store, draw.sample(range(PHOTOS), 20))


def compact_again_and_again(folder: Path, seed: int, report: Callable[[int], None]) -> None:
    """Compact the store without end."""
    while True:
        compact(FolderPlace(folder))
        report(PHOTOS)


def begin(processes: selectors.DefaultSelector, work: Callable, folder: Path, seed: int) -> None:
    read, written = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        try:
            work(folder, seed, lambda number: os.write(written, REPORT.pack(number)))
        except BaseException:  # noqa: BLE001  (the test reports it)
            os.write(written, REPORT.pack(FAILED))
        finally:
            os._exit(1)
    os.close(written)
    processes.register(read, selectors.EVENT_READ, (pid, work))


def end(processes: selectors.DefaultSelector, one: selectors.SelectorKey) -> bytes:
    """Kill a process and return what it had still reported."""
    os.kill(one.data[0], signal.SIGKILL)
    os.waitpid(one.data[0], 0)
    processes.unregister(one.fd)
    left = b""
    while more := os.read(one.fd, 65536):
        left += more
    os.close(one.fd)
    return left


@pytest.mark.slow
def test_killed_writers_and_compactions_lose_nothing_and_damage_nothing(tmp_path):
    draw, stored, kills = random.Random(0), set[int](), 0
    processes = selectors.DefaultSelector()

    def note(reports: bytes) -> None:
        numbers = {number for (number,) in REPORT.iter_unpack(reports[: len(reports) // 4 * 4])}
        assert FAILED not in numbers, "a process failed, or the store warned"
        for first in numbers - {PHOTOS}:
            stored.update(range(first, first + BATCH))

    works = [write] * WRITERS + [compact_again_and_again]
    for seed, work in enumerate(works):
        begin(processes, work, tmp_path, seed)
    try:
        while kills < KILLS:
            for ready, _ in processes.select():
                note(os.read(ready.fd, 4096))
            if draw.random() < 0.2:
                victim = draw.choice(list(processes.get_map().values()))
                note(end(processes, victim))
                kills += 1
                begin(processes, victim.data[1], tmp_path, 100 + kills)
    finally:
        for one in list(processes.get_map().values()):
            note(end(processes, one))
        processes.close()
    store = SharedStore(FolderPlace(tmp_path))
    assert len(stored) > PHOTOS / 2 and right(store, sorted(stored)) == len(stored)
    result = compact(store.place)
    assert result.damaged == 0 and verify(store.place).sound == right(store, range(PHOTOS))
    assert store.missing([key_of(i) for i in sorted(stored)]) == []
