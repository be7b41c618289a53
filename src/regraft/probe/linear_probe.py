"""The linear probe: a linear classifier on standardized features, with regularization chosen by cross-validation.

Alain and Bengio 2016, https://arxiv.org/abs/1610.01644. The features are standardized on the rows of each fit, inside
the cross-validation too. At the end the standardization is folded into weight and bias. The out-of-fold figures are
nested: the regularization of the model that predicts a photo was chosen without that photo (Varma and Simon 2006,
https://doi.org/10.1186/1471-2105-7-91).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from regraft.probe.cross_validation import GRID, CrossValidation, OuterModel, cross_validate
from regraft.probe.feature_bounds import FeatureBounds, FoldRanges
from regraft.probe.feature_matrix import BLOCK_ROWS, FeatureMatrix, Float
from regraft.probe.folds import FOLDS, Folds, make_folds, row_keys
from regraft.probe.logistic_problems import LogisticProblems, Point, softmax
from regraft.probe.model_selection import grouped_standard_error
from regraft.probe.scaling import center_features, feature_scales, mean_and_deviation
from regraft.probe.solver import Solution, check_inputs, solve
from regraft.process import cores, release_freed_memory
from regraft.screen import Bar

SOLVER = "probe1"
"""Version of the solver's arithmetic, part of the key of every cached probe. It changes if the same rows may give other
bits."""

PROBE_STEPS = len(GRID) + 2
"""Steps by which `fit_probe` advances its progress bar."""

MAX_SEARCH_ROWS = 20_000
"""Rows used to choose the regularization. More rows would take longer without a better choice."""

DEFAULT_C = 1e-3
"""Regularization for data that is too small to cross-validate."""


@dataclass(frozen=True)
class Probe:
    """A linear classifier of features.

    Attributes:
        weight: shape (k, d), float64, with the standardization folded in.
        bias: shape (k,), float64.
        C: the regularization chosen by cross-validation.
        cv_log_loss: mean log-loss of held-out photos at that C. It is slightly optimistic, because C was chosen by it.
        cv_accuracy: accuracy of held-out photos; after a nested search that of ``oof``.
        cv_accuracy_error: its standard error over groups of photos; infinite for one group. These three are NaN if all
            photos are one group, because none can be held out.
        oof: out-of-fold probabilities of the nested search, shape (n, k), float64, in the order of the given rows. The
            model that predicts a row was fitted and chosen without it. A class that occurs in only one fold gets the
            probability zero there. None without a nested search.
        choice: the choice of C as plain JSON values for the journal.
        solution: the final fit on standardized features: objective, gradient norm, iterations.
        lower: lowest value of each feature at prediction, shape (d,), float32; lower values are raised to it. None for
            the probe of an earlier version, which clips no feature.
        upper: highest value of each feature at prediction, likewise.
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
    lower: NDArray[np.float32] | None = field(repr=False, default=None)
    upper: NDArray[np.float32] | None = field(repr=False, default=None)

    @property
    def bounds(self) -> FeatureBounds | None:
        """Bounds to which features are clipped, or None."""
        return None if self.lower is None or self.upper is None else FeatureBounds(self.lower, self.upper)

    def probabilities(self, X: Float) -> NDArray[np.float64]:
        """Return class probabilities of features: (n, d) -> (n, k), float64."""
        return _predict(X, np.arange(len(X)), self.weight, self.bias, self.bounds)


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
    """Standardize, choose the regularization by cross-validation, and solve on all rows.

    The same rows give the same bits in any order and on any number of cores.

    Args:
        X: features, shape (n, d), float32 or float64. Large features are converted to float64 in small blocks only.
        y: class of each row, shape (n,), in ``range(classes)``; every class must occur.
        classes: number of classes k.
        groups: group of each row; all rows of a group are in one fold.
        keys: identifier of each row, such as the content hash of its photo; a hash of the features if None. Rows with
            the same key are in one fold.
        class_weight: ``"balanced"`` gives each class the same total weight, in the fits and in the choice.
        seed: another seed gives other folds.
        nested: whether to compute ``oof``.
        bar: progress bar, advanced by `PROBE_STEPS` in total.

    Raises:
        ValueError: a shape or a value is invalid, or a class has no row.
        NotConvergedError: the final fit did not reach its optimum.
    """
    features, labels, _, _ = check_inputs(X, np.asarray(y), classes, None)
    data = ProbeData.sorted_by_key(features, labels, classes, groups, keys, class_weight, seed)
    progress = _Progress(bar)
    validated = data.cross_validate(nested, progress) if data.folds.count > 1 else None
    release_freed_memory()
    progress.advance_to(PROBE_STEPS - 2)
    C = DEFAULT_C if validated is None else validated.choice.C
    solution, weight, bias = data.solve(C, validated)
    progress.advance_to(PROBE_STEPS)
    choice = {"C": C} if validated is None else validated.as_dict()
    choice |= {"folds": data.folds.count, "searched": 0 if validated is None else validated.rows}
    choice |= {"class_weight": class_weight, "iterations": solution.iterations}
    choice |= {"gradient_norm": float(f"{solution.gradient_norm:.3g}")}
    bounds = data.ranges.bounds()
    figures: tuple[float, float, float, NDArray[np.float64] | None] = (np.nan, np.nan, np.nan, None)
    if validated is not None:
        oof = data.out_of_fold(validated)
        figures = (validated.choice.mean_loss[validated.choice.index], *data.accuracy(oof), oof if nested else None)
    return Probe(weight, bias, C, *figures, choice, solution, bounds.lower, bounds.upper)


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
    """

    X: Float
    y: NDArray[np.int64]
    order: NDArray[np.int64]
    weight: NDArray[np.float64]
    folds: Folds
    classes: int

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

    def cross_validate(
        self, nested: bool, progress: _Progress | None = None, grid: tuple[float, ...] = GRID
    ) -> CrossValidation:
        """Return the result of the cross-validation."""
        rows = _search_rows(self.y, self.folds, self.classes)
        folds = self.folds.subset(rows)
        # with two folds there is no inner search, so C is fixed: an outer model must not choose by its own fold
        grid = (DEFAULT_C,) if nested and folds.count < 3 else grid
        step = (progress or _Progress(None)).advance
        features = center_features(self.X, self.order[rows])
        return cross_validate(
            features, self.y[rows], self.weight[rows], folds, self.classes, nested=nested, grid=grid, step=step
        )

    def solve(
        self, C: float, validated: CrossValidation | None
    ) -> tuple[Solution, NDArray[np.float64], NDArray[np.float64]]:
        """Return the solution on all rows, and its weights and biases with the standardization folded in."""
        mean, deviation = mean_and_deviation(self.X, self.order)
        scale = feature_scales(mean[None], deviation[None])[0]
        features = FeatureMatrix(self.X, mean[None], scale[None], np.float64, self.order, cores())
        problems = LogisticProblems.from_sample_weights(features, self.y, self.weight[None], self.classes)
        start = _starting_point(validated.outer[0], mean, scale) if validated else None
        solution = solve(problems, C, start)
        weight = solution.weight * scale
        return solution, weight, solution.bias - weight @ mean

    def out_of_fold(self, validated: CrossValidation) -> NDArray[np.float64]:
        """Return the probabilities of each row by the model fitted without its fold, in the order of ``X``."""
        out = np.empty((len(self.X), self.classes))
        for fold, outer in enumerate(validated.outer):
            rows = self.order[self.folds.fold_of_row == fold]
            out[rows] = _predict(self.X, rows, outer.weight, outer.bias, self.ranges.bounds(without=fold))
        return out

    def accuracy(self, probabilities: NDArray[np.float64]) -> tuple[float, float]:
        """Return the accuracy of probabilities in the order of ``X``, and its standard error."""
        right = (probabilities[self.order].argmax(axis=1) == self.y).astype(np.float64)
        return float(right.mean()), grouped_standard_error(right, np.ones(len(right)), self.folds.group_of_row)


class _Progress:
    """A progress bar that is complete at the end even if the path of C ended early."""

    def __init__(self, bar: Bar | None) -> None:
        self._bar, self._done = bar, 0

    def advance(self) -> None:
        self.advance_to(self._done + 1)

    def advance_to(self, done: int) -> None:
        if self._bar is not None and done > self._done:
            self._bar.advance(done - self._done)
        self._done = max(done, self._done)


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


def _predict(
    X: Float,
    rows: NDArray[np.int64],
    weight: NDArray[np.float64],
    bias: NDArray[np.float64],
    bounds: FeatureBounds | None,
) -> NDArray[np.float64]:
    out = np.empty((len(rows), len(bias)))
    for i in range(0, len(rows), BLOCK_ROWS):
        block = X[rows[i : i + BLOCK_ROWS]]
        clipped = block if bounds is None else bounds.clip(block)
        logits = clipped.astype(np.float64) @ weight.T + bias
        out[i : i + BLOCK_ROWS] = softmax(logits)
    return out
