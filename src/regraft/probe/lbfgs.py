"""Limited-memory BFGS for several logistic regressions in lockstep.

The problems of a cross-validation differ in the rows that count (a weight of zero holds a row out) and in the
standardization that follows from them. In lockstep, one wide matrix product replaces many narrow ones, which is 1.5 to
2.5 times as fast (`docs/probe.md`), and the logits of held-out rows need no extra product. An iteration is one product
with the features forward and one back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.probe.feature_matrix import Float
from regraft.probe.line_search import LineSearch
from regraft.probe.logistic_problems import LogisticProblems, Point, bias_scale


@dataclass
class BatchSolution:
    """The last iterate of p problems.

    Attributes:
        point: weights and biases.
        logits: logits of all rows, (p, k, n).
        loss: weighted sums of the losses, shape (p,).
        gradient_norm: norm of the gradient, with the biases scaled by `bias_scale`, shape (p,).
        target_norm: largest gradient norm that counts as solved, shape (p,).
        iterations: number of iterations.
    """

    point: Point
    logits: Float
    loss: NDArray[np.float64]
    gradient_norm: NDArray[np.float64]
    target_norm: NDArray[np.float64]
    iterations: int

    @property
    def converged(self) -> NDArray[np.bool_]:
        """True if each problem is solved, shape (p,)."""
        return self.gradient_norm <= self.target_norm


def minimize(
    problems: LogisticProblems, C: float, start: Point, history: LbfgsHistory, tolerance: float, max_iterations: int
) -> BatchSolution:
    """Minimize all problems until the weights of each are within ``tolerance`` of its optimum.

    The second derivative of the objective is at least 1 along every weight, so the norm of the gradient bounds the
    distance to the optimum. A problem is solved if this bound is below ``tolerance`` times the norm of its weights.

    Args:
        problems: the problems.
        C: weight of the data against the penalty, as in scikit-learn.
        start: first iterate.
        history: curvature of the same problems found earlier; new pairs are added to it.
        tolerance: relative distance to the optimum.
        max_iterations: iterations after which the result is returned unsolved.
    """
    iterate = _Iterate(problems, C, start)
    iteration = 0
    while True:
        norm, target = np.linalg.norm(iterate.gradient, axis=1), iterate.target_norm(tolerance)
        if iteration >= max_iterations or bool(np.all(norm <= target)):
            return BatchSolution(iterate.point, iterate.logits, iterate.loss, norm, target, iteration)
        direction = history.direction(iterate.gradient)
        if bool((np.einsum("pv,pv->p", direction, iterate.gradient) > 0).any()):
            history.clear()  # not a descent direction, because of rounding or a distant start
            direction = -iterate.gradient
        direction[norm <= 1e-3 * target] = 0  # solved long ago: a further step would be mere rounding error
        history.add(*iterate.step_along(direction))
        iteration += 1


class _Iterate:
    """Current point, logits and gradient; the variables of a problem are one row, with the scaled biases last."""

    def __init__(self, problems: LogisticProblems, C: float, start: Point) -> None:
        self._problems, self._C = problems, C
        self._bias_scale = bias_scale(problems, C)
        self._shape = start.weight.shape
        sample_weight = problems.sample_weight.sum(axis=1)
        self._rounding = 64 * np.finfo(problems.features.dtype).eps * np.sqrt(C * sample_weight)
        self._variables = self._flat(start.weight, start.bias * self._bias_scale)
        self.logits = problems.logits(start)
        self.loss, residual = problems.loss_and_residual(self.logits, np.arange(len(self._bias_scale)))
        self.gradient = self._gradient(residual)

    @property
    def point(self) -> Point:
        return self._point(self._variables)

    def target_norm(self, tolerance: float) -> NDArray[np.float64]:
        _, k, d = self._shape
        weight_norm = np.linalg.norm(self._variables[:, : k * d], axis=1)
        target: NDArray[np.float64] = tolerance * weight_norm + self._rounding
        return target

    def step_along(self, direction: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Move along ``direction``; return the step and the change of the gradient, both (p, v)."""
        weight, change = self.point.weight, self._point(direction)
        logit_change = self._problems.features.logits(change.weight, change.bias)
        slope = np.einsum("pv,pv->p", direction, self.gradient)
        penalty_slope, penalty_curvature = (np.einsum("pkd,pkd->p", a, change.weight) for a in (weight, change.weight))
        search = LineSearch(
            self._problems, self._C, self.logits, self.loss, logit_change, slope, penalty_slope, penalty_curvature
        ).run()
        step = search.length[:, None] * direction
        self._variables = self._variables + step
        self.logits = self.logits + search.length[:, None, None].astype(logit_change.dtype) * logit_change
        self.loss = search.loss
        previous, self.gradient = self.gradient, self._gradient(search.residual)
        return step, self.gradient - previous

    def _gradient(self, residual: Float) -> NDArray[np.float64]:
        weight = self._C * self._problems.features.gradient(residual) + self.point.weight
        return self._flat(weight, self._C * residual.sum(axis=2, dtype=np.float64) / self._bias_scale)

    def _flat(self, weight: NDArray[np.float64], bias: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.concatenate([weight.reshape(len(weight), -1), bias], axis=1)

    def _point(self, variables: NDArray[np.float64]) -> Point:
        p, k, d = self._shape
        return Point(variables[:, : k * d].reshape(p, k, d), variables[:, k * d :] / self._bias_scale)


class LbfgsHistory:
    """The last steps ``s`` and gradient changes ``y`` of p problems with ``size`` variables each.

    The direction is that of Nocedal and Wright 2006, "Numerical Optimization", algorithm 7.4 (two-loop recursion), in
    the form that needs only inner products of the stored vectors (Chen, Wang and Zhou 2014, "Large-scale L-BFGS using
    MapReduce"). It takes three passes over the stored vectors per iteration, for any number of pairs.

    Args:
        problems: number of problems p.
        size: number of variables of a problem.
        max_pairs: number of pairs that are kept; the oldest is replaced.
        dtype: precision of the stored vectors. The direction need not be exact, so float32 costs nothing in problems
            that are solved to three digits.
    """

    def __init__(self, problems: int, size: int, max_pairs: int, dtype: type[np.floating[Any]]) -> None:
        self.max_pairs = max_pairs
        self._vectors: Float = np.zeros((problems, 2 * max_pairs, size), dtype)  # first all s, then all y
        self._products = np.zeros((problems, 2 * max_pairs, 2 * max_pairs))  # inner products of the vectors
        self._valid = np.zeros((problems, max_pairs), dtype=bool)
        self._initial_scale = np.ones(problems)  # (s y) / (y y) of the last pair, (p,)
        self._slots: list[int] = []  # oldest first

    def add(self, s: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        """Store one pair for each problem, both (p, size); a pair without positive curvature is ignored."""
        slot = len(self._slots) if len(self._slots) < self.max_pairs else self._slots.pop(0)
        self._slots.append(slot)
        ss, sy, yy = (np.einsum("pv,pv->p", a, b) for a, b in ((s, s), (s, y), (y, y)))
        valid = np.isfinite(yy) & _positive_curvature(ss, sy, yy)
        pair = np.where(valid[:, None, None], np.stack([s, y], axis=1), 0.0).astype(self._vectors.dtype)
        self._valid[:, slot] = valid
        both = [slot, self.max_pairs + slot]
        self._vectors[:, both] = pair
        products = np.matmul(self._vectors, pair.transpose(0, 2, 1)).astype(np.float64)
        self._products[:, :, both] = products
        self._products[:, both, :] = products.transpose(0, 2, 1)
        self._initial_scale = np.where(valid, sy / np.where(valid, yy, 1.0), self._initial_scale)

    def direction(self, gradient: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return minus the approximate inverse Hessian times ``gradient``: (p, size) -> (p, size)."""
        if not self._slots:
            return -gradient
        m, products = self.max_pairs, self._products
        g = gradient.astype(self._vectors.dtype)
        along = np.matmul(self._vectors, g[:, :, None])[:, :, 0].astype(np.float64)
        # the vector q of the recursion is kept as coefficients: q = coefficients @ vectors + gradient_share * gradient
        coefficients = np.zeros(along.shape)
        gradient_share = np.ones(len(g))
        alpha = np.zeros((len(g), m))
        sy = np.einsum("pii->pi", products[:, :m, m:])
        rho = 1.0 / np.where(self._valid, sy, 1.0)
        for j in reversed(self._slots):
            s_dot_q = np.einsum("pi,pi->p", products[:, j], coefficients) + gradient_share * along[:, j]
            alpha[:, j] = rho[:, j] * s_dot_q
            coefficients[:, m + j] -= alpha[:, j]
        coefficients *= self._initial_scale[:, None]
        gradient_share *= self._initial_scale
        for j in self._slots:
            y_dot_q = np.einsum("pi,pi->p", products[:, m + j], coefficients) + gradient_share * along[:, m + j]
            beta = rho[:, j] * y_dot_q
            coefficients[:, j] += alpha[:, j] - beta
        spanned = np.matmul(coefficients[:, None, :].astype(g.dtype), self._vectors)[:, 0].astype(np.float64)
        out: NDArray[np.float64] = -(spanned + gradient_share[:, None] * gradient)
        return out

    def clear(self) -> None:
        """Remove all pairs."""
        self._slots.clear()
        self._valid[:] = False
        self._vectors[:] = 0
        self._products[:] = 0
        self._initial_scale[:] = 1

    def rescale(self, C_ratio: float, bias_ratio: NDArray[np.float64]) -> None:
        """Convert the pairs to those of the same problems at another C.

        The Hessian is ``C A + I`` in the weights, so at the new C the same step changes the gradient by
        ``C_ratio y - (C_ratio - 1) s``. The biases, which are not penalized, come last.

        Args:
            C_ratio: the new C divided by the old one.
            bias_ratio: the new `bias_scale` divided by the old one, shape (p, k).
        """
        penalized = self._vectors.shape[2] - bias_ratio.shape[1]
        m = self.max_pairs
        s, y = self._vectors[:, :m], self._vectors[:, m:]
        y[:, :, :penalized] *= C_ratio
        y[:, :, :penalized] -= (C_ratio - 1) * s[:, :, :penalized]
        s[:, :, penalized:] *= bias_ratio[:, None, :]
        y[:, :, penalized:] *= C_ratio / bias_ratio[:, None, :]
        self._products = np.matmul(self._vectors, self._vectors.transpose(0, 2, 1)).astype(np.float64)
        quarters = (self._products[:, :m, :m], self._products[:, :m, m:], self._products[:, m:, m:])
        ss, sy, yy = (np.einsum("pii->pi", quarter) for quarter in quarters)
        self._valid &= _positive_curvature(ss, sy, yy)
        keep = np.concatenate([self._valid, self._valid], axis=1)
        self._vectors *= keep[:, :, None]
        self._products *= keep[:, :, None] & keep[:, None, :]
        if self._slots:
            sy, yy, valid = (column[:, self._slots[-1]] for column in (sy, yy, self._valid))
            self._initial_scale = np.where(valid, sy / np.where(valid, yy, 1.0), self._initial_scale)


def _positive_curvature(ss: NDArray[np.float64], sy: NDArray[np.float64], yy: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return whether pairs with these inner products have a curvature ``s y`` well above rounding error."""
    positive: NDArray[np.bool_] = (sy > 1e-10 * np.sqrt(ss * yy)) & (sy > 0)
    return positive
