"""Nested cross-validation of the regularisation, along one warm-started path for all folds at once.

Five folds give five outer models, each fitted without one fold. The inner search of an outer model needs models fitted
without its fold and one more; the one without folds f and g serves the search of f and that of g. So ten inner models
and five outer ones, at each C, make a nested search with four inner folds. All fifteen share their features, and are
solved in lockstep, in a few batches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.probe.feature_matrix import Rows, in_threads, one_thread_per_product
from regraft.probe.folds import Folds
from regraft.probe.lbfgs import Memory, minimise
from regraft.probe.logistic_problems import Point, Problems, bias_unit, log_probability, prior
from regraft.probe.model_selection import Choice, choose, past
from regraft.probe.scaling import Centred, scale_of
from regraft.probe.solver import PAIRS
from regraft.process import cores

GRID = tuple(float(f"{10 ** (e / 2):.6g}") for e in range(-10, 3))
"""From 1e-5 to 10, two a decade."""

TOLERANCE = 1e-2
"""Bound on the relative distance to the optimum at which models are compared. On photos of flowers and of insects it
moves the out-of-fold log-loss by less than 0.0002 and the chosen C not at all, at half the time of 1e-4."""

LIMIT = 500
"""Iterations for one C after which the path ends: what lies beyond is harder still."""

WIDTH = 48
"""Columns of a batch, about: wide enough for fast products, narrow enough to have a batch for each core."""


@dataclass
class Outer:
    """What the nested search found for the photos of one fold.

    Attributes:
        choice: the C chosen without that fold.
        weight: weights fitted without it at that C, shape (k, d), for features as they come.
        bias: biases, shape (k,); minus infinity for a class that only that fold has.
    """

    choice: Choice
    weight: NDArray[np.float64]
    bias: NDArray[np.float64]


@dataclass
class Search:
    """What a cross-validation found.

    Attributes:
        choice: the C chosen with all folds.
        outer: for each fold, the model fitted without it; at its own C after a nested search, else at the one C.
        nested: whether they searched for it themselves.
        rows: how many rows the search looked at.
        unconverged: the C at which the path ended because a model was not solved in time, or None. It is not chosen,
            unless it was the first.
    """

    choice: Choice
    outer: list[Outer]
    nested: bool
    rows: int
    unconverged: float | None


def search(
    X: Centred,
    y: NDArray[np.int64],
    weight: NDArray[np.float64],
    folds: Folds,
    classes: int,
    *,
    nested: bool = True,
    grid: tuple[float, ...] = GRID,
    step: Callable[[], None] = lambda: None,
) -> Search:
    """Cross-validate every C of ``grid`` until the loss clearly rises, and choose.

    Args:
        X: features, n rows; each model standardises them by the rows that it is fitted on.
        y: class of each row, shape (n,).
        weight: what each row counts in fits and in the choice, shape (n,).
        folds: at least two; a nested search needs three.
        classes: number of classes.
        nested: whether to search within each outer fold too.
        grid: Cs, ascending.
        step: called once after each C.
    """
    path = _Path(X, y, weight, folds, classes, nested and folds.count >= 3)
    with one_thread_per_product():
        for C in grid:
            done = path.follow(C)
            step()
            if done:
                break
    return path.result()


@dataclass
class _Batch:
    """Problems that are solved together, and where they are on the path."""

    problems: Problems
    left_out: list[tuple[int, ...]]
    memory: Memory
    at: list[Point] = field(default_factory=list)

    def start(self) -> Point:
        if not self.at:
            return prior(self.problems)
        return self.at[-1] if len(self.at) == 1 else self.at[-1].beyond(self.at[-2])


class _Path:
    """The models of all folds, from strong to weak regularisation."""

    def __init__(
        self,
        X: Centred,
        y: NDArray[np.int64],
        weight: NDArray[np.float64],
        folds: Folds,
        classes: int,
        nested: bool,
    ) -> None:
        self._X, self._y, self._weight, self._folds, self._nested = X, y, weight, folds, nested
        self._classes = classes
        self._sums = _FoldSums(X, folds)
        out: list[tuple[int, ...]] = [(f,) for f in range(folds.count)]
        if nested:
            out += list(combinations(range(folds.count), 2))
        self._batches = [self._batch(some, classes, len(out)) for some in _deal(out, classes, len(y))]
        self._tried: list[float] = []
        searches = folds.count + 1 if nested else 1
        self._losses: list[list[NDArray[np.float64]]] = [[] for _ in range(searches)]  # the last is over all folds
        self._seen = np.zeros((searches, len(y)), dtype=bool)
        self._models: list[dict[int, Point]] = []
        self._unconverged: float | None = None

    def follow(self, C: float) -> bool:
        """Solve all models at the next ``C``; return whether the path need not be followed further."""
        before = self._tried[-1] if self._tried else C

        def solve(batch: _Batch) -> tuple[bool, NDArray[np.float64]]:
            stretch = bias_unit(batch.problems, C) / bias_unit(batch.problems, before)
            batch.memory.rescale(C / before, stretch)
            solved = minimise(batch.problems, C, batch.start(), batch.memory, TOLERANCE, LIMIT)
            batch.at = [*batch.at[-1:], solved.point]
            return bool(solved.converged.all()), -log_probability(solved.logits, self._y)

        results = in_threads(solve, self._batches, cores())
        if not all(converged for converged, _ in results):
            self._unconverged = C
            if self._tried:
                return True
        self._tried.append(C)
        self._keep([losses for _, losses in results])
        return self._unconverged is not None or all(past(choice) for choice in self._choices())

    def result(self) -> Search:
        choices = self._choices()
        last = choices[-1]
        outer = [self._outer(f, choices[f] if self._nested else last) for f in range(self._folds.count)]
        return Search(last, outer, self._nested, len(self._y), self._unconverged)

    def _batch(self, left_out: list[tuple[int, ...]], classes: int, models: int) -> _Batch:
        held = np.stack([np.isin(self._folds.fold_of_row, out) for out in left_out])
        mean, scale = self._sums.standardise(left_out)
        rows = Rows(self._X.values, mean, scale, np.float32, turned=self._X.turned)
        problems = Problems.of(rows, self._y, np.where(held, 0.0, self._weight), classes)
        size = classes * (self._X.values.shape[1] + 1)
        pairs = max(3, min(PAIRS, (512 << 20) // (8 * size * models)))
        return _Batch(problems, left_out, Memory(len(left_out), size, pairs, np.float32))

    def _keep(self, losses: list[NDArray[np.float64]]) -> None:
        """Sort the losses of held-out rows by the search that they serve, and keep the outer models."""
        new = np.zeros((len(self._losses), len(self._y)))
        models: dict[int, Point] = {}
        for batch, of_batch in zip(self._batches, losses, strict=True):
            at = batch.at[-1]
            for i, out in enumerate(batch.left_out):
                known = batch.problems.known[i][self._y]
                for held, of_search in _serves(out):
                    rows = (self._folds.fold_of_row == held) & known
                    new[of_search, rows] = of_batch[i, rows]
                    self._seen[of_search, rows] = True
                if len(out) == 1:
                    models[out[0]] = Point(at.weight[i].astype(np.float32), at.bias[i].astype(np.float32))
        for kept, row in zip(self._losses, new, strict=True):
            kept.append(row)
        self._models.append(models)

    def _choices(self) -> list[Choice]:
        grid = tuple(self._tried)
        return [
            choose(np.stack(losses), np.where(seen, self._weight, 0.0), self._folds.group_of_row, grid)
            for losses, seen in zip(self._losses, self._seen, strict=True)
        ]

    def _outer(self, fold: int, choice: Choice) -> Outer:
        point = self._models[choice.index][fold]
        mean, scale = self._sums.raw([(fold,)])
        weight = point.weight.astype(np.float64) * scale[0]
        bias = point.bias.astype(np.float64) - weight @ mean[0]
        known = np.bincount(self._y[self._folds.fold_of_row != fold], minlength=self._classes) > 0
        return Outer(choice, weight, np.where(known, bias, -np.inf))


def _serves(left_out: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return which held-out fold a model predicts for the search of which fold; -1 is the search over all folds."""
    if len(left_out) == 1:
        return [(left_out[0], -1)]
    f, g = left_out
    return [(f, g), (g, f)]


