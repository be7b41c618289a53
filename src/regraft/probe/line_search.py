"""How far to go along a line, for several problems at once.

Along a line the logits are linear, so that a step of any length is looked at without a product with the features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regraft.probe.feature_matrix import Float
from regraft.probe.logistic_problems import Problems

LOOKS = 30
"""How many lengths are tried; a bracket is then narrower than any rounding."""

FARTHEST = 1e3
"""A length beyond which the search is content: the next direction will be longer."""


@dataclass
class Landing:
    """Where the search ended: lengths (p,), sums of losses (p,), and residuals (p, k, n)."""

    length: NDArray[np.float64]
    loss: NDArray[np.float64]
    residual: Float


@dataclass
class Line:
    """A line from where each problem stands.

    Attributes:
        problems: the problems.
        C: weight of the data.
        logits: logits where each stands, (p, k, n).
        loss: sums of losses there, (p,).
        along: change of the logits over a length of 1, (p, k, n).
        slope: slope of the objective there, (p,), negative.
        penalty: slope of the penalty alone there, (p,).
        square: how fast that grows with the length, (p,).
    """

    problems: Problems
    C: float
    logits: Float
    loss: NDArray[np.float64]
    along: Float
    slope: NDArray[np.float64]
    penalty: NDArray[np.float64]
    square: NDArray[np.float64]

    def search(self) -> Landing:
        """Return a length for each problem that lowers its objective enough.

        The Wolfe conditions (Nocedal and Wright 2006, "Numerical Optimization", section 3.1), length 1 first. Where the
        change of the objective drowns in rounding, as it does near the optimum, the slope decides alone.
        """
        noise = 4 * np.finfo(self.along.dtype).eps * self.C * self.loss
        value, slope, at = self._look(np.ones(len(self.slope)), np.arange(len(self.slope)))
        bracket = _Bracket(self.slope)
        for _ in range(LOOKS):
            lower = (value <= 1e-4 * at.length * self.slope) & (slope >= 0.9 * self.slope)
            flat = (value <= noise) & (np.abs(slope) <= 0.9 * np.abs(self.slope))
            todo = np.flatnonzero(~(lower | flat | (at.length > FARTHEST)))
            if not len(todo):
                break
            at.length[todo] = [bracket.next(int(i), float(at.length[i]), float(slope[i])) for i in todo]
            value[todo], slope[todo], there = self._look(at.length[todo], todo)
            at.loss[todo], at.residual[todo] = there.loss, there.residual
        return at

    def _look(
        self, length: NDArray[np.float64], which: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], Landing]:
        """Return by how much the objective has changed at ``length`` in the problems ``which``, and its slope."""
        all_of_them = len(which) == len(self.slope)
        near, far = (self.logits, self.along) if all_of_them else (self.logits[which], self.along[which])
        loss, residual = self.problems.evaluate(near + length[:, None, None].astype(far.dtype) * far, which)
        penalty, square = self.penalty[which], self.square[which]
        value = self.C * (loss - self.loss[which]) + length * penalty + 0.5 * length**2 * square
        rise = np.einsum("pkn,pkn->p", residual, far).astype(np.float64)
        return value, self.C * rise + penalty + length * square, Landing(length, loss, residual)


class _Bracket:
    """Where along its line each problem has its minimum: between a length that slopes down and one that slopes up.

    The root of the slope is found by the Illinois method: regula falsi that halves the slope of an end that stays.
    """

    def __init__(self, slope: NDArray[np.float64]) -> None:
        self._low, self._low_slope = np.zeros(len(slope)), slope.copy()
        self._high, self._high_slope = np.full(len(slope), np.inf), np.zeros(len(slope))
        self._last = np.zeros(len(slope))  # which end moved last: -1 low, 1 high

    def next(self, which: int, length: float, slope: float) -> float:
        """Take in the slope at ``length`` of problem ``which``; return the length to try next."""
        side = 1 if slope > 0 else -1
        again = self._last[which] == side
        self._last[which] = side
        ahead = self._ahead(which, length, slope)
        if side == 1:
            self._high[which], self._high_slope[which] = length, slope
            self._low_slope[which] *= 0.5 if again else 1.0
        else:
            self._low[which], self._low_slope[which] = length, slope
            self._high_slope[which] *= 0.5 if again else 1.0
        low, high = float(self._low[which]), float(self._high[which])
        if not np.isfinite(high):
            return min(max(ahead, 1.5 * length), 10 * length)
        steep, rise = float(self._low_slope[which]), float(self._high_slope[which])
        return low + (high - low) * min(max(steep / (steep - rise), 0.02), 0.98)

    def _ahead(self, which: int, length: float, slope: float) -> float:
        """Return where the line through the last two slopes is zero."""
        gain = slope - float(self._low_slope[which])
        return length - slope * (length - float(self._low[which])) / gain if gain > 0 else np.inf
