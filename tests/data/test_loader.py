"""Batches come in order whatever the threads do, none is left running, and memory stays flat."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from data.odd_files import encoded, picture
from regraft.data import threads
from regraft.data.augmentation import Augmentation
from regraft.data.loading.loader import DecodedBatch, PhotoBatches, decode_in_order
from regraft.data.loading.photo_task import load_plain, load_view
from regraft.data.manifest import Entry
from regraft.data.preprocessing import Preprocessing, normalise
from regraft.data.threads import decoding_threads, default_workers, map_in_order
from regraft.errors import DecodeError

P = Preprocessing(16, 16)

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


def entry(i: int) -> Entry:
    return Entry(f"{i}.jpg", Path(f"{i}.jpg"), f"{i:064}", "a")


def pixels(value: int) -> np.ndarray:
    return np.full((2, 2, 3), value % 256, dtype=np.uint8)


def slow_and_uneven(e: Entry) -> np.ndarray:
    i = int(e.content)
    time.sleep(0.002 * (i % 3))
    return pixels(i)


@pytest.mark.parametrize("workers", [0, 1, 3, 16])
@pytest.mark.parametrize("batch_size", [1, 4, 7, 100])
def test_order_is_kept(workers: int, batch_size: int) -> None:
    entries = [entry(i) for i in range(20)]
    batches = list(decode_in_order(entries, slow_and_uneven, batch_size=batch_size, workers=workers))
    assert len(batches) == -(-20 // batch_size)
    assert np.concatenate([b.index for b in batches]).tolist() == list(range(20))
    assert np.concatenate([b.pixels for b in batches])[:, 0, 0, 0].tolist() == list(range(20))
    assert all(b.index.dtype == np.int64 and b.pixels.dtype == np.uint8 for b in batches)


def test_a_given_order_may_repeat_and_leave_out() -> None:
    order = [5, 3, 3, 0]
    (batch,) = decode_in_order([entry(i) for i in range(6)], slow_and_uneven, batch_size=9, workers=2, order=order)
    assert batch.index.tolist() == order
    assert batch.pixels[:, 0, 0, 0].tolist() == order
    assert list(decode_in_order([], slow_and_uneven, batch_size=4, workers=2)) == []


def test_failures_are_collected() -> None:
    def load(e: Entry) -> np.ndarray:
        i = int(e.content)
        if i % 4 == 1:
            raise DecodeError("truncated after 61 %")
        if i % 4 == 2:
            raise OSError(5, "Input/output error")
        return pixels(i)

    batches = list(decode_in_order([entry(i) for i in range(8)], load, batch_size=4, workers=2))
    assert [b.index.tolist() for b in batches] == [[0, 3], [4, 7]]
    assert [b.pixels.shape for b in batches] == [(2, 2, 2, 3)] * 2
    assert batches[0].failed == [(1, "truncated after 61 %"), (2, "cannot be read: input/output error")]
    assert [position for position, _ in batches[1].failed] == [5, 6]


def test_a_batch_of_failures_tells_of_them() -> None:
    def load(e: Entry) -> np.ndarray:
        raise DecodeError("no")

    (batch,) = decode_in_order([entry(0), entry(1)], load, batch_size=2, workers=2)
    assert batch.pixels.shape[0] == len(batch.index) == 0
    assert batch.failed == [(0, "no"), (1, "no")]


def test_other_exceptions_are_raised_in_their_place() -> None:
    def load(e: Entry) -> np.ndarray:
        if int(e.content) == 7:
            raise ZeroDivisionError("a bug")
        return pixels(0)

    seen: list[DecodedBatch] = []
    with pytest.raises(ZeroDivisionError, match="a bug"):
        seen.extend(decode_in_order([entry(i) for i in range(20)], load, batch_size=3, workers=4))
    assert [b.index.tolist() for b in seen] in ([], [[0, 1, 2], [3, 4, 5]])


def test_stopping_early_drops_what_has_not_begun() -> None:
    begun = []

    def load(e: Entry) -> np.ndarray:
        begun.append(e)
        return pixels(0)

    batches = decode_in_order([entry(i) for i in range(10_000)], load, batch_size=4, workers=2)
    next(batches)
    batches.close()
    assert len(begun) < 40
    assert not [t for t in threading.enumerate() if t.name.startswith("regraft-photos")]


def test_no_more_than_a_bounded_number_is_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []  # to the threads, which can begin no others

    class Counting(ThreadPoolExecutor):
        def submit(self, *arguments):
            given.append(arguments)
            return super().submit(*arguments)

    monkeypatch.setattr(threads, "ThreadPoolExecutor", Counting)
    entries = [entry(i) for i in range(1000)]
    batches = decode_in_order(entries, lambda e: pixels(0), batch_size=8, workers=3)
    for n in range(1, 6):
        next(batches)
        assert 8 * n <= len(given) <= 8 * n + 8 + 2 * 3
    batches.close()


def test_nothing_is_begun_before_it_is_asked_for() -> None:
    before = threading.active_count()
    batches = decode_in_order([entry(0)], lambda e: pytest.fail("begun"), batch_size=1, workers=2)
    assert threading.active_count() == before
    batches.close()


def test_in_order_takes_its_items_in_this_thread() -> None:
    here = threading.get_ident()

    def items() -> Iterator[int]:
        for i in range(20):
            assert threading.get_ident() == here
            yield i

    assert list(map_in_order(lambda i: i * i, items(), workers=3, ahead=5)) == [i * i for i in range(20)]


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_ctrl_c_ends_it_at_once() -> None:
    script = """