class _FoldSums:
    """Sums over each fold, from which mean and deviation without any folds follow at once."""

    def __init__(self, X: Centred, folds: Folds) -> None:
        self._origin, self._unit = X.origin, X.unit
        self._n = np.bincount(folds.fold_of_row, minlength=folds.count).astype(np.float64)
        shape = (folds.count, X.values.shape[1])
        self._first, self._second = np.zeros(shape), np.zeros(shape)
        for f in range(folds.count):
            rows = np.flatnonzero(folds.fold_of_row == f)
            for i in range(0, len(rows), 1024):
                block = X.values[rows[i : i + 1024]].astype(np.float64)
                self._first[f] += block.sum(axis=0)
                self._second[f] += np.einsum("nd,nd->d", block, block)

    def raw(self, left_out: list[tuple[int, ...]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return as `standardise`, for features as they come."""
        mean, scale = self.standardise(left_out)
        return self._origin + mean * self._unit, scale / self._unit

    def standardise(self, left_out: list[tuple[int, ...]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return what to subtract and to multiply by, from the rows outside the folds of each entry: (p, d), (p, d)."""
        keep = np.ones((len(left_out), len(self._n)))
        for i, out in enumerate(left_out):
            keep[i, list(out)] = 0
        n = np.maximum(keep @ self._n, 1.0)[:, None]
        mean = keep @ self._first / n
        variance = np.maximum(keep @ self._second / n - mean**2, 0.0)
        size = np.maximum(np.abs(self._origin + mean * self._unit), self._unit)
        scale = scale_of(size, np.sqrt(variance) * self._unit)
        return mean, scale * self._unit


def _deal(models: list[tuple[int, ...]], classes: int, n: int) -> list[list[tuple[int, ...]]]:
    """Deal the models into batches, the same on any number of cores."""
    width = min(len(models) * classes, WIDTH, max(classes, (16 << 20) // max(1, n)))
    wanted = -(-len(models) * classes // width)
    batches = min(len(models), wanted + wanted % 2)
    return [models[i::batches] for i in range(batches)]


def describe(found: Search) -> dict[str, Any]:
    """Return what a journal keeps of a search, of plain JSON values."""
    out = found.choice.as_dict()
    if found.nested:
        out["nested_C"] = [outer.choice.C for outer in found.outer]
    if found.unconverged is not None:
        out["path_ended_unsolved_at"] = found.unconverged
    return out
