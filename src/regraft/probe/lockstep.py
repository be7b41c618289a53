"""Several regressions minimised side by side.

The problems of a cross-validation differ in which photos count (a weight of zero holds a photo out) and in the
standardisation that follows from it. Solved in lockstep they need one wide matrix product where each alone would need
many narrow ones, which is several times faster; and the logits of the photos held out come for free.

The method is limited-memory BFGS. An iteration is one product with the features forward and one back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regraft.probe.line import Line
from regraft.probe.memory import Memory
from regraft.probe.problems import Point, Problems, bias_unit
from regraft.probe.rows import Float


@dataclass
class Solved:
    """Where the minimisation of p problems ended.

    Attributes:
        point: the weights and biases.
        logits: logits of all rows there, (p, k, n).
        loss: weighted sums of the losses there, shape (p,).
        gradient_norm: norm of the gradient in the units of `bias_unit`, shape (p,).
        goal: what that norm had to come down to, shape (p,).
        iterations: how many iterations were run.
    """

    point: Point
    logits: Float
    loss: NDArray[np.float64]
    gradient_norm: NDArray[np.float64]
    goal: NDArray[np.float64]
    iterations: int

    @property
    def converged(self) -> NDArray[np.bool_]:
        """Which problems reached their goal, shape (p,)."""
        return self.gradient_norm <= self.goal


def minimise(problems: Problems, C: float, start: Point, memory: Memory, tol: float, limit: int) -> Solved:
    """Minimise all problems from ``start`` until the weights of each are within ``tol`` of its optimum.

    The objective curves upwards by at least 1 in every weight, so that the norm of the gradient bounds the distance to
    the optimum; a problem is solved where that bound is below ``tol`` times the norm of its weights.

    Args:
        problems: what to minimise.
        C: weight of the data against the penalty, as in scikit-learn.
        start: where to begin.
        memory: curvature found before, of the same problems; it is added to.
        tol: relative distance to the optimum.
        limit: iterations to give up after.
    """
    state = _State(problems, C, start)
    iteration = 0
    while True:
        norm, goal = np.linalg.norm(state.gradient, axis=1), state.goal(tol)
        if iteration >= limit or bool(np.all(norm <= goal)):
            return Solved(state.point, state.logits, state.loss, norm, goal, iteration)
        direction = memory.direction(state.gradient)
        if bool((np.einsum("pv,pv->p", direction, state.gradient) > 0).any()):
            memory.forget()  # it misleads: rounding, or a start far from where it was gathered
            direction = -state.gradient
        direction[norm <= 1e-3 * goal] = 0  # long solved, waiting for others: a step would be made of rounding
        memory.add(*state.move(direction))
        iteration += 1


class _State:
    """A point, its logits and its gradient; all variables of a problem in one row, the biases in their unit."""

    def __init__(self, problems: Problems, C: float, start: Point) -> None:
        self._problems, self._C = problems, C
        self._unit = bias_unit(problems, C)
        self._shape = start.weight.shape
        self._floor = 64 * np.finfo(problems.rows.dtype).eps * np.sqrt(C * problems.weight.sum(axis=1))
        self._variables = self._flat(start.weight, start.bias * self._unit)
        self.logits = problems.logits(start)
        self.loss, residual = problems.evaluate(self.logits, np.arange(len(self._unit)))
        self.gradient = self._gradient(residual)

    @property
    def point(self) -> Point:
        return self._point(self._variables)

    def goal(self, tol: float) -> NDArray[np.float64]:
        _, k, d = self._shape
        reach: NDArray[np.float64] = tol * np.linalg.norm(self._variables[:, : k * d], axis=1) + self._floor
        return reach

    def move(self, direction: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Step along ``direction``; return the step and the change of the gradient, both (p, v)."""
        here, ahead = self.point.weight, self._point(direction)
        along = self._problems.rows.logits(ahead.weight, ahead.bias)
        along *= self._problems.known[:, :, None]
        slope = np.einsum("pv,pv->p", direction, self.gradient)
        penalty, square = (np.einsum("pkd,pkd->p", a, ahead.weight) for a in (here, ahead.weight))
        at = Line(self._problems, self._C, self.logits, self.loss, along, slope, penalty, square).search()
        step = at.length[:, None] * direction
        self._variables = self._variables + step
        self.logits = self.logits + at.length[:, None, None].astype(along.dtype) * along
        self.loss = at.loss
        before, self.gradient = self.gradient, self._gradient(at.residual)
        return step, self.gradient - before

    def _gradient(self, residual: Float) -> NDArray[np.float64]:
        weight = self._C * self._problems.rows.gradient(residual) + self.point.weight
        return self._flat(weight, self._C * residual.sum(axis=2, dtype=np.float64) / self._unit)

    def _flat(self, weight: NDArray[np.float64], bias: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.concatenate([weight.reshape(len(weight), -1), bias], axis=1)

    def _point(self, variables: NDArray[np.float64]) -> Point:
        p, k, d = self._shape
        return Point(variables[:, : k * d].reshape(p, k, d), variables[:, k * d :] / self._unit)
