"""The store on disk: what comes back is what was kept or nothing, whatever happens to processes and to the disk."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from regraft.features import disk_store, store_file
from regraft.features.disk_store import DiskStore
from regraft.features.packing import pack, unpack


def key_of(i: int) -> str:
    return hashlib.sha256(f"photo {i}".encode()).hexdigest()


def numbers_of(i: int, width: int = 320) -> np.ndarray:
    return np.random.default_rng(i).standard_normal(width).astype(np.float32)


def some(numbers) -> list[tuple[str, np.ndarray]]:
    return [(key_of(i), numbers_of(i)) for i in numbers]


@pytest.fixture
def warned() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path, warned) -> DiskStore:
    return DiskStore(tmp_path / "features", warn=warned.append)


def right(store: DiskStore, numbers) -> int:
    """Return how many are there, and make sure that each is what was kept."""
    numbers = list(numbers)
    found = dict(store.get_many([key_of(i) for i in numbers]))
    for position, value in found.items():
        assert value.tobytes() == numbers_of(numbers[position]).tobytes()
    return len(found)


def the_file(store: DiskStore) -> Path:
    (file,) = store.folder.glob("*.sqlite")
    return file


def test_what_is_kept_comes_back_to_the_bit(store, warned):
    assert store.get(key_of(1)) is None
    store.put(key_of(1), numbers_of(1), "a kind")
    half = np.arange(24, dtype=np.float16).reshape(2, 3, 4)
    store.put(key_of(2), half)
    again = DiskStore(store.folder)
    assert again.get(key_of(1)).tobytes() == numbers_of(1).tobytes()
    assert again.get(key_of(2)).dtype == np.float16 and np.array_equal(again.get(key_of(2)), half)
    assert not again.get(key_of(1)).flags.writeable
    store.put(key_of(1), numbers_of(3))
    assert np.array_equal(again.get(key_of(1)), numbers_of(3))
    assert [(kind.name, kind.entries) for kind in again.kinds()] == [("", 2)]
    assert not warned
    with pytest.raises(TypeError, match="only float32 and float16 are kept, not float64"):
        store.put(key_of(1), np.zeros(3))


def test_the_same_key_may_be_asked_for_several_times(store):
    store.put_many(some(range(200)))
    asked = [3, 3, 1000, 199, 3]
    found = sorted(position for position, _ in store.get_many([key_of(i) for i in asked]))
    assert found == [0, 1, 3, 4]


def test_any_changed_bit_and_any_other_key_is_noticed():
    key, numbers = bytes.fromhex(key_of(0)), numbers_of(0, 5)
    packed = pack(key, numbers)
    assert np.array_equal(unpack(key, packed), numbers)
    for bit in range(8 * len(packed)):
        changed = bytearray(packed)
        changed[bit // 8] ^= 1 << bit % 8
        assert unpack(key, bytes(changed)) is None
    assert all(unpack(key, packed[:n]) is None for n in range(len(packed)))
    assert unpack(bytes.fromhex(key_of(1)), packed) is None
    assert unpack(key, None) is None and unpack(key, "text") is None


WORK = """
import sys, numpy, hashlib, pathlib
sys.path.insert(0, sys.argv[1])
from test_disk_store import DiskStore, right, some
store = DiskStore(pathlib.Path(sys.argv[2]), bound=int(sys.argv[4]), warn=print)
draw = __import__("random").Random(int(sys.argv[3]))
while True:
    first = draw.randrange(400)
    store.put_many(some(range(first, first + 20)), "kind")
    right(store, draw.sample(range(420), 60))
    print(".", flush=True)
