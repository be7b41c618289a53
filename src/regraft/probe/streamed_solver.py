"""The solver for rows that are not in memory: the optimum of `regraft.probe.solver.solve`, in few passes over the rows.

A pass is what costs time, so the solver spends arithmetic to need few of them. One pass gives the covariance of the
features. Along its eigenvectors, scaled by the curvature of the objective at the start, the problem is nearly round,
and L-BFGS needs a fraction of the passes that it needs along the features themselves. The scaling changes the path, not
the optimum: the solver stops where `solve` stops, at the same bound on the distance to the optimum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regraft.probe.feature_matrix import single_threaded_blas
from regraft.probe.lbfgs import LbfgsHistory
from regraft.probe.line_search import CURVATURE, MAX_LENGTH, MAX_STEPS, SUFFICIENT_DECREASE, Bracket
from regraft.probe.logistic_problems import Point
from regraft.probe.solver import NotConvergedError, Solution
from regraft.probe.streamed_problem import Evaluation, StreamedProblem

STREAMED_SOLVER = "streamed1"
"""Version of this solver's arithmetic; it changes if the same rows may give other bits."""

MAX_PAIRS, MAX_PAIR_BYTES = 50, 512 << 20
"""Number of pairs in the history of L-BFGS, and the memory for them; more pairs need fewer passes."""


@dataclass(frozen=True)
class StreamedSolution:
    """A solution, and its price.

    Attributes:
        solution: the optimum on standardized features.
        passes: number of passes over the rows, without the one for the covariance.
    """

    solution: Solution
    passes: int


