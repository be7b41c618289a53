"""Several multinomial logistic regressions that share their features, minimised side by side.

The problems of a cross-validation differ in which photos count (a weight of zero holds a photo out) and in the
standardisation that follows from it. Solved in lockstep they need one wide matrix product where each alone would need
many narrow ones, which is several times faster; and the logits of the photos held out come for free.

The method is limited-memory BFGS with a line search on the logits. Along a line the logits are linear, so that any step
costs no product: an iteration is one product forward and one back. The search looks at slopes only. They say the same
as values for a convex function, and stay exact where the difference of two values would drown in rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.probe.memory import Memory
from regraft.probe.rows import Rows

Float = NDArray[np.floating[Any]]


@dataclass
class Problems:
    """p problems over the same n rows: minimise ``C * sum_i weight_i * loss_i + |W|^2 / 2``; the bias is free.

    Attributes:
        rows: the features, standardised for each problem.
        y: class of each row, shape (n,).
        weight: what each row counts in each problem, shape (p, n); zero where it is held out.
        known: classes that have a row that counts, shape (p, k); the others get the probability zero.
    """

    rows: Rows
    y: NDArray[np.int64]
    weight: NDArray[np.float64]
    known: NDArray[np.bool_]

    @classmethod
    def of(cls, rows: Rows, y: NDArray[np.int64], weight: NDArray[np.float64], classes: int) -> Problems:
        """Make the problems; which classes each of them knows follows from the weights."""
        return cls(rows, y, weight, class_totals(y, weight, classes) > 0)

    @property
    def totals(self) -> NDArray[np.float64]:
        """Total weight of each class in each problem, shape (p, k)."""
        return class_totals(self.y, self.weight, self.known.shape[1])

    def logits(self, weight: NDArray[np.float64], bias: NDArray[np.float64]) -> Float:
        """Return logits of all rows, (p, k, n); minus infinity for classes that a problem does not know."""
        return self.rows.logits(weight, np.where(self.known, bias, -np.inf))

    def residual(self, logits: Float, which: NDArray[np.int64] | slice = slice(None)) -> Float:
        """Return ``weight * (probability - [class is y])`` at ``logits`` of the problems ``which``: (p, k, n)."""
        out = softmax(logits)
        out[:, self.y, np.arange(len(self.y))] -= 1
        out *= self.weight[which, None, :].astype(out.dtype)
        return out

    def loss(self, logits: Float) -> NDArray[np.float64]:
        """Return the weighted sum of losses of each problem, shape (p,), float64."""
        losses = -log_probability(logits, self.y)
        return np.where(self.weight > 0, self.weight * losses, 0.0).sum(axis=1)


@dataclass
class Point:
    """Weights (p, k, d) and biases (p, k) of p problems, float64."""

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    def toward(self, before: Point) -> Point:
        """Return the point as far beyond this one as this one is from ``before``: a start for the next on a path."""
        return Point(2 * self.weight - before.weight, 2 * self.bias - before.bias)


@dataclass
class Solved:
    """Where the minimisation of p problems ended.

    Attributes:
        point: the weights and biases.
        logits: logits of all rows there, (p, k, n).
        gradient_norm: norm of the gradient, the bias scaled to unit curvature, shape (p,).
        goal: what that norm had to come down to, shape (p,).
        iterations: how many iterations were run.
    """

    point: Point
    logits: Float
    gradient_norm: NDArray[np.float64]
    goal: NDArray[np.float64]
    iterations: int

    @property
    def converged(self) -> NDArray[np.bool_]:
        """Which problems reached their goal, shape (p,)."""
        return self.gradient_norm <= self.goal


def class_totals(y: NDArray[np.int64], weight: NDArray[np.float64], classes: int) -> NDArray[np.float64]:
    """Return the total weight of each class in each problem: (n,), (p, n) -> (p, k)."""
    return np.stack([np.bincount(y, row, classes) for row in weight])


def softmax(logits: Float) -> Float:
    """Return probabilities over axis 1 of (p, k, n) logits, in their precision."""
    out: Float = logits - logits.max(axis=1, keepdims=True)
    np.exp(out, out=out)
    out /= out.sum(axis=1, keepdims=True)
    return out


def log_probability(logits: Float, y: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the log-probability of each row's class: (p, k, n), (n,) -> (p, n), float64."""
    top = logits.max(axis=1)
    own = (logits[:, y, np.arange(len(y))] - top).astype(np.float64)
    total = np.exp(logits - top[:, None, :]).sum(axis=1).astype(np.float64)
    out: NDArray[np.float64] = own - np.log(total)
    return out


def prior(problems: Problems) -> Point:
    """Return the best point without any feature: zero weights, and the log of each class's share as bias."""
    totals = problems.totals
    logs = np.log(np.where(problems.known, totals / totals.sum(axis=1, keepdims=True), 1.0))
    bias = np.where(problems.known, logs - logs.sum(1, keepdims=True) / problems.known.sum(1, keepdims=True), 0.0)
    p, k = totals.shape
    return Point(np.zeros((p, k, problems.rows.d)), bias)


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
    for iteration in range(limit + 1):
        norm, goal = np.linalg.norm(state.gradient, axis=1), state.goal(tol)
        if iteration == limit or bool(np.all(norm <= goal)):
            break
        direction = memory.direction(state.gradient)
        uphill = np.einsum("pv,pv->p", direction, state.gradient) >= 0
        if uphill.any():  # the memory misleads: rounding, or a start far from where it was gathered
            memory.forget()
            direction = -state.gradient
        step, change = state.move(direction)
        memory.add(step, change)
    return Solved(state.point, state.logits, norm, goal, iteration)


