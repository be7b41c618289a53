"""The streamed probe beside scikit-learn's SGDClassifier.partial_fit: memory, seconds and accuracy by number of rows.

    python benchmarks/streamed_probe.py [FEATURES] [ROWS ...]
    python benchmarks/streamed_probe.py FEATURES ROWS --difference

Rows are generated block by block, the same in each pass: FEATURES correlated numbers (64 if not given) and 10 classes
that overlap. Each method runs in a process of its own with one thread. "MB" is the growth of the peak memory of the
process; labels and weights of the rows, 16 bytes a row, are part of it. SGD runs on standardized rows. The accuracy is
that on 50,000 further rows. ``--difference`` prints how far the optimum is from that of the solver in memory.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from regraft.probe.feature_matrix import FeatureMatrix
from regraft.probe.logistic_problems import LogisticProblems, softmax
from regraft.probe.scaling import feature_scales
from regraft.probe.solver import solve
from regraft.probe.streamed_problem import StreamedProblem, moments_of
from regraft.probe.streamed_solver import solve_streamed

CLASSES, BLOCK, TEST_ROWS, C = 10, 2048, 50_000, 1e-3


@dataclass(frozen=True)
class GeneratedRows:
    """Rows that are generated when they are read."""

    rows: int
    features: int

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and features."""
        return self.rows, self.features

    def read(self, rows: slice) -> np.ndarray:
        """Return some rows; blocks begin at multiples of `BLOCK`."""
        return block(rows.start // BLOCK, rows.stop - rows.start, self.features)[0]


def block(number: int, rows: int, features: int) -> tuple[np.ndarray, np.ndarray]:
    """Return features and classes of a block."""
    fixed = np.random.default_rng(0)
    mixing = (fixed.standard_normal((features, features)) * (1 + np.arange(features)) ** -0.5).astype(np.float32)
    centers = 0.5 * fixed.standard_normal((CLASSES, features)).astype(np.float32)
    draw = np.random.default_rng((1, number))
    y = draw.integers(0, CLASSES, rows)
    return np.maximum((draw.standard_normal((rows, features), np.float32) + centers[y]) @ mixing, 0), y


def labels(rows: int, features: int) -> np.ndarray:
    """Return the classes of all rows."""
    y = np.empty(rows, np.int64)
    for first in range(0, rows, BLOCK):
        count = min(BLOCK, rows - first)
        y[first : first + count] = block(first // BLOCK, count, features)[1]
    return y


def accuracy(weight: np.ndarray, bias: np.ndarray, features: int) -> float:
    """Return the accuracy on rows that were not trained on."""
    right = 0
    for number in range(TEST_ROWS // BLOCK):
        X, y = block(10**6 + number, BLOCK, features)
        right += int(((X @ weight.T + bias).argmax(axis=1) == y).sum())
    return right / (TEST_ROWS // BLOCK * BLOCK)


def streamed(rows: int, features: int) -> tuple[float, str]:
    """Return accuracy and passes of the streamed solver."""
    source = GeneratedRows(rows, features)
    y = labels(rows, features)
    moments = moments_of(source, 1)
    scale = feature_scales(moments.mean[None], moments.deviation[None])[0]
    problem = StreamedProblem(source, y, np.ones(rows), CLASSES, moments.mean, scale, 1)
    found = solve_streamed(problem, C, moments.covariance)
    weight = found.solution.weight * scale
    return accuracy(weight, found.solution.bias - weight @ moments.mean, features), f"{found.passes + 1} passes"


def sgd(epochs: int) -> Callable[[int, int], tuple[float, str]]:
    """Return a function that trains scikit-learn's classifier."""

    def train(rows: int, features: int) -> tuple[float, str]:
        from sklearn.linear_model import SGDClassifier

        source = GeneratedRows(rows, features)
        moments = moments_of(source, 1)
        scale = feature_scales(moments.mean[None], moments.deviation[None])[0]
        model = SGDClassifier(loss="log_loss", alpha=1 / (C * rows), average=True, random_state=0)
        for _ in range(epochs):
            for first in range(0, rows, BLOCK):
                X, y = block(first // BLOCK, min(BLOCK, rows - first), features)
                model.partial_fit((X - moments.mean) * scale, y, classes=np.arange(CLASSES))
        weight = model.coef_ * scale
        return accuracy(weight, model.intercept_ - weight @ moments.mean, features), f"{epochs + 1} passes"

    return train


def difference(rows: int, features: int) -> str:
    """Return how far the streamed solver is from the solver in memory."""
    source, y = GeneratedRows(rows, features), labels(rows, features)
    moments = moments_of(source, 1)
    scale = feature_scales(moments.mean[None], moments.deviation[None])[0]
    problem = StreamedProblem(source, y, np.ones(rows), CLASSES, moments.mean, scale, 1)
    found = solve_streamed(problem, C, moments.covariance)
    X = np.concatenate([source.read(slice(i, min(i + BLOCK, rows))) for i in range(0, rows, BLOCK)])
    matrix = FeatureMatrix(X, moments.mean[None], scale[None], np.float64)
    expected = solve(LogisticProblems.from_sample_weights(matrix, y, np.ones((1, rows)), CLASSES), C, None)
    Z = (X - moments.mean) * scale
    p, q = (softmax(Z @ one.weight.T + one.bias) for one in (expected, found.solution))
    relative = abs(found.solution.objective / expected.objective - 1)
    return (
        f"{rows:,} rows x {features}: objective differs by {relative:.1e} of itself, probabilities by at most "
        f"{np.abs(p - q).max():.1e}; {found.passes + 1} passes, in memory {expected.iterations} iterations"
    )


METHODS: dict[str, Callable[[int, int], tuple[float, str]]] = {
    "streamed probe": streamed,
    "SGD, 1 epoch": sgd(1),
    "SGD, 5 epochs": sgd(5),
}


def measured(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return the result of ``work`` in a process of its own, its CPU seconds, and the growth of its memory in MB."""
    import multiprocessing

    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)

    def child() -> None:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begun = time.process_time()
        result = work()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        send.send((result, time.process_time() - begun, (peak - before) / 1024))

    process = context.Process(target=child)
    process.start()
    answer = receive.recv()
    process.join()
    return answer


def main() -> None:
    """Print a table in Markdown."""
    if "--difference" in sys.argv:
        print(difference(int(sys.argv[2]), int(sys.argv[1])))
        return
    features = int(sys.argv[1]) if len(sys.argv) > 1 else 64
    sizes = [int(word) for word in sys.argv[2:]] or [100_000, 500_000, 2_000_000]
    import sklearn.linear_model  # noqa: F401  (before the memory is measured)

    print(f"{features} features, {CLASSES} classes, C = {C:g}\n")
    print("| rows | method | accuracy | reads | CPU s | MB |\n|---|---|---|---|---|---|")
    for rows in sizes:
        for name, method in METHODS.items():
            (right, reads), seconds, memory = measured(lambda method=method, rows=rows: method(rows, features))
            print(f"| {rows:,} | {name} | {100 * right:.2f} % | {reads} | {seconds:.1f} | {memory:.0f} |", flush=True)


if __name__ == "__main__":
    main()
