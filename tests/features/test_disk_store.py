"""The store on disk: what comes back is what was kept or nothing, whatever happens to processes and to the disk."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

import store_damage
from regraft.features.stores import disk_store, sqlite_file
from regraft.features.stores.disk_store import DiskStore
from regraft.features.stores.store import pack, unpack
from store_damage import key_of, numbers_of, right, some


@pytest.fixture
def warned() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path, warned) -> DiskStore:
    return DiskStore(tmp_path / "features", warn=warned.append)


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
    with pytest.raises(TypeError, match="expected float32, float16 or uint8, found float64"):
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


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="the processes are forks")
def test_no_wrong_feature_under_four_processes_kills_and_flipped_bits(tmp_path):
    """Processes write, read and are killed at any instant, while bits flip in whatever file is there.

    REGRAFT_STORE_RUNS=1000 makes as many runs, of about a second each.
    """
    arguments = [str(tmp_path), os.environ.get("REGRAFT_STORE_RUNS", "5"), "1"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(Path(store_damage.__file__)), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]


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
    assert len(warned) == 1 and "is unusable" in warned[0]


def test_a_full_disk_is_said_once_and_what_is_there_can_be_read(store, warned, monkeypatch):
    store.put_many(some(range(20)))
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    monkeypatch.setattr(sqlite_file.StoreFile, "write", lambda *a: (_ for _ in ()).throw(full))
    for _ in range(3):
        store.put_many(some(range(20, 40)))
    assert right(store, range(40)) == 20
    assert len(warned) == 1 and warned[0].endswith("is not writable: database or disk is full")


def failing(monkeypatch, name: str, times: int = 10**6, method: str = "write") -> None:
    """Let a method of the file raise SQLite's error ``name`` at its first ``times`` calls."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname, error.sqlite_errorcode = name, getattr(sqlite3, name)
    work, calls = getattr(sqlite_file.StoreFile, method), []

    def fail(*arguments, **named):
        calls.append(1)
        if len(calls) <= times:
            raise error
        return work(*arguments, **named)

    monkeypatch.setattr(sqlite_file.StoreFile, method, fail)


DAMAGE = ["SHORT_READ", "DELETE_NOENT", "CORRUPTFS", "DATA", "SHMOPEN", "SHMSIZE", "SHMLOCK", "SHMMAP"]
DAMAGE = [f"SQLITE_IOERR_{name}" for name in DAMAGE] + [
    "SQLITE_CORRUPT", "SQLITE_CORRUPT_INDEX", "SQLITE_NOTADB", "SQLITE_READONLY_DBMOVED", "SQLITE_CONSTRAINT",
    "SQLITE_ERROR", "SQLITE_PROTOCOL",
]  # fmt: skip


@pytest.mark.parametrize("name", [name for name in DAMAGE if hasattr(sqlite3, name)])
def test_an_error_that_means_damage_starts_a_new_file(store, warned, monkeypatch, name):
    store.put_many(some(range(10)))
    failing(monkeypatch, name, times=1)
    store.put_many(some(range(20)))
    assert right(store, range(20)) == 20
    assert the_file(store).name == "features-0002.sqlite"
    assert not warned


PERHAPS = ["FULL", "IOERR", "IOERR_READ", "IOERR_WRITE", "IOERR_FSYNC", "IOERR_TRUNCATE", "IOERR_FSTAT", "CANTOPEN"]


@pytest.mark.parametrize("name", [f"SQLITE_{name}" for name in PERHAPS])
def test_an_error_that_may_be_either_is_the_disk_where_the_file_is_sound(store, warned, monkeypatch, name):
    store.put_many(some(range(10)))
    failing(monkeypatch, name)
    for _ in range(3):
        store.put_many(some(range(10, 20)))
    assert right(store, range(20)) == 10  # what is there is kept, and can be read
    assert len(warned) == 1 and warned[0].endswith("is not writable: disk I/O error")


