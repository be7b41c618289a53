"""Several multinomial logistic regressions that share their features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.probe.feature_matrix import Float, Rows


@dataclass
class Point:
    """Weights (p, k, d) and biases (p, k) of p problems, float64."""

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    def beyond(self, before: Point) -> Point:
        """Return the point as far beyond this one as this one is from ``before``: a start for the next on a path."""
        return Point(2 * self.weight - before.weight, 2 * self.bias - before.bias)


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

    def logits(self, point: Point) -> Float:
        """Return logits of all rows, (p, k, n); minus infinity for classes that a problem does not know."""
        return self.rows.logits(point.weight, np.where(self.known, point.bias, -np.inf))

    def evaluate(self, logits: Float, which: NDArray[np.int64]) -> tuple[NDArray[np.float64], Float]:
        """Return sums of weighted losses, (p',), and ``weight * (probability - [class is y])``, (p', k, n).

        Args:
            logits: logits of all rows in the problems ``which``, shape (p', k, n).
            which: numbers of those problems, shape (p',).
        """
        weight, at = self.weight[which], np.arange(len(self.y))
        residual: Float = logits - logits.max(axis=1, keepdims=True)
        own = residual[:, self.y, at].astype(np.float64)
        np.exp(residual, out=residual)
        total = residual.sum(axis=1, keepdims=True)
        losses = np.log(total[:, 0].astype(np.float64)) - own
        residual *= weight[:, None, :].astype(residual.dtype) / total
        residual[:, self.y, at] -= weight.astype(residual.dtype)
        return (weight * np.where(weight > 0, losses, 0.0)).sum(axis=1), residual


def class_totals(y: NDArray[np.int64], weight: NDArray[np.float64], classes: int) -> NDArray[np.float64]:
    """Return the total weight of each class in each problem: (n,), (p, n) -> (p, k)."""
    return np.stack([np.bincount(y, row, classes) for row in weight])


def prior(problems: Problems) -> Point:
    """Return the best point without any feature: zero weights, and the log of each class's share as bias."""
    totals, known = problems.totals, problems.known
    logs = np.log(np.where(known, totals / totals.sum(axis=1, keepdims=True), 1.0))
    centre = logs.sum(axis=1, keepdims=True) / np.maximum(known.sum(axis=1, keepdims=True), 1)
    return Point(np.zeros((*totals.shape, problems.rows.d)), np.where(known, logs - centre, 0.0))


def bias_unit(problems: Problems, C: float) -> NDArray[np.float64]:
    """Return what one unit of a bias counts beside one of a weight, shape (p, k).

    A bias is the weight of a feature that is always 1, but is not penalised: with strong regularisation the objective
    curves far less along it. In these units both curve alike.
    """
    totals = problems.totals
    curvature = C * totals * (1 - totals / totals.sum(axis=1, keepdims=True))
    return np.where(problems.known & (curvature > 0), np.sqrt(curvature / (1 + curvature)), 1.0)


def softmax(logits: NDArray[np.floating[Any]]) -> Float:
    """Return probabilities over the last axis, in the precision of ``logits``."""
    out: Float = np.exp(logits - logits.max(axis=-1, keepdims=True))
    out /= out.sum(axis=-1, keepdims=True)
    return out


def log_probability(logits: Float, y: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the log-probability of each row's class: (p, k, n), (n,) -> (p, n), float64."""
    top = logits.max(axis=1)
    own = (logits[:, y, np.arange(len(y))] - top).astype(np.float64)
    total = np.exp(logits - top[:, None, :]).sum(axis=1).astype(np.float64)
    out: NDArray[np.float64] = own - np.log(total)
    return out
