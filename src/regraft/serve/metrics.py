"""Figures of a server in Prometheus's text format.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import bisect
import threading
from collections import Counter
from collections.abc import Iterator, Sequence

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_PHOTOS = (1, 2, 4, 8, 16, 32, 64)


class Histogram:
    """A histogram of observed values.

    Args:
        name: name of the metric.
        about: its description.
        bounds: upper bounds of its buckets, ascending.
    """

    def __init__(self, name: str, about: str, bounds: Sequence[float]) -> None:
        self._name, self._about, self._bounds = name, about, tuple(bounds)
        self._counts, self._sum = [0] * (len(bounds) + 1), 0.0
        self._lock = threading.Lock()

    def observe(self, value: float) -> None:
        """Count a value."""
        with self._lock:
            self._counts[bisect.bisect_left(self._bounds, value)] += 1
            self._sum += value

    def lines(self, labels: str) -> Iterator[str]:
        """Yield the lines of the metric; ``labels`` are such as ``worker="0"``."""
        with self._lock:
            counts, total = list(self._counts), self._sum
        yield from _head(self._name, self._about, "histogram")
        seen = 0
        for bound, count in zip((*map(str, self._bounds), "+Inf"), counts, strict=True):
            seen += count
            yield f'{self._name}_bucket{{{labels},le="{bound}"}} {seen}'
        yield f"{self._name}_sum{{{labels}}} {total:.6f}"
        yield f"{self._name}_count{{{labels}}} {seen}"


class Metrics:
    """The figures of a server.

    Args:
        worker: number of this process among those of the server.

    Attributes:
        latency: seconds from the first byte of a request for predictions to its answer.
        decoding: seconds to decode a photo.
        network: seconds to run the network on a batch.
        batches: photos in a batch.
    """

    def __init__(self, worker: int = 0) -> None:
        self._labels = f'worker="{worker}"'
        self._answers: Counter[int] = Counter()
        self.latency = Histogram("regraft_request_seconds", "Time to answer POST /predict.", _SECONDS)
        self.decoding = Histogram("regraft_decode_seconds", "Time to decode a photo.", _SECONDS)
        self.network = Histogram("regraft_network_seconds", "Time of the network for a batch.", _SECONDS)
        self.batches = Histogram("regraft_batch_photos", "Photos in a batch.", _PHOTOS)

    def count_answer(self, status: int) -> None:
        """Count an answer by its status."""
        self._answers[status] += 1

    def text(self, *, waiting: int, ready: bool, memory: int, engines: Sequence[tuple[str, str]]) -> str:
        """Return all figures.

        Args:
            waiting: number of photos that wait for their answers.
            ready: whether the server answers requests.
            memory: bytes of the bodies of requests in progress.
            engines: packages that run the networks of the model, each with the state of the comparison of engines.
        """
        lines = [*_head("regraft_requests_total", "Answers by status.", "counter")]
        lines += [
            f'regraft_requests_total{{{self._labels},status="{status}"}} {count}'
            for status, count in sorted(self._answers.items())
        ]
        gauges = (
            ("regraft_queue_photos", "Photos that wait for their answers.", waiting),
            ("regraft_body_bytes", "Bytes of the bodies of requests in progress.", memory),
            ("regraft_ready", "1 if the server answers requests.", int(ready)),
        )
        for name, about, value in gauges:
            lines += [*_head(name, about, "gauge"), f"{name}{{{self._labels}}} {value}"]
        lines += _head("regraft_engine_info", "Engines that run the networks; state of their comparison.", "gauge")
        lines += [
            f'regraft_engine_info{{{self._labels},engine="{package}",comparison="{state}"}} 1'
            for package, state in engines
        ]
        for histogram in (self.latency, self.decoding, self.network, self.batches):
            lines += histogram.lines(self._labels)
        return "\n".join(lines) + "\n"


def _head(name: str, about: str, kind: str) -> Iterator[str]:
    yield f"# HELP {name} {about}"
    yield f"# TYPE {name} {kind}"
