"""Batches use memory again, but never that of a tensor which is still alive, in whatever way."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from regraft.data import preprocessing
from regraft.data.preprocessing import Preprocessing, normalise, reusable_batch

SHAPE = (4, 8, 8, 3)


@pytest.fixture(autouse=True)
def none_kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(preprocessing, "_buffers", [])
    yield
    gc.collect()


def place(x: torch.Tensor) -> int:
    return x.untyped_storage().data_ptr()


def test_memory_is_used_again() -> None:
    first = place(reusable_batch(SHAPE))
    assert [place(reusable_batch(SHAPE)) for _ in range(5)] == [first] * 5
    assert first % 64 == 0


def test_what_is_alive_is_left_alone() -> None:
    alive = [reusable_batch(SHAPE).fill_(i) for i in range(10)]
    assert len({place(x) for x in alive}) == 10
    assert [x.unique().tolist() for x in alive] == [[i] for i in range(10)]
    assert len(preprocessing._buffers) == 2


@pytest.mark.parametrize(
    "hold",
    [
        lambda x: x[0],
        lambda x: x.permute(0, 3, 1, 2),
        lambda x: x.detach(),
        lambda x: x.numpy(),
        lambda x: x.numpy()[1:2],
        lambda x: x.untyped_storage(),
        torch.utils.dlpack.to_dlpack,
        lambda x: (x * torch.ones(1, requires_grad=True)).grad_fn,
        lambda x: memoryview(x.numpy()),
    ],
)
def test_whatever_refers_to_it_keeps_it(hold) -> None:
    x = reusable_batch(SHAPE)
    taken, kept = place(x), hold(x)
    del x
    others = [reusable_batch(SHAPE) for _ in range(4)]
    assert taken not in {place(other) for other in others}
    del kept, others


def test_a_smaller_batch_takes_a_part_but_a_tiny_one_does_not_pin_it() -> None:
    first = place(reusable_batch(SHAPE))
    part = reusable_batch((3, *SHAPE[1:]))
    assert part.shape == (3, *SHAPE[1:])
    assert place(part) == first
    del part
    tiny = reusable_batch((1, *SHAPE[1:]))
    assert place(tiny) != first
    assert place(reusable_batch(SHAPE)) == first


def test_threads_never_share() -> None:
    wrong = []

    def work(value: int) -> None:
        for _ in range(300):
            x = reusable_batch(SHAPE).fill_(value)
            if not bool((x == value).all()):
                wrong.append(value)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_normalised_batches_are_as_they_were_made() -> None:
    p = Preprocessing(8, 8)
    rng = np.random.default_rng(0)
    pixels = [rng.integers(0, 256, (4, 8, 8, 3), dtype=np.uint8) for _ in range(6)]
    kept = [normalise(x, p) for x in pixels]
    for x, was in zip(pixels, kept, strict=True):
        assert torch.equal(normalise(x, p), was)
