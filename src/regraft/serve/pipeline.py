"""The way of photos through a server: threads that decode them, and the network on one photo or on batches of them.

If the network runs photos one at a time, the thread that has decoded a photo also runs the network on it: nothing waits
for a hand-over between threads. Otherwise other threads run the network on batches. A batch takes the photos that are
ready, up to the fixed shape of the engine, and does not wait for more. The bits of an answer do not depend on the other
photos in its batch.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import TypeAlias

from regraft.inference.prediction import Prediction
from regraft.inference.two_steps import PhotoPixels
from regraft.serve.metrics import Metrics
from regraft.serve.served_model import ServedModel

_READY_BATCHES = 2
"""Batches of decoded photos that may wait for each thread that runs the network."""


class QueueFullError(Exception):
    """Too many photos wait for their answers."""


@dataclass(frozen=True)
class Answer:
    """The answer for one photo.

    Attributes:
        prediction: the prediction.
        model: the model that made it.
    """

    prediction: Prediction
    model: ServedModel


@dataclass(frozen=True, eq=False)
class _Job:
    """A photo on its way, with the model that was in use when it came."""

    name: str
    photo: bytes
    model: ServedModel
    future: Future[Answer] = field(default_factory=Future)


_Ready: TypeAlias = tuple[_Job, PhotoPixels]


class Pipeline:
    """Threads that answer photos.

    Args:
        model: the model.
        metrics: where batches and durations are counted.
        decoders: number of threads that decode, and run the network where it runs photos one at a time.
        runners: number of threads that run the network on batches.
        queue_limit: maximum number of photos that wait for their answers.
    """

    def __init__(self, model: ServedModel, metrics: Metrics, *, decoders: int, runners: int, queue_limit: int) -> None:
        self._model, self._metrics, self._limit = model, metrics, queue_limit
        self._lock, self._unanswered = threading.Lock(), 0
        self._arrived: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        most_ready = _READY_BATCHES * runners * model.steps.batch_size
        self._ready: queue.Queue[_Ready | None] = queue.Queue(most_ready)
        self._decoders = [threading.Thread(target=_repeat, args=(self._decode,), daemon=True) for _ in range(decoders)]
        self._runners = [threading.Thread(target=_repeat, args=(self._run,), daemon=True) for _ in range(runners)]
        for thread in (*self._decoders, *self._runners):
            thread.start()

    @property
    def model(self) -> ServedModel:
        """The model that answers new requests."""
        return self._model

    @property
    def unanswered(self) -> int:
        """Number of photos that wait for their answers."""
        return self._unanswered

    def replace_model(self, model: ServedModel) -> None:
        """Answer new requests with another model; photos that wait get the answers of the earlier one."""
        self._model = model

    def submit(self, photos: list[tuple[str, bytes]]) -> list[Future[Answer]]:
        """Return the answers to come for some photos, by name and content; all of them are made by one model.

        Raises:
            QueueFullError: too many photos wait.
        """
        with self._lock:
            if self._unanswered + len(photos) > self._limit:
                raise QueueFullError
            self._unanswered += len(photos)
        model = self._model
        jobs = [_Job(name, photo, model) for name, photo in photos]
        for job in jobs:
            job.future.add_done_callback(lambda _: self._count_answer())
            self._arrived.put(job)
        return [job.future for job in jobs]

    def close(self) -> None:
        """End the threads; photos that wait are still answered."""
        for _ in self._decoders:
            self._arrived.put(None)
        for thread in self._decoders:
            thread.join()
        for _ in self._runners:
            self._ready.put(None)
        for thread in self._runners:
            thread.join()

    def _count_answer(self) -> None:
        with self._lock:
            self._unanswered -= 1

    def _decode(self) -> bool:
        """Decode the next photo; return False at the end of all photos."""
        job = self._arrived.get()
        if job is None:
            return False
        if job.future.done():  # the request has ended
            return True
        began = time.perf_counter()
        try:
            prepared = job.model.prepare(job.name, job.photo)
        except Exception as error:  # noqa: BLE001  (the request gets it)
            _fail(job, error)
            return True
        self._metrics.decoding.observe(time.perf_counter() - began)
        if job.model.steps.batch_size == 1:
            self._answer(job.model, [(job, prepared)])
        else:
            self._ready.put((job, prepared))
        return True

    def _run(self) -> bool:
        """Run the network on the next batch; return False at the end of all photos."""
        first = self._ready.get()
        if first is None:
            return False
        batch = [first]
        if not _fill(batch, self._ready):
            self._ready.put(None)  # the end, which this thread sees again after this batch
        for model in dict.fromkeys(job.model for job, _ in batch):  # two of them after a replacement
            self._answer(model, [pair for pair in batch if pair[0].model is model and not pair[0].future.done()])
        return True

    def _answer(self, model: ServedModel, batch: list[_Ready]) -> None:
        if not batch:
            return
        began = time.perf_counter()
        try:
            predictions = model.predict([prepared for _, prepared in batch], alone=self._unanswered == 1)
        except Exception as error:  # noqa: BLE001  (the requests get it)
            for job, _ in batch:
                _fail(job, error)
            return
        self._metrics.network.observe(time.perf_counter() - began)
        self._metrics.batches.observe(len(batch))
        for (job, _), prediction in zip(batch, predictions, strict=True):
            with contextlib.suppress(InvalidStateError):  # the request has ended
                job.future.set_result(Answer(prediction, model))


def _fail(job: _Job, error: Exception) -> None:
    with contextlib.suppress(InvalidStateError):
        job.future.set_exception(error)


def _repeat(step: Callable[[], bool]) -> None:
    """Call ``step`` until it returns False. Between two calls, the thread holds no photo and no model."""
    while step():
        pass


def _fill(batch: list[_Ready], ready: queue.Queue[_Ready | None]) -> bool:
    """Add photos that are ready to ``batch``, up to its size; return False at the end of all photos."""
    size = batch[0][0].model.steps.batch_size
    with contextlib.suppress(queue.Empty):
        while len(batch) < size:
            pair = ready.get_nowait()
            if pair is None:
                return False
            batch.append(pair)
    return True
