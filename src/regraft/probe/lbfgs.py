"""Several regressions minimised side by side.

The problems of a cross-validation differ in which photos count (a weight of zero holds a photo out) and in the
standardisation that follows from it. Solved in lockstep they need one wide matrix product where each alone would need
many narrow ones, which is several times faster; and the logits of the photos held out come for free.

The method is limited-memory BFGS. An iteration is one product with the features forward and one back.

What limited-memory BFGS remembers of the curvature, for several problems in lockstep.

Nocedal and Wright 2006, "Numerical Optimization", algorithm 7.4, in the form that needs only inner products of the
remembered vectors (Chen, Wang and Zhou 2014, "Large-scale L-BFGS using MapReduce"): three passes over memory an
iteration, whatever the number of pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.probe.feature_matrix import Float
from regraft.probe.line_search import Line
from regraft.probe.logistic_problems import Point, Problems, bias_unit


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


class Memory:
    """The last steps ``s`` and changes of the gradient ``y = H s`` of p problems with ``size`` variables each.

    Args:
        problems: number of problems p.
        size: variables of a problem.
        pairs: how many pairs are remembered.
        dtype: precision they are kept in. The direction only has to be a good one, so float32 loses nothing in
            problems that are solved to three digits.
    """

    def __init__(self, problems: int, size: int, pairs: int, dtype: type[np.floating[Any]]) -> None:
        self.pairs = pairs
        self._basis: Float = np.zeros((problems, 2 * pairs, size), dtype)  # first all s, then all y
        self._inner = np.zeros((problems, 2 * pairs, 2 * pairs))
        self._valid = np.zeros((problems, pairs), dtype=bool)
        self._scale = np.ones(problems)
        self._order: list[int] = []  # slots, oldest first

    def add(self, s: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        """Remember one pair for each problem, both (p, size); a pair without positive curvature is left out."""
        slot = len(self._order) if len(self._order) < self.pairs else self._order.pop(0)
        self._order.append(slot)
        sy, ss, yy = (np.einsum("pv,pv->p", a, b) for a, b in ((s, y), (s, s), (y, y)))
        valid = np.isfinite(yy) & (sy > 1e-10 * np.sqrt(ss * yy)) & (sy > 0)
        both = np.where(valid[:, None, None], np.stack([s, y], axis=1), 0.0).astype(self._basis.dtype)
        self._valid[:, slot] = valid
        places = [slot, self.pairs + slot]
        self._basis[:, places] = both
        inner = np.matmul(self._basis, both.transpose(0, 2, 1)).astype(np.float64)
        self._inner[:, :, places] = inner
        self._inner[:, places, :] = inner.transpose(0, 2, 1)
        self._scale = np.where(valid, sy / np.where(valid, yy, 1.0), self._scale)

    def direction(self, gradient: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return minus the approximate inverse Hessian times ``gradient``: (p, size) -> (p, size)."""
        if not self._order:
            return -gradient
        m, inner = self.pairs, self._inner
        g = gradient.astype(self._basis.dtype)
        along = np.matmul(self._basis, g[:, :, None])[:, :, 0].astype(np.float64)
        part = np.zeros(along.shape)  # q = sum of part * basis + own * gradient
        own = np.ones(len(g))
        steps = np.zeros((len(g), m))
        curvature = np.einsum("pii->pi", inner[:, :m, m:])
        weight = self._valid / np.where(self._valid, curvature, 1.0)
        for j in reversed(self._order):
            steps[:, j] = weight[:, j] * (np.einsum("pi,pi->p", inner[:, j], part) + own * along[:, j])
            part[:, m + j] -= steps[:, j]
        part *= self._scale[:, None]
        own *= self._scale
        for j in self._order:
            back = weight[:, j] * (np.einsum("pi,pi->p", inner[:, m + j], part) + own * along[:, m + j])
            part[:, j] += steps[:, j] - back
        spanned = np.matmul(part[:, None, :].astype(g.dtype), self._basis)[:, 0].astype(np.float64)
        out: NDArray[np.float64] = -(spanned + own[:, None] * gradient)
        return out

    def forget(self) -> None:
        """Start again without any pair."""
        self._order.clear()
        self._valid[:] = False
        self._basis[:] = 0
        self._inner[:] = 0
        self._scale[:] = 1

    def rescale(self, ratio: float, stretch: NDArray[np.float64]) -> None:
        """Carry the pairs over to problems whose data term weighs ``ratio`` times as much.

        The Hessian is ``C A + I`` in the weights, so that ``y' = ratio y - (ratio - 1) s`` is the change of gradient
        that the same step would now cause. The biases, which are not penalised, come last.

        Args:
            ratio: the new C by the old one.
            stretch: the new unit of each bias by the old one, shape (p, k).
        """
        penalised = self._basis.shape[2] - stretch.shape[1]
        m = self.pairs
        s, y = self._basis[:, :m], self._basis[:, m:]
        y[:, :, :penalised] *= ratio
        y[:, :, :penalised] -= (ratio - 1) * s[:, :, :penalised]
        s[:, :, penalised:] *= stretch[:, None, :]
        y[:, :, penalised:] *= ratio / stretch[:, None, :]
        self._inner = np.matmul(self._basis, self._basis.transpose(0, 2, 1)).astype(np.float64)
        ss, sy, yy = (np.einsum("pii->pi", self._inner[:, a, b]) for a, b in _quarters(m))
        self._valid &= (sy > 1e-10 * np.sqrt(ss * yy)) & (sy > 0)
        keep = np.concatenate([self._valid, self._valid], axis=1)
        self._basis *= keep[:, :, None]
        self._inner *= keep[:, :, None] & keep[:, None, :]
        if self._order:
            sy, yy, valid = (part[:, self._order[-1]] for part in (sy, yy, self._valid))
            self._scale = np.where(valid, sy / np.where(valid, yy, 1.0), self._scale)


def _quarters(m: int) -> list[tuple[slice, slice]]:
    first, second = slice(0, m), slice(m, 2 * m)
    return [(first, first), (first, second), (second, second)]
