"""The pipeline: its queue, a model that is replaced while photos wait, and photos that nobody waits for."""

from __future__ import annotations

import threading
from concurrent.futures import wait

import pytest

from regraft.errors import DecodeError
from regraft.serve.metrics import Metrics
from regraft.serve.pipeline import Pipeline, QueueFullError


class Steps:
    batch_size, parallel_batches = 4, 1


class SingleSteps(Steps):
    batch_size = 1


class Model:
    """A model that waits for a signal, and notes its batches."""

    steps = Steps()

    def __init__(self, name, may_answer=True):
        self.name, self.batches, self.prepared = name, [], []
        self.may_answer, self.asked = threading.Event(), threading.Event()
        if may_answer:
            self.may_answer.set()

    def prepare(self, name, photo):
        if photo == b"bad":
            raise DecodeError("not a photo")
        self.prepared.append(name)
        return name

    def predict(self, photos, *, alone):
        self.asked.set()
        assert self.may_answer.wait(60)
        self.batches.append(list(photos))
        return [f"{self.name} {photo}" for photo in photos]


@pytest.fixture
def pipeline_of():
    """Return a function that makes a pipeline, which ends with the test."""
    made = []

    def make(model, queue_limit=100):
        made.append(Pipeline(model, Metrics(), decoders=2, runners=1, queue_limit=queue_limit))
        return made[-1]

    yield make
    for pipeline in made:
        pipeline.close()


def test_photos_of_a_network_without_batches_are_answered_by_the_threads_that_decode(pipeline_of):
    model, threads = Model("m"), {}
    model.steps = SingleSteps()
    model.prepare = lambda name, photo: threads.setdefault(name, threading.get_ident()) and name
    predict = model.predict

    def predict_here(photos, *, alone):
        assert threads[photos[0]] == threading.get_ident()
        return predict(photos, alone=alone)

    model.predict = predict_here
    answers = pipeline_of(model).submit([(str(number), b"") for number in range(9)])
    assert predictions(answers) == [f"m {number}" for number in range(9)]
    assert sorted(model.batches) == [[str(number)] for number in range(9)]


def predictions(futures):
    return [future.result(60).prediction for future in futures]


def test_photos_that_are_ready_share_a_batch(pipeline_of):
    model = Model("m", may_answer=False)
    pipeline = pipeline_of(model)
    first = pipeline.submit([("0", b"")])
    assert model.asked.wait(60)
    others = pipeline.submit([(str(number), b"") for number in range(1, 6)])
    while len(model.prepared) < 6:
        threading.Event().wait(0.001)
    model.may_answer.set()
    assert predictions(first + others) == [f"m {number}" for number in range(6)]
    assert len(model.batches[0]) == 1 and max(map(len, model.batches)) <= 4 and len(model.batches) <= 4
    assert pipeline.unanswered == 0


def test_a_full_queue_refuses_whole_requests(pipeline_of):
    model = Model("m", may_answer=False)
    pipeline = pipeline_of(model, queue_limit=3)
    waiting = pipeline.submit([("0", b""), ("1", b"")])
    with pytest.raises(QueueFullError):
        pipeline.submit([("2", b""), ("3", b"")])
    waiting += pipeline.submit([("4", b"")])
    model.may_answer.set()
    assert predictions(waiting) == ["m 0", "m 1", "m 4"]
    assert predictions(pipeline.submit([("5", b"")])) == ["m 5"]


def test_photos_that_wait_keep_their_model(pipeline_of):
    old, new = Model("old", may_answer=False), Model("new")
    pipeline = pipeline_of(old)
    before = pipeline.submit([(str(number), b"") for number in range(5)])
    pipeline.replace_model(new)
    after = pipeline.submit([("5", b"")])
    old.may_answer.set()
    assert predictions(before) == [f"old {number}" for number in range(5)]
    assert predictions(after) == ["new 5"] and after[0].result().model is new


def test_errors_belong_to_their_photo_and_abandoned_photos_are_not_computed(pipeline_of):
    model = Model("m", may_answer=False)
    pipeline = pipeline_of(model)
    bad, first = pipeline.submit([("bad", b"bad"), ("0", b"")])
    with pytest.raises(DecodeError, match="not a photo"):
        bad.result(60)
    assert model.asked.wait(60)
    abandoned = pipeline.submit([("1", b"")])[0]
    assert abandoned.cancel() and pipeline.unanswered == 1
    model.may_answer.set()
    wait([first, *pipeline.submit([("2", b"")])], 60)
    assert [name for batch in model.batches for name in batch] == ["0", "2"]


def test_an_error_of_the_network_reaches_every_request_of_its_batch(pipeline_of):
    model = Model("m")
    model.predict = lambda photos, *, alone: 1 / 0
    for future in pipeline_of(model).submit([("0", b""), ("1", b"")]):
        with pytest.raises(ZeroDivisionError):
            future.result(60)