"""


@pytest.mark.slow
def test_no_wrong_feature_under_four_processes_kills_and_flipped_bits(tmp_path):
    """Processes write, read and are killed at any instant, while bits flip in whatever file is there."""
    draw, folder, log = random.Random(1), tmp_path / "features", tmp_path / "log"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    def begin(seed: int) -> subprocess.Popen:
        arguments = [str(Path(__file__).parent), str(folder), str(seed), str(draw.choice([10**9, 500_000]))]
        with log.open("a") as out:
            return subprocess.Popen([sys.executable, "-c", WORK, *arguments], stdout=out, stderr=out, env=environment)

    running, seed, ended, deadline = [begin(seed) for seed in range(4)], 4, [], time.monotonic() + 120
    while (seed < 14 or log.read_text().count(".") < 60) and time.monotonic() < deadline:
        time.sleep(draw.uniform(0.02, 0.4))
        for _ in range(draw.randrange(4)):
            flip(draw, folder)
        if draw.random() < min(0.5, log.read_text().count(".") / 40):  # not before they have come to their work
            victim = running.pop(draw.randrange(4))
            victim.kill()
            ended.append(victim.wait())
            running.append(begin(seed))
            seed += 1
    for process in running:
        process.kill()
        ended.append(process.wait())
    assert set(log.read_text()) == {".", "\n"}, log.read_text()[-3000:]
    assert set(ended) == {-signal.SIGKILL}  # none ended by itself: nothing was wrong, no signal, no error
    assert log.read_text().count(".") >= 60
    store = DiskStore(folder)
    right(store, range(420))
    store.put_many(some(range(50)))
    assert right(store, range(50)) == 50


def flip(draw: random.Random, folder: Path) -> None:
    files = [file for file in folder.glob("*") if file.is_file()] if folder.is_dir() else []
    if not files:
        return
    try:
        with draw.choice(files).open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            if size:
                where = draw.randrange(min(size, draw.choice([200, 40_000, size])))
                file.seek(where)
                byte = file.read(1)
                file.seek(where)
                file.write(bytes([byte[0] ^ 1 << draw.randrange(8)]))
    except (OSError, IndexError):
        return


@pytest.mark.parametrize("seed", range(30))
def test_a_damaged_file_is_a_miss_and_can_be_used_again(store, warned, seed):
    store.put_many(some(range(100)), "kind")
    store.close()
    draw, file = random.Random(seed), the_file(store)
    whole = file.read_bytes()
    if seed % 3 == 0:
        file.write_bytes(whole[: draw.randrange(len(whole))])
    else:
        damaged = bytearray(whole)
        for _ in range(draw.choice([1, 5, 500])):
            damaged[draw.randrange(draw.choice([120, 20_000, len(damaged)]))] = draw.randrange(256)
        file.write_bytes(damaged)
    right(store, range(120))
    store.kinds(), store.verify()
    store.put_many(some(range(100)), "kind")
    assert right(store, range(100)) == 100
    assert right(DiskStore(store.folder), range(120)) == 100
    assert not warned


def test_a_file_that_is_no_database_is_left_for_a_new_one(store):
    store.folder.mkdir(parents=True)
    (store.folder / "features-0007.sqlite").write_bytes(b"x" * 50_000)
    assert right(store, range(10)) == 0
    store.put_many(some(range(10)))
    assert right(store, range(10)) == 10
    assert the_file(store).name == "features-0008.sqlite"


def test_the_folder_may_vanish_under_a_running_process(store, warned):
    import shutil

    store.put_many(some(range(10)))
    shutil.rmtree(store.folder)
    store.put_many(some(range(10, 20)))
    store.put_many(some(range(20, 30)))
    assert right(DiskStore(store.folder), range(20, 30)) == 10
    assert not warned


def test_what_was_used_least_recently_makes_room(store, monkeypatch):
    hour = [1000]
    monkeypatch.setattr(disk_store, "_hour", lambda: hour[0])
    for block in range(0, 400, 100):
        store.put_many(some(range(block, block + 100)))
        hour[0] += 1
    assert right(store, range(50)) == 50  # in use again
    small = DiskStore(store.folder, bound=500_000)
    small.put_many(some(range(1000, 1100)))
    assert small._opened().size() <= 500_000
    assert right(small, range(1000, 1100)) == 100
    assert right(small, range(50)) == 50
    assert right(small, range(50, 250)) == 0
    small.put_many([(key_of(0), np.zeros(10**6, np.float32))])  # larger than everything: not kept, and nothing lost
    assert right(small, range(1000, 1100)) == 100


def test_the_bound_is_a_share_of_the_free_disk(store, monkeypatch):
    free = 50 * 10**9
    monkeypatch.setattr(disk_store.shutil, "disk_usage", lambda place: type("Usage", (), {"free": free}))
    assert store.bound == 5 * 10**9
    free = 500 * 10**9
    assert store.bound == 10 * 10**9


def test_pruning_and_clearing_give_the_space_back(store, monkeypatch):
    monkeypatch.setattr(disk_store, "_hour", lambda: 1000)
    store.put_many(some(range(300)), "old")
    monkeypatch.setattr(disk_store, "_hour", lambda: 1050)
    store.put_many(some(range(300, 600)), "new")
    assert store.prune(unused_hours=100) == 0
    assert store.prune(unused_hours=20) == 300
    assert [(kind.name, kind.entries) for kind in store.kinds()] == [("new", 300)]
    assert store.prune(size=250_000) > 50
    assert store.size() <= 250_000
    assert right(store, range(300, 600)) == store.clear() > 50
    assert store.size() < 100_000
    assert store.kinds() == []


def test_verifying_removes_what_is_damaged(store):
    store.put_many(some(range(100)))
    store.close()
    file = the_file(store)
    data = file.read_bytes()
    for i in range(5):
        whole = numbers_of(i).tobytes()
        data = data.replace(whole, whole[:17] + bytes([whole[17] ^ 4]) + whole[18:])
    file.write_bytes(data)
    assert right(store, range(100)) == 95
    assert store.verify() == (95, 5)
    assert store.verify() == (95, 0)


def test_a_place_that_cannot_be_used_is_said_once_and_done_without(tmp_path, warned):
    (tmp_path / "file").write_text("no folder")
    store = DiskStore(tmp_path / "file" / "features", warn=warned.append)
    for _ in range(3):
        store.put_many(some(range(10)))
        assert right(store, range(10)) == 0
    assert store.kinds() == [] and store.verify() == (0, 0) and store.clear() == 0
    assert len(warned) == 1 and "cannot be used" in warned[0]


def test_a_full_disk_is_said_once_and_what_is_there_can_be_read(store, warned, monkeypatch):
    store.put_many(some(range(20)))
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    monkeypatch.setattr(store_file.StoreFile, "write", lambda *a: (_ for _ in ()).throw(full))
    for _ in range(3):
        store.put_many(some(range(20, 40)))
    assert right(store, range(40)) == 20
    assert len(warned) == 1 and warned[0].endswith("cannot be written to: database or disk is full")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to_is_read(store, warned):
    store.put_many(some(range(20)))
    store.close()
    store.folder.chmod(0o500)
    the_file(store).chmod(0o400)
    try:
        assert right(store, range(20)) == 20
        store.put_many(some(range(20, 40)))
        assert right(store, range(40)) == 20
        assert len(warned) == 1
    finally:
        store.folder.chmod(0o700)


def test_a_fork_does_not_share_the_connection(store):
    store.put_many(some(range(20)))
    child = os.fork() if hasattr(os, "fork") else pytest.skip("no fork here")
    if child == 0:
        os._exit(0 if right(store, range(20)) == 20 else 1)
    assert os.waitpid(child, 0)[1] == 0
    store.put_many(some(range(20, 30)))
    assert right(store, range(30)) == 30
