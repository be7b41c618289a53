"""What limited-memory BFGS remembers of the curvature, for several problems in lockstep.

Nocedal and Wright 2006, "Numerical Optimization", algorithm 7.4, in the form that needs only inner products of the
remembered vectors (Chen, Wang and Zhou 2014, "Large-scale L-BFGS using MapReduce"): three passes over memory an
iteration, whatever the number of pairs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating[Any]]


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
