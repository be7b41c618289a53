"""Multinomial logistic regression with an L2 penalty, solved to its optimum.

The objective is that of scikit-learn's ``LogisticRegression(C)``: ``C * sum_i w_i * loss_i + |W|^2 / 2``, bias free.
Two classes are no special case here: both have a row of weights, and both rows are penalised. scikit-learn keeps one
row for two classes, ``v = W[1] - W[0]``, penalised by ``|v|^2 / 2``. At the optimum ``W[1] = -W[0] = v / 2``, whose
penalty is ``|v|^2 / 4``: the same classifier as scikit-learn's with ``2 * C``. From three classes on both agree for
the same C.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.errors import RegraftError
from regraft.probe.feature_matrix import BLOCK, Float, Rows, one_thread_per_product
from regraft.probe.lbfgs import Memory, Solved, minimise
from regraft.probe.logistic_problems import Point, Problems, prior
from regraft.process import cores

PAIRS = 20
"""Steps whose curvature is remembered."""


class NotConvergedError(RegraftError):
    """A solver gave up before it reached the optimum."""


@dataclass(frozen=True)
class Solution:
    """The optimum of one problem.

    Attributes:
        weight: shape (k, d), float64.
        bias: shape (k,), float64; sums to zero.
        objective: value of the objective.
        gradient_norm: norm of its gradient, computed anew at the solution (the bias scaled to unit curvature).
        iterations: iterations that it took.
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
    tol: float = 1e-6,
    limit: int = 10_000,
) -> Solution:
    """Solve multinomial logistic regression on ``X`` as it stands.

    Args:
        X: features, shape (n, d), floating.
        y: class of each row, shape (n,), integers in ``range(classes)``; every class must occur.
        C: weight of the data against the penalty, as in scikit-learn (for two classes see the module).
        classes: number of classes; ``max(y) + 1`` if None.
        sample_weight: what each row counts, shape (n,); 1 if None.
        start: a solution to begin from.
        tol: bound on the distance of the weights from the optimum, relative to their norm.
        limit: iterations to give up after.

    Raises:
        ValueError: shapes or values that cannot be.
        NotConvergedError: ``limit`` iterations did not suffice.
    """
    features, labels, weight, k = check_problem(X, y, classes, sample_weight, C)
    rows = Rows(features, np.zeros((1, X.shape[1])), np.ones((1, X.shape[1])), np.float64, None, cores())
    begin = None if start is None else Point(start.weight[None], start.bias[None])
    return solve_one(Problems.of(rows, labels, weight[None], k), C, begin, tol, limit)


def solve_one(problems: Problems, C: float, start: Point | None, tol: float = 1e-6, limit: int = 10_000) -> Solution:
    """Solve a single problem; as `fit_logistic`.

    Raises:
        NotConvergedError: ``limit`` iterations did not suffice.
    """
    k, d = problems.known.shape[1], problems.rows.d
    pairs = max(3, min(PAIRS, (512 << 20) // (16 * k * (d + 1))))
    memory = Memory(1, k * (d + 1), pairs, np.float64)
    iterations, point = 0, start or prior(problems)
    with one_thread_per_product():
        for _ in range(3):  # the gradient followed along the way is checked against one computed anew
            solved = minimise(problems, C, point, memory, tol, limit - iterations)
            iterations, point = iterations + solved.iterations, solved.point
            if solved.iterations == 0:
                break
    if not solved.converged[0]:
        raise NotConvergedError(
            f"logistic regression of {problems.rows.n:,} rows x {d:,} features, C = {C:g}: gradient norm "
            f"{solved.gradient_norm[0]:.3g} after {iterations:,} iterations, wanted {solved.goal[0]:.3g}\n"
            "  standardise the features, or take a smaller C"
        )
    return _solution(C, solved, iterations)


def _solution(C: float, solved: Solved, iterations: int) -> Solution:
    weight, bias = solved.point.weight[0], solved.point.bias[0]
    value = C * solved.loss[0] + 0.5 * float((weight**2).sum())
    return Solution(weight, bias - bias.mean(), float(value), float(solved.gradient_norm[0]), iterations)


def check_problem(
    X: Float,
    y: NDArray[np.integer[Any]],
    classes: int | None,
    sample_weight: NDArray[np.floating[Any]] | None,
    C: float = 1.0,
) -> tuple[Float, NDArray[np.int64], NDArray[np.float64], int]:
    """Return features, classes, weights and number of classes, checked.

    Raises:
        ValueError: shapes or values that cannot be.
    """
    features, labels = np.asanyarray(X), np.asarray(y)
    if features.ndim != 2 or not np.issubdtype(features.dtype, np.floating):
        raise ValueError(f"X must be floating and of shape (n, d), not {features.dtype} of shape {features.shape}")
    if labels.shape != (len(features),) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"y must be integer and of shape ({len(features)},), not {labels.dtype} of {labels.shape}")
    if not len(labels):
        raise ValueError("there is nothing to fit: X has no rows")
    k = int(labels.max()) + 1 if classes is None else classes
    weight = np.ones(len(labels)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    if weight.shape != labels.shape or not np.all(np.isfinite(weight)) or bool((weight < 0).any()):
        raise ValueError(f"sample_weight must be finite, not negative, and of shape {labels.shape}")
    if labels.min() < 0 or labels.max() >= k:
        raise ValueError(f"y must be in 0 to {k - 1}, but holds {labels.min()} to {labels.max()}")
    empty = np.flatnonzero(np.bincount(labels, weight, k) <= 0)
    if len(empty):
        raise ValueError(f"no row counts for the classes {empty.tolist()}: each class needs one")
    if not (np.isfinite(C) and C > 0):
        raise ValueError(f"C must be a positive number, not {C}")
    _check_finite(features)
    return features, labels.astype(np.int64), weight, k


def _check_finite(X: Float) -> None:
    for i in range(0, len(X), BLOCK):
        bad = np.flatnonzero(~np.isfinite(X[i : i + BLOCK]).all(axis=1))
        if len(bad):
            raise ValueError(f"X must be finite, but row {i + int(bad[0])} is not")