def solve_streamed(
    problem: StreamedProblem,
    C: float,
    covariance: NDArray[np.float64],
    start: Point | None = None,
    tolerance: float = 1e-6,
    max_passes: int = 1000,
) -> StreamedSolution:
    """Return the optimum of ``C * sum_i w_i * loss_i + |W|^2 / 2``.

    Args:
        problem: the rows, their classes and their standardization.
        C: weight of the data against the penalty.
        covariance: covariance of the features before standardization, shape (d, d).
        start: weights (1, k, d) and biases (1, k) to start from; the shares of the classes if None.
        tolerance: bound on the distance of the weights from the optimum, relative to their norm.
        max_passes: passes after which it gives up.

    Raises:
        NotConvergedError: ``max_passes`` were not enough.
    """
    scaled = covariance * np.outer(problem.scale, problem.scale)
    coordinates = _Coordinates.of(problem, C, scaled)
    descent = _Descent(problem, C, coordinates, start)
    pairs = max(3, min(MAX_PAIRS, MAX_PAIR_BYTES // (16 * coordinates.size)))
    history = LbfgsHistory(1, coordinates.size, pairs, np.float64)
    iterations = 0
    with single_threaded_blas():
        while not descent.solved(tolerance):
            if descent.passes >= max_passes:
                raise NotConvergedError(
                    f"logistic regression of {len(problem.y):,} rows with C = {C:g} did not converge: the gradient "
                    f"norm is {descent.gradient_norm:.3g} after {descent.passes:,} passes, expected at most "
                    f"{descent.target_norm(tolerance):.3g}\n  standardize the features, or use a smaller C"
                )
            direction = history.direction(descent.gradient[None])[0]
            if direction @ descent.gradient >= 0:
                history.clear()
                direction = -descent.gradient
            step, change = descent.move_along(direction)
            history.add(step[None], change[None])
            iterations += 1
    return StreamedSolution(descent.solution(iterations), descent.passes)


@dataclass(frozen=True)
class _Coordinates:
    """Coordinates in which the objective curves by about 1 along each direction at the start.

    Attributes:
        basis: eigenvectors of the covariance of the standardized features, shape (d, d), in its columns.
        weight_scale: root of the curvature along each eigenvector for each class, shape (k, d).
        bias_scale: root of the curvature along each bias, shape (k,).
    """

    basis: NDArray[np.float64]
    weight_scale: NDArray[np.float64]
    bias_scale: NDArray[np.float64]

    @classmethod
    def of(cls, problem: StreamedProblem, C: float, covariance: NDArray[np.float64]) -> _Coordinates:
        variance, basis = np.linalg.eigh(covariance)
        totals = problem.totals
        curvature = C * totals * (1 - totals / totals.sum())
        weight_scale = np.sqrt(1 + curvature[:, None] * np.maximum(variance, 0.0)[None])
        return cls(basis, weight_scale, np.sqrt(np.where(curvature > 0, curvature, 1.0)))

    @property
    def size(self) -> int:
        return self.weight_scale.size + self.bias_scale.size

    def of_point(self, weight: NDArray[np.float64], bias: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.concatenate([(weight @ self.basis * self.weight_scale).ravel(), bias * self.bias_scale])

    def point(self, variables: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        weight = variables[: self.weight_scale.size].reshape(self.weight_scale.shape)
        return weight / self.weight_scale @ self.basis.T, variables[self.weight_scale.size :] / self.bias_scale

    def of_gradient(self, weight: NDArray[np.float64], bias: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.concatenate([(weight @ self.basis / self.weight_scale).ravel(), bias / self.bias_scale])


class _Descent:
    """Current point of the descent, in `_Coordinates`."""

    def __init__(self, problem: StreamedProblem, C: float, coordinates: _Coordinates, start: Point | None) -> None:
        self._problem, self._C, self._coordinates = problem, C, coordinates
        totals = problem.totals
        logs = np.log(totals / totals.sum())
        weight = np.zeros(coordinates.weight_scale.shape) if start is None else start.weight[0]
        bias = logs - logs.mean() if start is None else start.bias[0]
        curvature = C * totals * (1 - totals / totals.sum())
        self._bias_norm = np.where(curvature > 0, np.sqrt(curvature / (1 + curvature)), 1.0)  # as `bias_scale` has it
        self._rounding = float(64 * np.finfo(np.float64).eps * np.sqrt(C * totals.sum()))
        self.passes = 0
        self._variables = coordinates.of_point(weight, bias)
        self._evaluated = self._evaluate(self._variables)

    @property
    def gradient(self) -> NDArray[np.float64]:
        """Gradient of the objective in the coordinates."""
        return self._evaluated.gradient

    @property
    def gradient_norm(self) -> float:
        """Norm of the gradient by weights and scaled biases, which bounds the distance to the optimum."""
        by_weight, by_bias = self._evaluated.by_weight, self._evaluated.by_bias / self._bias_norm
        return float(np.sqrt((by_weight**2).sum() + (by_bias**2).sum()))

    def target_norm(self, tolerance: float) -> float:
        """Return the largest norm of the gradient that counts as solved."""
        weight, _ = self._coordinates.point(self._variables)
        return tolerance * float(np.linalg.norm(weight)) + self._rounding

    def solved(self, tolerance: float) -> bool:
        """Return whether the weights are within ``tolerance`` of the optimum."""
        return self.gradient_norm <= self.target_norm(tolerance)

    def solution(self, iterations: int) -> Solution:
        """Return the current point."""
        weight, bias = self._coordinates.point(self._variables)
        return Solution(weight, bias - bias.mean(), self._evaluated.objective, self.gradient_norm, iterations)

    def move_along(self, direction: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Move to a point that fulfills the Wolfe conditions; return the step and the change of the gradient."""
        before = self._evaluated
        slope = float(direction @ before.gradient)
        bracket, length = Bracket(np.array([slope])), 1.0
        noise = 4 * np.finfo(np.float64).eps * abs(before.objective)
        for _ in range(MAX_STEPS):
            after = self._evaluate(self._variables + length * direction)
            change, new_slope = after.objective - before.objective, float(direction @ after.gradient)
            wolfe = change <= SUFFICIENT_DECREASE * length * slope and new_slope >= CURVATURE * slope
            flat = change <= noise and abs(new_slope) <= CURVATURE * abs(slope)
            if wolfe or flat or length > MAX_LENGTH:
                break
            length = bracket.next_length(0, length, new_slope)
        self._variables = self._variables + length * direction
        self._evaluated = after
        return length * direction, after.gradient - before.gradient

    def _evaluate(self, variables: NDArray[np.float64]) -> _Evaluated:
        self.passes += 1
        weight, bias = self._coordinates.point(variables)
        return _Evaluated.of(self._problem.evaluate(weight, bias), self._C, weight, self._coordinates)


@dataclass(frozen=True)
class _Evaluated:
    """Objective and gradient at a point; the gradient also in the coordinates."""

    objective: float
    by_weight: NDArray[np.float64]
    by_bias: NDArray[np.float64]
    gradient: NDArray[np.float64]

    @classmethod
    def of(cls, evaluation: Evaluation, C: float, weight: NDArray[np.float64], coordinates: _Coordinates) -> _Evaluated:
        by_weight, by_bias = C * evaluation.weight + weight, C * evaluation.bias
        objective = C * evaluation.loss + 0.5 * float((weight**2).sum())
        return cls(objective, by_weight, by_bias, coordinates.of_gradient(by_weight, by_bias))
