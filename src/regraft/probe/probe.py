"""The linear probe: a linear classifier on standardised features, its regularisation chosen by cross-validation.

Alain and Bengio 2016, https://arxiv.org/abs/1610.01644. The features are standardised on the photos of each fit, inside
the cross-validation too, and the standardisation is folded into weight and bias at the end. The out-of-fold figures are
nested: the regularisation of the model that predicts a photo was chosen without it (Varma and Simon 2006,
https://doi.org/10.1186/1471-2105-7-91).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from regraft.probe.crossval import GRID, Outer, Search, describe, search
from regraft.probe.folds import FOLDS, Folds, make_folds, row_keys
from regraft.probe.lockstep import Point, Problems, softmax
from regraft.probe.rows import BLOCK, Float, Rows, moments, reciprocal
from regraft.probe.solver import Solution, check_problem, solve_one
from regraft.probe.threads import cores
from regraft.screen import Bar

STEPS = len(GRID) + 2
"""What `fit_probe` advances its bar by in all."""

DEFAULT_C = 1e-3
"""Regularisation where there is too little to cross-validate."""


@dataclass(frozen=True)
class Probe:
    """A linear classifier on features as they come.

    Attributes:
        weight: shape (k, d), float64, standardisation folded in.
        bias: shape (k,), float64.
        C: the regularisation, chosen by cross-validation.
        cv_log_loss: mean log-loss of held-out photos at that C; the choice looked at it, it is a little too good.
        cv_accuracy: accuracy of held-out photos, after a nested search that of ``oof``.
        cv_accuracy_error: standard error of ``cv_accuracy`` over photos. These three are NaN where all photos are one
            group, so that none can be held out.
        oof: out-of-fold probabilities of the nested search, shape (n, k), float64, in the order of the rows given: no
            fit and no choice has looked at the photo that a row predicts. None without a nested search. A class that
            only one fold has is unknown when that fold is predicted; it gets the probability zero there.
        choice: how C was chosen, of plain JSON values, for a journal.
        solution: the final fit, on standardised features: objective, gradient norm, iterations.
    """

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    C: float
    cv_log_loss: float
    cv_accuracy: float
    cv_accuracy_error: float
    oof: NDArray[np.float64] | None
    choice: dict[str, Any] = field(repr=False)
    solution: Solution = field(repr=False)

    def probabilities(self, X: Float) -> NDArray[np.float64]:
        """Return class probabilities of features: (n, d) -> (n, k), float64."""
        return _predict(X, np.arange(len(X)), self.weight, self.bias)


def fit_probe(
    X: Float,
    y: NDArray[np.integer[Any]] | Sequence[int],
    *,
    classes: int,
    groups: Sequence[Hashable] | None = None,
    keys: Sequence[str] | None = None,
    class_weight: Literal["balanced"] | None = None,
    seed: int = 0,
    nested: bool = True,
    bar: Bar | None = None,
) -> Probe:
    """Standardise, choose the regularisation by cross-validation, and solve on all rows.

    The same rows in another order give the same bits, on any number of cores.

    Args:
        X: features, shape (n, d), float32 or float64. No float64 copy of more than a few blocks is made of large ones.
        y: class of each row, shape (n,), in ``range(classes)``; every class must occur.
        classes: number of classes k.
        groups: group of each row; a group never straddles a fold.
        keys: what identifies each row, such as the content hash of its photo; the bytes of the features if None. Rows
            of the same key never straddle a fold.
        class_weight: ``"balanced"`` lets each class count the same, in the fits and in the choice.
        seed: another seed deals other folds.
        nested: whether to compute ``oof``; otherwise the choice alone is cross-validated.
        bar: advanced by `STEPS` in all.

    Raises:
        ValueError: shapes or values that cannot be, or a class without a row.
        NotConvergedError: the final fit was not solved to its optimum.
    """
    features, labels, _, _ = check_problem(X, np.asarray(y), classes, None)
    names = row_keys(features, labels) if keys is None else [str(key) for key in keys]
    order = np.array(sorted(range(len(labels)), key=lambda i: (names[i], labels[i])), dtype=np.int64)
    in_order = None if groups is None else [groups[i] for i in order]
    folds = make_folds(labels[order], [names[i] for i in order], in_order, number=FOLDS, seed=seed)
    data = _Data(features, labels[order], order, _class_weights(labels[order], classes, class_weight), folds, classes)
    steps = _Steps(bar)
    found, searched = (None, 0) if folds.number < 2 else data.search(nested, steps)
    steps.to(STEPS - 2)
    solution, probe_weight, bias = data.solve(DEFAULT_C if found is None else found.choice.C, found)
    steps.to(STEPS)
    choice = {} if found is None else describe(found)
    C = float(choice.setdefault("C", DEFAULT_C))
    choice |= {"folds": folds.number, "searched": searched, "iterations": solution.iterations}
    choice |= {"gradient_norm": float(f"{solution.gradient_norm:.3g}"), "class_weight": class_weight}
    if found is None:
        return Probe(probe_weight, bias, C, np.nan, np.nan, np.nan, None, choice, solution)
    held_out = data.held_out(found)
    right = float((held_out.argmax(axis=1) == labels).mean())
    error = float(np.sqrt(right * (1 - right) / len(labels)))
    loss = found.choice.mean[found.choice.index]
    return Probe(probe_weight, bias, C, loss, right, error, held_out if nested else None, choice, solution)


@dataclass
class _Data:
    """Rows in the order of their keys; ``X`` stays as it was given, and is read through ``order``."""

    X: Float
    y: NDArray[np.int64]
    order: NDArray[np.int64]
    weight: NDArray[np.float64]
    folds: Folds
    classes: int

    def search(self, nested: bool, steps: _Steps) -> tuple[Search, int]:
        """Return what the cross-validation found, and on how many rows."""
        some = _sample(self.y, self.folds, self.classes)
        mean, deviation = moments(self.X, self.order[some])
        scale = reciprocal(mean, deviation)
        part = np.empty((len(some), self.X.shape[1]), np.float32)
        for i in range(0, len(some), BLOCK):
            part[i : i + BLOCK] = (self.X[self.order[some[i : i + BLOCK]]] - mean) * scale
        folds = Folds(self.folds.of[some], self.folds.unit[some], self.folds.rank[some], self.folds.number)
        # with two folds nothing is left to search within one: no choice is made rather than one that has looked
        grid = (DEFAULT_C,) if nested and folds.number < 3 else GRID
        y, weight = self.y[some], self.weight[some]
        found = search(part, y, weight, folds, self.classes, nested=nested, grid=grid, step=steps.one)
        for outer in found.outer:  # for features as they come
            outer.weight = outer.weight * scale
            outer.bias = outer.bias - outer.weight @ mean
        return found, len(some)

    def solve(self, C: float, found: Search | None) -> tuple[Solution, NDArray[np.float64], NDArray[np.float64]]:
        """Return the solution on all rows, and its weights and biases with the standardisation folded in."""
        mean, deviation = moments(self.X, self.order)
        scale = reciprocal(mean, deviation)
        rows = Rows(self.X, mean[None], scale[None], np.float64, self.order, cores())
        problems = Problems.of(rows, self.y, self.weight[None], self.classes)
        solution = solve_one(problems, C, _start(found.outer[0], mean, deviation) if found else None)
        weight = solution.weight * scale
        return solution, weight, solution.bias - weight @ mean

    def held_out(self, found: Search) -> NDArray[np.float64]:
        """Return the probabilities of each row by the model fitted without its fold, in the order of ``X``."""
        out = np.empty((len(self.X), self.classes))
        for f, outer in enumerate(found.outer):
            rows = self.order[self.folds.of == f]
            out[rows] = _predict(self.X, rows, outer.weight, outer.bias)
        return out


class _Steps:
    """Counts what the bar was told, so that it ends full when the path ended early."""

    def __init__(self, bar: Bar | None) -> None:
        self._bar, self._done = bar, 0

    def one(self) -> None:
        self.to(self._done + 1)

    def to(self, done: int) -> None:
        if self._bar is not None and done > self._done:
            self._bar.advance(done - self._done)
        self._done = max(done, self._done)


def _class_weights(y: NDArray[np.int64], classes: int, kind: str | None) -> NDArray[np.float64]:
    if kind is None:
        return np.ones(len(y))
    if kind != "balanced":
        raise ValueError(f"class_weight must be 'balanced' or None, not {kind!r}")
    weights: NDArray[np.float64] = (len(y) / (classes * np.bincount(y, minlength=classes)))[y]
    return weights


def _sample(y: NDArray[np.int64], folds: Folds, classes: int) -> NDArray[np.int64]:
    """Return the rows to search on: all, or of each class its share with the lowest shuffled places."""
    limit = min(20_000, max(4_000, 200_000 // classes, 10 * classes))
    if len(y) <= limit:
        return np.arange(len(y))
    keep = []
    for c in range(classes):
        rows = np.flatnonzero(y == c)
        quota = max(10, round(limit * len(rows) / len(y)))
        keep.append(rows[np.argsort(folds.rank[rows], kind="stable")[:quota]])
    return np.sort(np.concatenate(keep))


def _start(outer: Outer, mean: NDArray[np.float64], deviation: NDArray[np.float64]) -> Point | None:
    if not np.isfinite(outer.bias).all():
        return None
    return Point((outer.weight * deviation)[None], (outer.bias + outer.weight @ mean)[None])


def _predict(
    X: Float, rows: NDArray[np.int64], weight: NDArray[np.float64], bias: NDArray[np.float64]
) -> NDArray[np.float64]:
    out = np.empty((len(rows), len(bias)))
    for i in range(0, len(rows), BLOCK):
        logits = X[rows[i : i + BLOCK]].astype(np.float64) @ weight.T + bias
        out[i : i + BLOCK] = softmax(logits.T[None])[0].T
    return out
