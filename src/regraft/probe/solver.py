"""Multinomial logistic regression with an L2 penalty, solved to its optimum.

The objective is that of scikit-learn's ``LogisticRegression(C)``: ``C * sum_i w_i * loss_i + |W|^2 / 2``, with a bias
that is not penalized. Two classes are not a special case: both have a row of weights, and both rows are penalized.
scikit-learn has one row for two classes, ``v = W[1] - W[0]``, with the penalty ``|v|^2 / 2``. At the optimum ``W[1] =
-W[0] = v / 2``, so the penalty here is ``|v|^2 / 4``: the classifier equals scikit-learn's with ``2 * C``. For three or
more classes both agree at the same C.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.errors import RegraftError
from regraft.probe.feature_matrix import BLOCK_ROWS, FeatureMatrix, Float, single_threaded_blas
from regraft.probe.lbfgs import BatchSolution, LbfgsHistory, minimize
from regraft.probe.logistic_problems import LogisticProblems, Point, prior_point
from regraft.process import cores

MAX_PAIRS = 20
"""Number of pairs in the history of L-BFGS."""


class NotConvergedError(RegraftError):
    """A solver stopped before it reached the optimum."""


@dataclass(frozen=True)
class Solution:
    """The optimum of one problem.

    Attributes:
        weight: shape (k, d), float64.
        bias: shape (k,), float64; sums to zero.
        objective: value of the objective.
        gradient_norm: norm of its gradient, computed from scratch at the solution, with the biases scaled by
            `bias_scale`.
        iterations: number of iterations.
    """

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    objective: float
    gradient_norm: float
    iterations: int


def fit_logistic(
    X: Float,
    y: NDArray[np.integer[Any]],
    C: float,
    *,
    classes: int | None = None,
    sample_weight: NDArray[np.floating[Any]] | None = None,
    start: Solution | None = None,
    tolerance: float = 1e-6,
    max_iterations: int = 10_000,
) -> Solution:
    """Return the optimum of multinomial logistic regression on ``X``, without standardization.

    Args:
        X: features, shape (n, d), floating.
        y: class of each row, shape (n,), integers in ``range(classes)``; every class must occur.
        C: weight of the data against the penalty, as in scikit-learn (for two classes see the module).
        classes: number of classes; ``max(y) + 1`` if None.
        sample_weight: weight of each row, shape (n,); 1 if None.
        start: solution to start from.
        tolerance: bound on the distance of the weights from the optimum, relative to their norm.
        max_iterations: iterations before it gives up.

    Raises:
        ValueError: a shape or a value is invalid.
        NotConvergedError: ``max_iterations`` were not enough.
    """
    features, labels, weight, k = check_inputs(X, y, classes, sample_weight, C)
    matrix = FeatureMatrix(features, np.zeros((1, X.shape[1])), np.ones((1, X.shape[1])), np.float64, None, cores())
    problems = LogisticProblems.from_sample_weights(matrix, labels, weight[None], k)
    first = None if start is None else Point(start.weight[None], start.bias[None])
    return solve(problems, C, first, tolerance, max_iterations)


def solve(
    problems: LogisticProblems,
    C: float,
    start: Point | None,
    tolerance: float = 1e-6,
    max_iterations: int = 10_000,
) -> Solution:
    """Return the optimum of a single problem; for the arguments, see `fit_logistic`.

    Raises:
        NotConvergedError: ``max_iterations`` were not enough.
    """
    k, d = problems.present.shape[1], problems.features.d
    pairs = max(3, min(MAX_PAIRS, (512 << 20) // (16 * k * (d + 1))))
    history = LbfgsHistory(1, k * (d + 1), pairs, np.float64)
    iterations, point = 0, start or prior_point(problems)
    with single_threaded_blas():
        for _ in range(3):  # a restart computes logits and gradient from scratch, without accumulated rounding errors
            solved = minimize(problems, C, point, history, tolerance, max_iterations - iterations)
            iterations, point = iterations + solved.iterations, solved.point
            if solved.iterations == 0:
                break
    if not solved.converged[0]:
        raise NotConvergedError(
            f"logistic regression of {problems.features.n:,} rows x {d:,} features with C = {C:g} did not converge: "
            f"the gradient norm is {solved.gradient_norm[0]:.3g} after {iterations:,} iterations, expected at most "
            f"{solved.target_norm[0]:.3g}\n  standardize the features, or use a smaller C"
        )
    return _solution(C, solved, iterations)


def _solution(C: float, solved: BatchSolution, iterations: int) -> Solution:
    weight, bias = solved.point.weight[0], solved.point.bias[0]
    objective = C * solved.loss[0] + 0.5 * float((weight**2).sum())
    return Solution(weight, bias - bias.mean(), float(objective), float(solved.gradient_norm[0]), iterations)


def check_inputs(
    X: Float,
    y: NDArray[np.integer[Any]],
    classes: int | None,
    sample_weight: NDArray[np.floating[Any]] | None,
    C: float = 1.0,
) -> tuple[Float, NDArray[np.int64], NDArray[np.float64], int]:
    """Return features, classes of the rows, weights of the rows and number of classes, if they are valid.

    Raises:
        ValueError: a shape or a value is invalid.
    """
    features, labels = np.asanyarray(X), np.asarray(y)
    if features.ndim != 2 or not np.issubdtype(features.dtype, np.floating):
        raise ValueError(f"X must be floating and of shape (n, d), not {features.dtype} of shape {features.shape}")
    if labels.shape != (len(features),) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"y must be integer and of shape ({len(features)},), not {labels.dtype} of {labels.shape}")
    if not len(labels):
        raise ValueError("X must have at least one row, but has none")
    k = int(labels.max()) + 1 if classes is None else classes
    weight = np.ones(len(labels)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    if weight.shape != labels.shape or not np.all(np.isfinite(weight)) or bool((weight < 0).any()):
        raise ValueError(f"sample_weight must be finite, not negative, and of shape {labels.shape}")
    if labels.min() < 0 or labels.max() >= k:
        raise ValueError(f"y must be in 0 to {k - 1}, but contains {labels.min()} to {labels.max()}")
    empty = np.flatnonzero(np.bincount(labels, weight, k) <= 0)
    if len(empty):
        raise ValueError(f"each class needs a row with a positive weight, but classes {empty.tolist()} have none")
    if not (np.isfinite(C) and C > 0):
        raise ValueError(f"C must be a positive number, not {C}")
    _check_finite(features)
    return features, labels.astype(np.int64), weight, k


def _check_finite(X: Float) -> None:
    for i in range(0, len(X), BLOCK_ROWS):
        bad = np.flatnonzero(~np.isfinite(X[i : i + BLOCK_ROWS]).all(axis=1))
        if len(bad):
            raise ValueError(f"X must be finite, but row {i + int(bad[0])} is not")
