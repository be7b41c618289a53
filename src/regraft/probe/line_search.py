"""Line search along one direction for each of several problems at once.

Logits are linear along a line, so a step of any length is evaluated without a product with the features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regraft.probe.feature_matrix import Float
from regraft.probe.logistic_problems import LogisticProblems

SUFFICIENT_DECREASE = 1e-4
"""The constant c1 of the Wolfe conditions."""

CURVATURE = 0.9
"""The constant c2 of the Wolfe conditions."""

MAX_STEPS = 30
"""Maximum number of lengths tried after the first; then the bracket is narrower than rounding."""

MAX_LENGTH = 1e3
"""A length beyond this is accepted as it is, because the next direction will be longer."""


@dataclass
class LineSearchResult:
    """The accepted lengths (p,), and the sums of losses (p,) and residuals (p, k, n) there."""

    length: NDArray[np.float64]
    loss: NDArray[np.float64]
    residual: Float


@dataclass
class LineSearch:
    """The objective of p problems along a line each, starting at the current points.

    Attributes:
        problems: the problems.
        C: weight of the data against the penalty.
        logits: logits at the current points, (p, k, n).
        loss: sums of losses there, (p,).
        logit_change: change of the logits over a length of 1, (p, k, n).
        slope: derivative of the objective by the length there, (p,), negative.
        penalty_slope: derivative of the penalty alone there, (p,).
        penalty_curvature: second derivative of the penalty, (p,).
    """

    problems: LogisticProblems
    C: float
    logits: Float
    loss: NDArray[np.float64]
    logit_change: Float
    slope: NDArray[np.float64]
    penalty_slope: NDArray[np.float64]
    penalty_curvature: NDArray[np.float64]

    def run(self) -> LineSearchResult:
        """Return a length for each problem that fulfills the Wolfe conditions; 1 is tried first.

        The conditions are (3.6) of Nocedal and Wright 2006, "Numerical Optimization": sufficient decrease, and a slope
        of at least 0.9 times the first. Near the optimum the change of the objective is smaller than its rounding
        error. The slope then decides alone: its absolute value must be at most 0.9 times the first.
        """
        noise = 4 * np.finfo(self.logit_change.dtype).eps * self.C * self.loss
        value, slope, at = self._evaluate(np.ones(len(self.slope)), np.arange(len(self.slope)))
        bracket = Bracket(self.slope)
        for _ in range(MAX_STEPS):
            wolfe = (value <= SUFFICIENT_DECREASE * at.length * self.slope) & (slope >= CURVATURE * self.slope)
            flat = (value <= noise) & (np.abs(slope) <= CURVATURE * np.abs(self.slope))
            remaining = np.flatnonzero(~(wolfe | flat | (at.length > MAX_LENGTH)))
            if not len(remaining):
                break
            at.length[remaining] = [
                bracket.next_length(int(i), float(at.length[i]), float(slope[i])) for i in remaining
            ]
            value[remaining], slope[remaining], result = self._evaluate(at.length[remaining], remaining)
            at.loss[remaining], at.residual[remaining] = result.loss, result.residual
        return at

    def _evaluate(
        self, length: NDArray[np.float64], indices: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], LineSearchResult]:
        """Return the change of the objective and its slope at ``length`` in the problems ``indices``."""
        every = len(indices) == len(self.slope)
        start, change = (
            (self.logits, self.logit_change) if every else (self.logits[indices], self.logit_change[indices])
        )
        logits = start + length[:, None, None].astype(change.dtype) * change
        loss, residual = self.problems.loss_and_residual(logits, indices)
        penalty_slope, penalty_curvature = self.penalty_slope[indices], self.penalty_curvature[indices]
        value = self.C * (loss - self.loss[indices]) + length * penalty_slope + 0.5 * length**2 * penalty_curvature
        loss_slope = np.einsum("pkn,pkn->p", residual, change).astype(np.float64)
        slope = self.C * loss_slope + penalty_slope + length * penalty_curvature
        return value, slope, LineSearchResult(length, loss, residual)


class Bracket:
    """An interval for each problem that has the minimum: the slope is negative at its low end, positive at its high.

    The root of the slope is found by the Illinois method (Dowell and Jarratt 1971, https://doi.org/10.1007/BF01934364):
    regula falsi that halves the slope of an end which stays twice.
    """

    def __init__(self, slope: NDArray[np.float64]) -> None:
        self._low, self._low_slope = np.zeros(len(slope)), slope.copy()
        self._high, self._high_slope = np.full(len(slope), np.inf), np.zeros(len(slope))
        self._last_moved = np.zeros(len(slope))  # -1: low end, 1: high end

    def next_length(self, i: int, length: float, slope: float) -> float:
        """Narrow the interval of problem ``i`` by its slope at ``length``; return the length to try next."""
        side = 1 if slope > 0 else -1
        same_side_again = self._last_moved[i] == side
        self._last_moved[i] = side
        secant = self._secant_root(i, length, slope)
        if side == 1:
            self._high[i], self._high_slope[i] = length, slope
            self._low_slope[i] *= 0.5 if same_side_again else 1.0
        else:
            self._low[i], self._low_slope[i] = length, slope
            self._high_slope[i] *= 0.5 if same_side_again else 1.0
        low, high = float(self._low[i]), float(self._high[i])
        if not np.isfinite(high):
            return min(max(secant, 1.5 * length), 10 * length)
        low_slope, high_slope = float(self._low_slope[i]), float(self._high_slope[i])
        return low + (high - low) * min(max(low_slope / (low_slope - high_slope), 0.02), 0.98)

    def _secant_root(self, i: int, length: float, slope: float) -> float:
        """Return the root of the line through the slopes at the low end and at ``length``."""
        rise = slope - float(self._low_slope[i])
        return length - slope * (length - float(self._low[i])) / rise if rise > 0 else np.inf
