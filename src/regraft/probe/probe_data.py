"""The rows of a linear probe: sorted, weighted, divided into folds; cross-validated and solved."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from regraft.disk.row_table import take
from regraft.probe.cross_validation import GRID, CrossValidation, OuterModel, cross_validate
from regraft.probe.feature_bounds import FeatureBounds, FoldRanges
from regraft.probe.feature_matrix import BLOCK_ROWS, FeatureMatrix, Float
from regraft.probe.folds import FOLDS, Folds, make_folds, row_keys
from regraft.probe.logistic_problems import LogisticProblems, Point, softmax
from regraft.probe.model_selection import grouped_standard_error
from regraft.probe.scaling import ScaleRule, center_features, feature_scales, mean_and_deviation
from regraft.probe.solver import Solution, solve
from regraft.probe.streamed_problem import ArrayRows, StreamedProblem, moments_of
from regraft.probe.streamed_solver import solve_streamed
from regraft.process import cores

MAX_SEARCH_ROWS = 20_000
"""Rows used to choose the regularization. More rows would take longer without a better choice."""

STREAMED_BYTES = 4 << 30
"""Size of the features from which `ProbeData.solve` streams them: 840,000 rows of 1,280 features."""

DEFAULT_C = 1e-3
"""Regularization for data that is too small to cross-validate."""


@dataclass
class ProbeData:
    """Rows sorted by their keys. ``X`` keeps the order in which it was given, and is read through ``order``.

    Attributes:
        X: features as given, shape (n, d).
        y: class of each sorted row, shape (n,).
        order: position in ``X`` of each sorted row, shape (n,).
        weight: weight of each sorted row, shape (n,).
        folds: folds of the sorted rows.
        classes: number of classes.
        scales: rule for the factors of features in the fits.
    """

    X: Float
    y: NDArray[np.int64]
    order: NDArray[np.int64]
    weight: NDArray[np.float64]
    folds: Folds
    classes: int
    scales: ScaleRule = feature_scales

    @classmethod
    def sorted_by_key(
        cls,
        X: Float,
        y: NDArray[np.int64],
        classes: int,
        groups: Sequence[Hashable] | None,
        keys: Sequence[str] | None,
        class_weight: str | None,
        seed: int,
    ) -> ProbeData:
        """Sort the rows by their keys and make folds; for the arguments, see `fit_probe`."""
        for name, values in (("groups", groups), ("keys", keys)):
            if values is not None and len(values) != len(y):
                raise ValueError(f"{name} must have one entry for each of the {len(y)} rows, but has {len(values)}")
        names = row_keys(X, y) if keys is None else [str(key) for key in keys]
        order = np.array(sorted(range(len(y)), key=lambda i: (names[i], y[i])), dtype=np.int64)
        sorted_groups = None if groups is None else [groups[i] for i in order]
        folds = make_folds(y[order], [names[i] for i in order], sorted_groups, count=FOLDS, seed=seed)
        return cls(X, y[order], order, _class_weights(y, classes, class_weight)[order], folds, classes)

    @cached_property
    def ranges(self) -> FoldRanges:
        """Lowest and highest value of each feature in each fold."""
        return FoldRanges.of(self.X, self.order, self.folds)

    @cached_property
    def _searched_rows(self) -> NDArray[np.int64]:
        return _search_rows(self.y, self.folds, self.classes)

    @property
    def searched_folds(self) -> Folds:
        """Folds of the rows that the cross-validation uses: all, unless there are very many."""
        return self.folds.subset(self._searched_rows)

    def cross_validate(
        self, nested: bool, step: Callable[[], None] = lambda: None, grid: tuple[float, ...] = GRID
    ) -> CrossValidation:
        """Return the result of the cross-validation."""
        rows, folds = self._searched_rows, self.searched_folds
        # with two folds there is no inner search, so C is fixed: an outer model must not choose by its own fold
        grid = (DEFAULT_C,) if nested and folds.count < 3 else grid
        features = center_features(self.X, self.order[rows], self.scales)
        return cross_validate(
            features, self.y[rows], self.weight[rows], folds, self.classes, nested=nested, grid=grid, step=step
        )

    def solve(
        self, C: float, validated: CrossValidation | None
    ) -> tuple[Solution, NDArray[np.float64], NDArray[np.float64]]:
        """Return the solution on all rows, and its weights and biases with the standardization folded in.

        Features of `STREAMED_BYTES` or more are read block by block. The optimum is the same, the last bits may differ.
        """
        if self.X.nbytes >= STREAMED_BYTES:
            return self._solve_streamed(C, validated)
        mean, deviation = mean_and_deviation(self.X, self.order)
        scale = self.scales(mean[None], deviation[None])[0]
        features = FeatureMatrix(self.X, mean[None], scale[None], np.float64, self.order, cores())
        problems = LogisticProblems.from_sample_weights(features, self.y, self.weight[None], self.classes)
        start = _starting_point(validated.outer[0], mean, scale) if validated else None
        solution = solve(problems, C, start)
        weight = solution.weight * scale
        return solution, weight, solution.bias - weight @ mean

    def _solve_streamed(
        self, C: float, validated: CrossValidation | None
    ) -> tuple[Solution, NDArray[np.float64], NDArray[np.float64]]:
        rows = ArrayRows(take(self.X, self.order))
        moments = moments_of(rows, cores())
        mean, scale = moments.mean, self.scales(moments.mean[None], moments.deviation[None])[0]
        problem = StreamedProblem(rows, self.y, self.weight, self.classes, mean, scale, cores())
        start = _starting_point(validated.outer[0], mean, scale) if validated else None
        solution = solve_streamed(problem, C, moments.covariance, start).solution
        weight = solution.weight * scale
        return solution, weight, solution.bias - weight @ mean

    def out_of_fold(self, validated: CrossValidation) -> NDArray[np.float64]:
        """Return the probabilities of each row by the model fitted without its fold, in the order of ``X``."""
        out = np.empty((len(self.X), self.classes))
        for fold, outer in enumerate(validated.outer):
            rows = self.order[self.folds.fold_of_row == fold]
            out[rows] = predict(self.X, rows, outer.weight, outer.bias, self.ranges.bounds(without=fold))
        return out

    def accuracy(self, probabilities: NDArray[np.float64]) -> tuple[float, float]:
        """Return the accuracy of probabilities in the order of ``X``, and its standard error."""
        right = (probabilities[self.order].argmax(axis=1) == self.y).astype(np.float64)
        return float(right.mean()), grouped_standard_error(right, np.ones(len(right)), self.folds.group_of_row)


def _class_weights(y: NDArray[np.int64], classes: int, class_weight: str | None) -> NDArray[np.float64]:
    if class_weight is None:
        return np.ones(len(y))
    if class_weight != "balanced":
        raise ValueError(f"class_weight must be 'balanced' or None, not {class_weight!r}")
    weights: NDArray[np.float64] = (len(y) / (classes * np.bincount(y, minlength=classes)))[y]
    return weights


def _search_rows(y: NDArray[np.int64], folds: Folds, classes: int) -> NDArray[np.int64]:
    """Return the rows to cross-validate: all, or for each class a share of its rows, those with the lowest rank."""
    limit = min(MAX_SEARCH_ROWS, max(MAX_SEARCH_ROWS // 5, 10 * MAX_SEARCH_ROWS // classes, 10 * classes))
    if len(y) <= limit:
        return np.arange(len(y))
    chosen = []
    for c in range(classes):
        rows = np.flatnonzero(y == c)
        quota = max(10, round(limit * len(rows) / len(y)))
        chosen.append(rows[np.argsort(folds.rank_of_row[rows], kind="stable")[:quota]])
    return np.sort(np.concatenate(chosen))


def _starting_point(outer: OuterModel, mean: NDArray[np.float64], scale: NDArray[np.float64]) -> Point | None:
    """Return the outer model in standardized features, or None if it lacks a class."""
    if not np.isfinite(outer.bias).all():
        return None
    inverse = np.where(scale > 0, 1 / np.where(scale > 0, scale, 1.0), 0.0)
    return Point((outer.weight * inverse)[None], (outer.bias + outer.weight @ mean)[None])


def predict(
    X: Float,
    rows: NDArray[np.int64],
    weight: NDArray[np.float64],
    bias: NDArray[np.float64],
    bounds: FeatureBounds | None,
) -> NDArray[np.float64]:
    """Return class probabilities of the rows ``rows`` of features ``X``, clipped to ``bounds``: (n, k), float64."""
    out = np.empty((len(rows), len(bias)))
    for i in range(0, len(rows), BLOCK_ROWS):
        block = X[rows[i : i + BLOCK_ROWS]]
        clipped = block if bounds is None else bounds.clip(block)
        logits = clipped.astype(np.float64) @ weight.T + bias
        out[i : i + BLOCK_ROWS] = softmax(logits)
    return out