class _State:
    """A point, its logits and its gradient, all variables of a problem in one row, the biases scaled."""

    def __init__(self, problems: Problems, C: float, start: Point) -> None:
        self._problems, self._C = problems, C
        totals = problems.totals
        whole = totals.sum(axis=1, keepdims=True)
        curvature = C * totals * (1 - totals / whole)
        self._unit = np.sqrt(np.where(problems.known & (curvature > 0), curvature, 1.0))  # of the biases
        self._shape = start.weight.shape
        self._floor = 64 * np.finfo(problems.rows.dtype).eps * np.sqrt(C * whole[:, 0])
        self.variables = self._flat(start.weight, start.bias * self._unit)
        self.logits = problems.logits(start.weight, start.bias)
        self.gradient = self._gradient(problems.residual(self.logits))

    @property
    def point(self) -> Point:
        return self._point(self.variables)

    def goal(self, tol: float) -> NDArray[np.float64]:
        _, k, d = self._shape
        reach: NDArray[np.float64] = tol * np.linalg.norm(self.variables[:, : k * d], axis=1) + self._floor
        return reach

    def move(self, direction: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Step along ``direction`` as far as pays; return the step and the change of the gradient, both (p, v)."""
        ahead = self._point(direction)
        along = self._problems.rows.logits(ahead.weight, ahead.bias)
        along *= self._problems.known[:, :, None]
        slope = np.einsum("pv,pv->p", direction, self.gradient)
        length, residual = self._search(along, ahead.weight, slope)
        step = length[:, None] * direction
        self.variables = self.variables + step
        self.logits = self.logits + length[:, None, None].astype(along.dtype) * along
        before, self.gradient = self.gradient, self._gradient(residual)
        return step, self.gradient - before

    def _search(
        self, along: Float, ahead: NDArray[np.float64], slope: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], Float]:
        """Return how far to go, (p,), so that little slope is left, and the residuals there."""
        here = self.point.weight
        linear, square = (np.einsum("pkd,pkd->p", a, ahead) for a in (here, ahead))

        def look(length: NDArray[np.float64], which: NDArray[np.int64]) -> tuple[Float, NDArray[np.float64]]:
            whole = len(which) == len(slope)
            near, far = (self.logits, along) if whole else (self.logits[which], along[which])
            residual = self._problems.residual(near + length[:, None, None].astype(far.dtype) * far, which)
            rise = np.einsum("pkn,pkn->p", residual, far).astype(np.float64)
            return residual, self._C * rise + linear[which] + length * square[which]

        length = np.ones(len(slope))
        residual, now = look(length, np.arange(len(slope)))
        bracket = _Bracket(slope)
        for _ in range(30):
            todo = np.flatnonzero((now > -0.5 * slope) | (now < 0.9 * slope))
            if not len(todo):
                break
            length[todo] = bracket.next(todo, length[todo], now[todo])
            residual[todo], now[todo] = look(length[todo], todo)
        return length, residual

    def _gradient(self, residual: Float) -> NDArray[np.float64]:
        weight = self._C * self._problems.rows.gradient(residual) + self.point.weight
        return self._flat(weight, self._C * residual.sum(axis=2, dtype=np.float64) / self._unit)

    def _flat(self, weight: NDArray[np.float64], bias: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.concatenate([weight.reshape(len(weight), -1), bias], axis=1)

    def _point(self, variables: NDArray[np.float64]) -> Point:
        p, k, d = self._shape
        return Point(variables[:, : k * d].reshape(p, k, d), variables[:, k * d :] / self._unit)


class _Bracket:
    """Where along its line each problem has its minimum: between a length that slopes down and one that slopes up."""

    def __init__(self, slope: NDArray[np.float64]) -> None:
        self._low, self._low_slope = np.zeros(len(slope)), slope.copy()
        self._high, self._high_slope = np.full(len(slope), np.inf), np.zeros(len(slope))

    def next(
        self, which: NDArray[np.int64], length: NDArray[np.float64], slope: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Take in the slope at ``length`` of the problems ``which``; return the lengths to try next."""
        up = slope > 0
        self._high[which[up]], self._high_slope[which[up]] = length[up], slope[up]
        out = np.empty(len(which))
        for i, w in enumerate(which):
            low, steep = self._low[w], self._low_slope[w]
            if not up[i]:
                gain = slope[i] - steep
                ahead = (length[i] - low) * -slope[i] / gain if gain > 0 else np.inf
                self._low[w], self._low_slope[w] = length[i], slope[i]
                low, steep = length[i], slope[i]
                out[i] = length[i] + min(max(ahead, 0.5 * length[i]), 9 * length[i])
            if np.isfinite(self._high[w]):
                width = self._high[w] - low
                share = steep / (steep - self._high_slope[w])
                out[i] = low + width * min(max(share, 0.1), 0.9)
        return out