import signal, threading
from pathlib import Path
import numpy as np
from regraft.data.loading.loader import decode_in_order
from regraft.data.manifest import Entry

def interrupted(number, frame):
    pressed.set()
    raise KeyboardInterrupt

pressed, begun = threading.Event(), []
signal.signal(signal.SIGINT, interrupted)

def load(entry):
    begun.append(entry)
    if int(entry.name) >= 8:  # all but the first batch are under way until then
        pressed.wait()
    return np.zeros((2, 2, 3), np.uint8)

entries = [Entry(str(i), Path(str(i)), "", "a") for i in range(100_000)]
try:
    for batch in decode_in_order(entries, load, batch_size=8, workers=4):
        print("batch", flush=True)
except KeyboardInterrupt:
    left = [t.name for t in threading.enumerate() if t is not threading.main_thread()]
    print("stopped", left, len(begun) < 100, flush=True)
"""
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "batch\n"
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait() == 0
    assert rest == "stopped [] True\n"


def test_batches_are_the_photos(photos: list[Entry]) -> None:
    labels = [0] * 10 + [1] * 10
    batches = PhotoBatches(photos, labels, P, batch_size=8, workers=2)
    assert (len(batches), batches.size) == (3, 20)
    seen = list(batches.epoch(0))
    assert [tuple(x.shape) for x, _ in seen] == [(8, 3, 16, 16), (8, 3, 16, 16), (4, 3, 16, 16)]
    assert torch.cat([y for _, y in seen]).tolist() == labels
    x = torch.cat([x for x, _ in seen])
    assert x.dtype == torch.float32
    assert all(part.is_contiguous(memory_format=torch.channels_last) for part, _ in seen)
    expected = normalise(np.stack([load_plain(e, P) for e in photos]), P)
    assert torch.equal(x, expected)


def same(a: list[tuple[torch.Tensor, torch.Tensor]], b: list[tuple[torch.Tensor, torch.Tensor]]) -> bool:
    return len(a) == len(b) and all(
        torch.equal(p, q) for one, two in zip(a, b, strict=True) for p, q in zip(one, two, strict=True)
    )


@pytest.mark.parametrize("drop_last", [False, True])
def test_an_epoch_goes_on_from_any_batch(photos: list[Entry], drop_last: bool) -> None:
    def batches(workers: int) -> PhotoBatches:
        return PhotoBatches(
            photos,
            [0] * 20,
            P,
            augmentation=Augmentation(),
            seed=3,
            batch_size=6,
            shuffle=True,
            workers=workers,
            drop_last=drop_last,
        )

    whole = list(batches(0).epoch(2))
    assert len(whole) == len(batches(0)) == (3 if drop_last else 4)
    for workers in (1, 4):
        for start in range(6):
            assert same(list(batches(workers).epoch(2, start)), whole[start:])


def test_earlier_batches_are_not_decoded(photos: list[Entry], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def load(e: Entry, p: Preprocessing) -> np.ndarray:
        asked.append(e.name)
        return np.zeros((16, 16, 3), np.uint8)

    monkeypatch.setattr("regraft.data.loading.photo_task.load_plain", load)
    list(PhotoBatches(photos, [0] * 20, P, batch_size=6, workers=2).epoch(0, start=2))
    assert sorted(asked) == sorted(e.name for e in photos[12:])


def test_epochs_and_seeds_have_their_own_order_and_views(photos: list[Entry]) -> None:
    def batch(seed: int, epoch: int, shuffle: bool = False) -> torch.Tensor:
        source = PhotoBatches(
            photos, range(20), P, augmentation=Augmentation(), seed=seed, batch_size=20, shuffle=shuffle, workers=2
        )
        ((x, y),) = source.epoch(epoch)
        return y if shuffle else x

    assert len({tuple(batch(s, e, shuffle=True).tolist()) for s in range(3) for e in range(3)}) == 9
    assert sorted(batch(0, 0, shuffle=True).tolist()) == list(range(20))
    assert not torch.equal(batch(0, 0), batch(0, 1))
    assert not torch.equal(batch(0, 0), batch(1, 0))
    assert torch.equal(batch(1, 1), batch(1, 1))


def test_a_view_does_not_depend_on_where_its_photo_lies(photos: list[Entry], tmp_path: Path) -> None:
    first = photos[3]
    elsewhere = tmp_path / "renamed"
    elsewhere.write_bytes(first.path.read_bytes())
    moved = Entry("other", elsewhere, first.content, "b")
    a = Augmentation()
    assert np.array_equal(load_view(first, P, a, 0, 1, first.content), load_view(moved, P, a, 0, 1, moved.content))


@pytest.mark.parametrize("load", [load_plain, lambda e, p: load_view(e, p, Augmentation(), 0)])
def test_a_photo_that_has_changed_is_not_taken_for_the_old_one(
    photos: list[Entry], load: Callable[[Entry, Preprocessing], np.ndarray]
) -> None:
    photos[0].path.write_bytes(photos[1].path.read_bytes())
    with pytest.raises(DecodeError, match=r"^changed since it was scanned$"):
        load(photos[0], P)
    photos[0].path.unlink()
    with pytest.raises(DecodeError, match="no longer there"):
        load(photos[0], P)


def test_a_photo_that_fails_in_training_is_named(photos: list[Entry]) -> None:
    photos[9].path.unlink()
    source = PhotoBatches(photos, [0] * 20, P, batch_size=4, workers=2)
    with pytest.raises(DecodeError, match=rf"^{photos[9].name}: cannot be read"):
        list(source.epoch(0))


def test_what_cannot_be(photos: list[Entry]) -> None:
    with pytest.raises(ValueError, match="20 photos, but 3 labels"):
        PhotoBatches(photos, [0, 1, 2], P)
    with pytest.raises(ValueError, match="batch_size must be positive, not 0"):
        PhotoBatches(photos, [0] * 20, P, batch_size=0)
    assert 1 <= default_workers() <= 16


def test_fewer_threads_decode_small_photos_than_large_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {}
    for kilobytes in (0, 5, 100, 128, 1000):
        (tmp_path / f"{kilobytes}").write_bytes(bytes(kilobytes << 10))
        for cores in (1, 2, 16, 64):
            monkeypatch.setattr(threads, "cores", lambda cores=cores: cores)
            found[kilobytes, cores] = decoding_threads([tmp_path / f"{kilobytes}"] * 3 + [tmp_path / "gone"])
    assert {n for (_, cores), n in found.items() if cores < 4} == {1, 2}
    assert [n for (_, cores), n in found.items() if cores == 16] == [4, 4, 6, 8, 16]
    assert [n for (_, cores), n in found.items() if cores == 64] == [4, 4, 6, 8, 16]
    assert decoding_threads([]) == 4


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's count of pages")
def test_memory_does_not_grow_with_the_number_of_photos(tmp_path: Path) -> None:
    """5,000 entries (of few files, so that writing them takes no time) need no more memory than 500."""
    script = """
import sys, resource
from pathlib import Path
from regraft.data.loading.loader import PhotoBatches
from regraft.data.loading.photo_task import load_plain
from regraft.data.manifest import Entry
from regraft.data.preprocessing import Preprocessing
root, n = Path(sys.argv[1]), int(sys.argv[2])
files = sorted(root.iterdir())
entries = [Entry(str(i), files[i % len(files)], "", "a") for i in range(n)]
batches = PhotoBatches(entries, [0] * n, Preprocessing(64, 64), batch_size=32, workers=2, shuffle=True)
import torch
torch.set_num_threads(1)
total = sum(len(y) for x, y in batches.epoch(0))
assert total == n
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
    for i in range(8):
        (tmp_path / f"{i}.jpg").write_bytes(encoded(picture((64, 64)).rotate(i), "JPEG"))
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    peaks = [
        float(
            subprocess.run(
                [sys.executable, "-c", script, tmp_path, str(n)], check=True, env=env, stdout=subprocess.PIPE
            ).stdout
        )
        for n in (500, 5_000)
    ]
    assert peaks[1] - peaks[0] < 25  # MiB; the pixels of 4,500 photos are 53 MiB, their tensors 211