@pytest.mark.parametrize("name", [f"SQLITE_{name}" for name in PERHAPS])
def test_an_error_that_may_be_either_is_damage_where_the_file_is_damaged(store, warned, monkeypatch, name):
    store.put_many(some(range(100)))
    file = the_file(store)
    with file.open("r+b") as damaged:  # the last page's kind
        damaged.seek(file.stat().st_size - 16384)
        damaged.write(b"\xff")
    failing(monkeypatch, name, times=1)
    store.put_many(some(range(100)))
    assert right(store, range(100)) == 100
    assert the_file(store).name == "features-0002.sqlite"
    assert not warned


def test_a_disk_on_which_new_files_fail_too_ends_the_writing(store, warned, monkeypatch):
    monkeypatch.setattr(sqlite_file, "_is_sound", lambda path: False)
    failing(monkeypatch, "SQLITE_IOERR_WRITE")
    for _ in range(3):
        store.put_many(some(range(10)))
    assert len(warned) == 1 and warned[0].endswith("is not writable: disk I/O error")
    assert the_file(store).name == "features-0003.sqlite"


def test_a_full_disk_is_believed_without_reading_the_file(store, warned, monkeypatch):
    store.put_many(some(range(10)))
    monkeypatch.setattr(sqlite_file.shutil, "disk_usage", lambda place: type("Usage", (), {"free": 10**7}))
    monkeypatch.setattr(sqlite_file, "_is_sound", lambda path: pytest.fail("the file was read"))
    failing(monkeypatch, "SQLITE_FULL")
    store.put_many(some(range(10, 20)))
    assert right(store, range(20)) == 10 and len(warned) == 1


def test_a_disk_that_is_really_full(tmp_path, warned):
    if sys.platform != "linux":
        pytest.skip("a small disk is made as Linux does it")
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not permitted here")
    try:
        store = DiskStore(small / "features", bound=10**9, warn=warned.append)
        for first in range(0, 2000, 100):
            store.put_many(some(range(first, first + 100)))
        assert 100 <= right(store, range(2000)) < 1600
        assert len(warned) == 1 and warned[0].endswith("is not writable: database or disk is full")
        assert the_file(store).name == "features-0001.sqlite"
        store.close()
    finally:
        subprocess.run(["umount", "-l", str(small)], capture_output=True, check=False)


def test_a_header_that_asks_for_a_write_ahead_log_is_damage(store, warned):
    store.put_many(some(range(10)))
    store.close()
    with the_file(store).open("r+b") as damaged:
        damaged.seek(18)
        damaged.write(b"\x02\x02")
    other = sqlite3.connect(the_file(store))  # it uses the log, so that this file can't be switched back
    assert other.execute("SELECT count(*) FROM entries").fetchone() == (10,)
    with closing(other):
        store.put_many(some(range(20)))
    assert right(store, range(20)) == 20
    assert sorted(file.name for file in store.folder.iterdir() if not file.name.endswith("-journal")) == [
        "features-0002.sqlite"
    ]
    assert not warned


def test_a_process_that_took_the_file_for_a_log_does_not_lock_the_others_out(store, warned):
    """One process read a damaged header and opened a log; another one has written the sound header back."""
    store.put_many(some(range(10)))
    store.close()
    with the_file(store).open("r+b") as header, closing(sqlite3.connect(the_file(store))) as other:
        other.execute("PRAGMA journal_mode = WAL")
        assert other.execute("SELECT count(*) FROM entries").fetchone() == (10,)
        header.seek(18)
        header.write(b"\x01\x01")
        header.flush()
        store.put_many(some(range(20)))
        assert right(store, range(20)) == 20
    assert the_file(store).name == "features-0002.sqlite"
    assert not warned


