"""Several multinomial logistic regressions that share their features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regraft.probe.feature_matrix import FeatureMatrix, Float


@dataclass
class Point:
    """Weights (p, k, d) and biases (p, k) of p problems, float64."""

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]

    def extrapolated_from(self, previous: Point) -> Point:
        """Return ``self + (self - previous)``, a starting point for the next problem on a path."""
        return Point(2 * self.weight - previous.weight, 2 * self.bias - previous.bias)


@dataclass
class LogisticProblems:
    """p problems over the same n rows: minimize ``C * sum_i sample_weight_i * loss_i + |W|^2 / 2``.

    The bias is not penalized.

    Attributes:
        features: the features, standardized for each problem.
        y: class of each row, shape (n,).
        sample_weight: weight of each row in each problem, shape (p, n); zero for held-out rows.
        present: whether a class has rows with a positive weight, shape (p, k). Absent classes get the probability zero.
    """

    features: FeatureMatrix
    y: NDArray[np.int64]
    sample_weight: NDArray[np.float64]
    present: NDArray[np.bool_]

    @classmethod
    def from_sample_weights(
        cls, features: FeatureMatrix, y: NDArray[np.int64], sample_weight: NDArray[np.float64], classes: int
    ) -> LogisticProblems:
        """Return the problems; the sample weights decide which classes are present in each."""
        return cls(features, y, sample_weight, class_totals(y, sample_weight, classes) > 0)

    @property
    def totals(self) -> NDArray[np.float64]:
        """Total weight of each class in each problem, shape (p, k)."""
        return class_totals(self.y, self.sample_weight, self.present.shape[1])

    def logits(self, point: Point) -> Float:
        """Return logits of all rows, (p, k, n); minus infinity for the absent classes of a problem."""
        return self.features.logits(point.weight, np.where(self.present, point.bias, -np.inf))

    def loss_and_residual(self, logits: Float, indices: NDArray[np.int64]) -> tuple[NDArray[np.float64], Float]:
        """Return the weighted sums of losses, (p',), and ``weight * (probability - [class is y])``, (p', k, n).

        The residual is the gradient of the loss with respect to the logits.

        Args:
            logits: logits of all rows in the problems ``indices``, shape (p', k, n).
            indices: numbers of those problems, shape (p',).
        """
        weight, rows = self.sample_weight[indices], np.arange(len(self.y))
        residual: Float = logits - logits.max(axis=1, keepdims=True)
        true_logit = residual[:, self.y, rows].astype(np.float64)
        np.exp(residual, out=residual)
        total = residual.sum(axis=1, keepdims=True)
        losses = np.log(total[:, 0].astype(np.float64)) - true_logit
        residual *= weight[:, None, :].astype(residual.dtype) / total
        residual[:, self.y, rows] -= weight.astype(residual.dtype)
        return (weight * np.where(weight > 0, losses, 0.0)).sum(axis=1), residual


def class_totals(y: NDArray[np.int64], sample_weight: NDArray[np.float64], classes: int) -> NDArray[np.float64]:
    """Return the total weight of each class in each problem: (n,), (p, n) -> (p, k)."""
    return np.stack([np.bincount(y, row, classes) for row in sample_weight])


def prior_point(problems: LogisticProblems) -> Point:
    """Return the optimum without features: zero weights, and the log of each class's share as bias."""
    totals, present = problems.totals, problems.present
    logs = np.log(np.where(present, totals / totals.sum(axis=1, keepdims=True), 1.0))
    center = logs.sum(axis=1, keepdims=True) / np.maximum(present.sum(axis=1, keepdims=True), 1)
    return Point(np.zeros((*totals.shape, problems.features.d)), np.where(present, logs - center, 0.0))


def bias_scale(problems: LogisticProblems, C: float) -> NDArray[np.float64]:
    """Return the factor s for which the curvature along ``s * bias`` and along the weights is similar, shape (p, k).

    A bias is the weight of a feature that is always 1, but it is not penalized. With strong regularization the
    objective therefore curves far less along a bias than along a weight, which would slow the solver down.
    """
    totals = problems.totals
    curvature = C * totals * (1 - totals / totals.sum(axis=1, keepdims=True))
    return np.where(problems.present & (curvature > 0), np.sqrt(curvature / (1 + curvature)), 1.0)


def softmax(logits: NDArray[np.floating[Any]]) -> Float:
    """Return probabilities over the last axis, in the precision of ``logits``."""
    out: Float = np.exp(logits - logits.max(axis=-1, keepdims=True))
    out /= out.sum(axis=-1, keepdims=True)
    return out


def log_probability(logits: Float, y: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the log-probability of each row's class: (p, k, n), (n,) -> (p, n), float64."""
    largest = logits.max(axis=1)
    true_logit = (logits[:, y, np.arange(len(y))] - largest).astype(np.float64)
    total = np.exp(logits - largest[:, None, :]).sum(axis=1).astype(np.float64)
    out: NDArray[np.float64] = true_logit - np.log(total)
    return out
