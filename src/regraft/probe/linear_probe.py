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

from regraft.probe.cross_validation import GRID, Outer, Search, describe, search
from regraft.probe.feature_matrix import BLOCK, Float, Rows
from regraft.probe.folds import FOLDS, Folds, make_folds, row_keys
from regraft.probe.logistic_problems import Point, Problems, softmax
from regraft.probe.model_selection import grouped_standard_error
from regraft.probe.scaling import centred, moments, scale_of
from regraft.probe.solver import Solution, check_problem, solve_one
from regraft.process import cores, give_back_memory
from regraft.screen import Bar

SOLVER = "probe1"
"""Changes whenever the same rows may be solved to other bits; part of every key under which a probe is kept."""

PROBE_STEPS = len(GRID) + 2
"""What `fit_probe` advances its bar by in all."""

SEARCHED = 20_000
"""Photos that the regularisation is searched on; more of them would not choose better, only later."""

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
        cv_accuracy_error: its standard error over groups of photos; infinite for one. These three are NaN where all
            photos are one group, so that none can be held out.
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
        bar: advanced by `PROBE_STEPS` in all.

    Raises:
        ValueError: shapes or values that cannot be, or a class without a row.
        NotConvergedError: the final fit was not solved to its optimum.
    """
    features, labels, _, _ = check_problem(X, np.asarray(y), classes, None)
    data = Data.of(features, labels, classes, groups, keys, class_weight, seed)
    steps = _Steps(bar)
    found = data.search(nested, steps) if data.folds.count > 1 else None
    give_back_memory()
    steps.to(PROBE_STEPS - 2)
    C = DEFAULT_C if found is None else found.choice.C
    solution, weight, bias = data.solve(C, found)
    steps.to(PROBE_STEPS)
    choice = {"C": C} if found is None else describe(found)
    choice |= {"folds": data.folds.count, "searched": 0 if found is None else found.rows}
    choice |= {"class_weight": class_weight, "iterations": solution.iterations}
    choice |= {"gradient_norm": float(f"{solution.gradient_norm:.3g}")}
    if found is None:
        return Probe(weight, bias, C, np.nan, np.nan, np.nan, None, choice, solution)
    oof = data.held_out(found)
    loss, right, error = found.choice.mean[found.choice.index], *data.accuracy(oof)
    return Probe(weight, bias, C, loss, right, error, oof if nested else None, choice, solution)


@dataclass
class Data:
    """Rows in the order of their keys; ``X`` stays as it was given, and is read through ``order``."""

    X: Float
    y: NDArray[np.int64]
    order: NDArray[np.int64]
    weight: NDArray[np.float64]
    folds: Folds
    classes: int

    @classmethod
    def of(
        cls,
        X: Float,
        y: NDArray[np.int64],
        classes: int,
        groups: Sequence[Hashable] | None,
        keys: Sequence[str] | None,
        class_weight: str | None,
        seed: int,
    ) -> Data:
        """Sort the rows by their keys, and deal folds; for the arguments, see `fit_probe`."""
        for name, given in (("groups", groups), ("keys", keys)):
            if given is not None and len(given) != len(y):
                raise ValueError(f"{name} must name each of the {len(y)} rows, but there are {len(given)}")
        names = row_keys(X, y) if keys is None else [str(key) for key in keys]
        order = np.array(sorted(range(len(y)), key=lambda i: (names[i], y[i])), dtype=np.int64)
        grouped = None if groups is None else [groups[i] for i in order]
        folds = make_folds(y[order], [names[i] for i in order], grouped, count=FOLDS, seed=seed)
        return cls(X, y[order], order, _class_weights(y, classes, class_weight)[order], folds, classes)

    def search(self, nested: bool, steps: _Steps | None = None, grid: tuple[float, ...] = GRID) -> Search:
        """Return what the cross-validation found."""
        some = _sample(self.y, self.folds, self.classes)
        part = centred(self.X, self.order[some])
        folds = self.folds.subset(some)
        # with two folds nothing is left to search within one: no choice is made rather than one that has looked
        grid = (DEFAULT_C,) if nested and folds.count < 3 else grid
        y, weight, step = self.y[some], self.weight[some], (steps or _Steps(None)).one
        return search(part, y, weight, folds, self.classes, nested=nested, grid=grid, step=step)

    def solve(self, C: float, found: Search | None) -> tuple[Solution, NDArray[np.float64], NDArray[np.float64]]:
        """Return the solution on all rows, and its weights and biases with the standardisation folded in."""
        mean, deviation = moments(self.X, self.order)
        scale = scale_of(mean[None], deviation[None])[0]
        rows = Rows(self.X, mean[None], scale[None], np.float64, self.order, cores())
        problems = Problems.of(rows, self.y, self.weight[None], self.classes)
        solution = solve_one(problems, C, _start(found.outer[0], mean, scale) if found else None)
        weight = solution.weight * scale
        return solution, weight, solution.bias - weight @ mean

    def held_out(self, found: Search) -> NDArray[np.float64]:
        """Return the probabilities of each row by the model fitted without its fold, in the order of ``X``."""
        out = np.empty((len(self.X), self.classes))
        for f, outer in enumerate(found.outer):
            rows = self.order[self.folds.fold_of_row == f]
            out[rows] = _predict(self.X, rows, outer.weight, outer.bias)
        return out

    def accuracy(self, probabilities: NDArray[np.float64]) -> tuple[float, float]:
        """Return the accuracy of probabilities in the order of ``X``, and its standard error."""
        right = (probabilities[self.order].argmax(axis=1) == self.y).astype(np.float64)
        return float(right.mean()), grouped_standard_error(right, np.ones(len(right)), self.folds.group_of_row)


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
    limit = min(SEARCHED, max(SEARCHED // 5, 10 * SEARCHED // classes, 10 * classes))
    if len(y) <= limit:
        return np.arange(len(y))
    keep = []
    for c in range(classes):
        rows = np.flatnonzero(y == c)
        quota = max(10, round(limit * len(rows) / len(y)))
        keep.append(rows[np.argsort(folds.rank_of_row[rows], kind="stable")[:quota]])
    return np.sort(np.concatenate(keep))


def _start(outer: Outer, mean: NDArray[np.float64], scale: NDArray[np.float64]) -> Point | None:
    if not np.isfinite(outer.bias).all():
        return None
    back = np.where(scale > 0, 1 / np.where(scale > 0, scale, 1.0), 0.0)
    return Point((outer.weight * back)[None], (outer.bias + outer.weight @ mean)[None])


def _predict(
    X: Float, rows: NDArray[np.int64], weight: NDArray[np.float64], bias: NDArray[np.float64]
) -> NDArray[np.float64]:
    out = np.empty((len(rows), len(bias)))
    for i in range(0, len(rows), BLOCK):
        logits = X[rows[i : i + BLOCK]].astype(np.float64) @ weight.T + bias
        out[i : i + BLOCK] = softmax(logits)
    return out
