"""A predictor in a server of the user: sixteen threads get the bits of one thread, and load at the same time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import regraft as rg
from exported_models import model_file

__all__ = ["model_file"]

THREADS, PHOTOS = 16, 8


def photos():
    draw = np.random.default_rng(0)
    return [draw.integers(0, 256, (40 + n, 60, 3), dtype=np.uint8) for n in range(PHOTOS)]


def all_at_once(work, items):
    """Return ``work(item)`` for all items, by threads that begin at the same moment."""
    gate = threading.Barrier(THREADS)

    def begin(item):
        gate.wait(60)
        return work(item)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(begin, items))


def test_sixteen_threads_share_a_predictor_that_has_not_run_yet(model_file):
    expected = [prediction.top for prediction in rg.Predictor.load(model_file).predict(photos())]
    predictor = rg.Predictor.load(model_file)
    engines = set()

    def work(number):
        found = [predictor.predict(photo).top for photo in photos()[number % 4 :]]
        engines.add(id(predictor._passes[0].engine))
        return found

    answers = all_at_once(work, range(THREADS))
    assert answers == [expected[number % 4 :] for number in range(THREADS)]
    assert len(engines) == 1


@pytest.mark.slow
def test_sixteen_threads_load_and_predict_at_the_same_time(model_file):
    expected = rg.Predictor.load(model_file).predict(photos()[0]).top
    answers = all_at_once(lambda number: rg.Predictor.load(model_file).predict(photos()[0]).top, range(THREADS))
    assert answers == [expected] * THREADS
