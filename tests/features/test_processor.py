"""Within `ONE_THREAD` torch computes on one thread; outside the number is what it was, whoever left last."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from regraft.data.threads import map_in_order
from regraft.features.engines.engine import EagerEngine
from regraft.features.engines.processor import ONE_THREAD
from regraft.models.zoo import build_backbone


@pytest.fixture(autouse=True)
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def number_in_a_new_thread() -> int:
    found = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return found[0]


def test_the_number_of_threads_is_put_back():
    with ONE_THREAD:
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3 and number_in_a_new_thread() == 3


def test_it_is_put_back_after_an_error():
    with pytest.raises(ZeroDivisionError), ONE_THREAD:
        raise ZeroDivisionError
    assert torch.get_num_threads() == 3


def test_threads_that_overlap_compute_on_one_each_and_leave_nothing_behind():
    inside, leave = threading.Barrier(4), threading.Event()

    def work(_: int) -> int:
        with ONE_THREAD:
            inside.wait(10)
            leave.wait(10)
            return torch.get_num_threads()

    def let_go(_: int) -> int:
        inside.wait(10)
        leave.set()
        return 1

    assert list(map_in_order(lambda i: let_go(i) if i == 3 else work(i), range(4), workers=4, ahead=4)) == [1] * 4
    assert torch.get_num_threads() == 3 and number_in_a_new_thread() == 3


def test_who_leaves_before_the_last_is_put_back_at_the_next_time():
    other_inside, main_left = threading.Event(), threading.Event()

    def other() -> None:
        with ONE_THREAD:
            other_inside.set()
            main_left.wait(10)

    thread = threading.Thread(target=other)
    with ONE_THREAD:
        thread.start()
        other_inside.wait(10)
    main_left.set()
    thread.join()
    with ONE_THREAD:
        pass
    assert torch.get_num_threads() == 3 and number_in_a_new_thread() == 3


def test_features_are_the_same_bits_in_one_stream_and_in_several():
    engine = EagerEngine(build_backbone("test_efficientnet", pretrained=False))
    p = engine.backbone.spec.preprocessing
    pixels = np.random.default_rng(0).integers(0, 256, (12, 1, p.height, p.width, 3), dtype=np.uint8)
    alone = [engine.run(photo).tobytes() for photo in pixels]
    together = [row.tobytes() for row in map_in_order(engine.run, pixels, workers=3, ahead=6)]
    assert engine.parallel_batches >= 1 and together == alone


def test_it_may_be_entered_again_inside():
    with ONE_THREAD:
        with ONE_THREAD:
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3 and number_in_a_new_thread() == 3
