"""The linear probe against scikit-learn: searches, single fits, and the gain of lockstep.

    python benchmarks/probe_solver.py [--features FILE.npz ...] [--pairs 3] [--many 100000]

For each problem two programs run in turn, in one process, on the same features: regraft's `fit_probe`, a search over
up to 13 Cs in 4 folds nested in 5, with a final fit on all rows; and scikit-learn's `GridSearchCV` of `StandardScaler`
and `LogisticRegression` over 6 Cs, with a final fit. "plain" is that search in 5 folds, a sixth of the work. "nested"
also puts it into `cross_val_predict` with 4 inner folds, which gives what regraft gives. "lockstep" compares
`fit_probe` with itself when each of its 15 models is solved alone. The output is medians in seconds, and the median of
the ratios with its range. Features are generated to resemble those of a network (rectified, with a spectrum that falls
like 1 / rank), or read from files that hold ``X`` (n, d) and ``y`` (n,).

`--many N` fits a probe to N x 1280 features of 5 classes and prints seconds, and the memory that it needs in addition.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from regraft.probe.linear_probe import fit_probe
from regraft.probe.solver import fit_logistic

Data = tuple[NDArray[np.float32], NDArray[np.int64]]


def drawn(n: int, classes: int, d: int = 1280, seed: int = 0) -> Data:
    """Return features (n, d), float32, and classes (n,), about as hard to distinguish as photos of flowers."""
    draw = np.random.default_rng(seed)
    basis = draw.normal(0, 1, (d, d)).astype(np.float32) / np.sqrt(d)
    spread = (20 / np.sqrt(np.arange(1, d + 1))).astype(np.float32)
    centres = draw.normal(0, 0.1, (classes, d)).astype(np.float32)
    y = np.arange(n) % classes
    X = np.empty((n, d), np.float32)
    for i in range(0, n, 4096):
        part = draw.standard_normal((len(y[i : i + 4096]), d), dtype=np.float32) + centres[y[i : i + 4096]]
        X[i : i + 4096] = np.maximum((part * spread) @ basis, -0.3)
    return X, y


def read(path: Path) -> Data:
    """Return the features and classes in ``path``."""
    with np.load(path) as held:
        return held["X"].astype(np.float32), held["y"].astype(np.int64)


def seconds(work: Callable[[], Any]) -> float:
    """Return the seconds that ``work`` takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def grid_search(folds: int = 5) -> GridSearchCV:
    """Return the search as users write it."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    grid = {"logisticregression__C": [10.0**k for k in range(-4, 2)]}
    return GridSearchCV(model, grid, cv=StratifiedKFold(folds, shuffle=True, random_state=0))


def nested_search(X: NDArray[np.float32], y: NDArray[np.int64]) -> None:
    """Search on all, and predict each row by a search that has not seen it."""
    grid_search().fit(X, y)
    outer = StratifiedKFold(5, shuffle=True, random_state=0)
    cross_val_predict(grid_search(4), X, y, cv=outer, method="predict_proba")


def on_one_thread(theirs: Callable[[], Any]) -> float:
    """Return the seconds of scikit-learn's work with one thread per product, its better setting at these sizes."""
    with threadpool_limits(1, "blas"):
        return seconds(theirs)


def compare(
    name: str, ours: Callable[[], Any], theirs: Callable[[], Any], pairs: int, other: str = "scikit-learn"
) -> None:
    """Run both in turn and print medians and ratios."""
    times = [(seconds(ours), on_one_thread(theirs)) for _ in range(pairs)]
    ratios = sorted(b / a for a, b in times)
    a, b = (statistics.median(column) for column in zip(*times, strict=True))
    print(
        f"{name:<52} regraft {a:7.3f} s   {other} {b:7.3f} s   {statistics.median(ratios):5.1f} x faster "
        f"({ratios[0]:.1f} to {ratios[-1]:.1f}, {pairs} pairs)",
        flush=True,
    )


def searches(problems: Sequence[tuple[str, Data]], pairs: int) -> None:
    """Compare the searches."""
    for name, (X, y) in problems:
        classes = int(y.max()) + 1
        shape = f"search  {name} {len(X):,} x {X.shape[1]:,}, {classes} classes"
        ours = partial(fit_probe, X, y, classes=classes)
        compare(f"{shape}, plain", ours, partial(grid_search().fit, X, y), pairs)
        compare(f"{shape}, nested", ours, partial(nested_search, X, y), pairs)


def one_model_at_a_time(X: NDArray[np.float32], y: NDArray[np.int64], classes: int) -> None:
    """Fit a probe in batches of one model."""
    with patch("regraft.probe.cross_validation.BATCH_COLUMNS", 1):
        fit_probe(X, y, classes=classes)


def lockstep(problems: Sequence[tuple[str, Data]], pairs: int) -> None:
    """Compare models in lockstep with the same models one at a time."""
    for name, (X, y) in problems:
        classes = int(y.max()) + 1
        shape = f"lockstep  {name} {len(X):,} x {X.shape[1]:,}, {classes} classes"
        alone = partial(one_model_at_a_time, X, y, classes)
        compare(shape, partial(fit_probe, X, y, classes=classes), alone, pairs, "one at a time")


def solves(pairs: int) -> None:
    """Compare single fits of 300 photos to a similarly tight tolerance, at strong and weak regularization."""
    X, y = drawn(300, 5)
    X64 = StandardScaler().fit_transform(X.astype(np.float64))
    for C in (1e-3, 1e-2, 1.0):
        model = LogisticRegression(C=C, tol=1e-8 / (C * len(y)), max_iter=10_000)  # of the mean loss, not the sum
        name = f"solve   300 x 1,280, 5 classes, C = {C:g}"
        compare(name, partial(fit_logistic, X64, y, C), partial(model.fit, X64, y), pairs)


def many(n: int) -> None:
    """Fit a probe to many rows; print the time, and the memory that it needs in addition to the features."""
    X, y = drawn(n, 5)
    keys = [f"{i:08}" for i in range(n)]
    fit_probe(X[:2000], y[:2000], classes=5, keys=keys[:2000])
    scale = 1 if sys.platform == "darwin" else 1024
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
    spent = seconds(lambda: fit_probe(X, y, classes=5, keys=keys))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
    print(
        f"many    {n:,} x 1,280, 5 classes: {spent:.1f} s; features {X.nbytes / 2**20:,.0f} MiB, peak memory rose by "
        f"{(after - before) / 2**20:,.0f} MiB",
        flush=True,
    )


def main() -> None:
    """Run the comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path, nargs="*", default=[], help="files with X and y to search on")
    parser.add_argument("--pairs", type=int, default=3, help="repetitions of each comparison")
    parser.add_argument("--many", type=int, default=0, help="fit a probe to this many rows, instead of comparing")
    given = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)
    if given.many:
        many(given.many)
        return
    solves(given.pairs)
    problems = [(path.stem, read(path)) for path in given.features] or [
        ("drawn", drawn(n, classes)) for n, classes in ((244, 2), (960, 10), (3450, 5))
    ]
    lockstep(problems, given.pairs)
    searches(problems, given.pairs)


if __name__ == "__main__":
    main()