def test_a_wait_for_a_file_that_was_replaced_meanwhile_does_not_end_the_store(store, warned, monkeypatch):
    def replaced(*arguments):
        (store.folder / "features-0002.sqlite").touch()
        the_old.unlink()
        monkeypatch.undo()
        error = sqlite3.OperationalError("database is locked")
        error.sqlite_errorname, error.sqlite_errorcode = "SQLITE_BUSY", sqlite3.SQLITE_BUSY
        raise error

    store.put_many(some(range(10)))
    the_old = the_file(store)
    monkeypatch.setattr(sqlite_file.StoreFile, "write", replaced)
    store.put_many(some(range(10)))
    assert right(store, range(10)) == 10
    assert not warned


def test_a_file_that_cannot_be_made_is_reported(store, warned, monkeypatch):
    failing(monkeypatch, "SQLITE_CANTOPEN", method="__init__")
    for _ in range(3):
        store.put_many(some(range(10)))
    assert len(warned) == 1 and warned[0].endswith("is not writable: disk I/O error")


def test_an_error_message_that_is_no_text_is_damage(store, warned, monkeypatch):
    """SQLite names a damaged table in its message; Python reads the message as UTF-8."""
    store.put_many(some(range(10)))
    store.close()
    with the_file(store).open("r+b") as damaged:
        page = damaged.read(16384)
        damaged.seek(page.index(b"CREATE TABLE entries") - len("entriesentries"))
        damaged.write(b"\xd5\xd5")
        damaged.seek(page.index(b"CREATE TABLE entries"))
        damaged.write(b"CREATE TABLE \xd5(")
    assert right(store, range(10)) == 0
    store.put_many(some(range(10)))
    assert right(store, range(10)) == 10
    assert not warned


def test_a_process_follows_one_that_has_replaced_the_file(store, warned):
    store.put_many(some(range(10)))
    (store.folder / "features-0002.sqlite").touch()
    DiskStore(store.folder, warn=warned.append).put_many(some(range(10, 20)))
    assert right(store, range(20)) == 10  # those of the new file, though the old one is still open
    assert not warned


def test_a_file_that_another_process_holds_locked_is_left_alone(store, warned, monkeypatch):
    store.put_many(some(range(10)))
    store.close()
    monkeypatch.setattr(disk_store, "_TIMEOUT", 0.0)
    with closing(sqlite3.connect(the_file(store), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        store.put_many(some(range(10)))
    assert len(warned) == 1 and warned[0].endswith("is unusable: database is locked")
    assert right(DiskStore(store.folder), range(10)) == 10


def test_two_that_find_the_damage_take_the_same_new_file(store, warned):
    second = DiskStore(store.folder, warn=warned.append)
    store.put_many(some(range(100)))
    assert right(second, range(100)) == 100
    file = the_file(store)
    file.write_bytes(b"\0" * file.stat().st_size)  # both have it open
    for one, numbers in ((store, range(100, 150)), (second, range(150, 200))):
        one.put_many(some(numbers))
    assert right(store, range(200)) == right(second, range(200)) == 100
    assert the_file(store).name == "features-0002.sqlite"
    assert not warned


@pytest.mark.parametrize("size", [0, 100, 16384, 50_000])
def test_a_file_that_is_cut_short_while_it_is_open(store, warned, size):
    store.put_many(some(range(100)))
    os.truncate(the_file(store), size)
    right(store, range(100))
    store.put_many(some(range(100)))
    assert right(store, range(100)) == 100
    assert not warned


def test_pages_that_are_lost_are_given_up_with_the_file(store, warned):
    """A damaged journal can make a file large, and a damaged list of free pages can lose them."""
    store.put_many(some(range(1000)))
    store.close()
    with closing(sqlite3.connect(the_file(store))) as other, other:
        other.execute("DELETE FROM entries")  # the numbers stay, and no key leads to them
    small = DiskStore(store.folder, bound=1_200_000, warn=warned.append)
    small.put_many(some(range(10)))
    small.put_many(some(range(20)))
    assert right(small, range(20)) == 20
    assert small.size() < 1_200_000 and not warned


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
