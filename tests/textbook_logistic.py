"""Multinomial logistic regression written as in a textbook, one problem at a time, for comparison with the solver."""

from __future__ import annotations

import numpy as np

from regraft.probe.feature_matrix import FeatureMatrix
from regraft.probe.logistic_problems import LogisticProblems


class Textbook:
    """One problem: ``C * sum_i w_i * loss_i + |W|^2 / 2`` in the standardized features ``Z``, all in float64."""

    def __init__(self, Z, y, sample_weight, C, classes):
        self.Z, self.y, self.sample_weight, self.C, self.classes = Z, y, sample_weight, C, classes

    def value(self, variables):
        """Return the objective at ``variables``, all weights and then all biases: (k * d + k,)."""
        W, b = self.split(variables)
        total = 0.0
        for z, c, w in zip(self.Z, self.y, self.sample_weight, strict=True):
            if w > 0:
                logits = W @ z + b
                total += w * (np.logaddexp.reduce(logits) - logits[c])
        return self.C * total + 0.5 * (W**2).sum()

    def gradient(self, variables):
        W, b = self.split(variables)
        dW, db = W.copy(), np.zeros_like(b)
        for z, c, w in zip(self.Z, self.y, self.sample_weight, strict=True):
            logits = W @ z + b
            error = np.exp(logits - np.logaddexp.reduce(logits)) - np.eye(self.classes)[c]
            dW += self.C * w * np.outer(error, z)
            db += self.C * w * error
        return np.concatenate([dW.ravel(), db])

    def split(self, variables):
        size = self.classes * self.Z.shape[1]
        return variables[:size].reshape(self.classes, -1), variables[size:]


def problems_of_folds(n=60, d=5, classes=3, folds=4, seed=0, dtype=np.float64):
    """Return problems that each hold out one fold and standardize by the others, and the same as `Textbook` makers."""
    draw = np.random.default_rng(seed)
    y = np.arange(n) % classes
    X = (draw.normal(0, 1, (classes, d))[y] + draw.normal(0, 1, (n, d))) * draw.uniform(0.5, 2, d) + draw.normal(
        0, 1, d
    )
    X = X.astype(dtype)
    fold = draw.permutation(n) % folds
    sample_weight = np.where(fold == np.arange(folds)[:, None], 0.0, draw.uniform(0.5, 1.5, n))
    rest = [X[fold != f].astype(np.float64) for f in range(folds)]
    mean, scale = np.stack([r.mean(0) for r in rest]), np.stack([1 / r.std(0) for r in rest])
    problems = LogisticProblems.from_sample_weights(FeatureMatrix(X, mean, scale, dtype), y, sample_weight, classes)

    def alone(i, C):
        return Textbook((X.astype(np.float64) - mean[i]) * scale[i], y, sample_weight[i], C, classes)

    return problems, alone


def only(problems, i):
    """Return problem ``i`` of several by itself."""
    f = problems.features
    features = FeatureMatrix(f.X, f.mean[i : i + 1], f.scale[i : i + 1], f.dtype)
    weight = problems.sample_weight[i : i + 1]
    return LogisticProblems.from_sample_weights(features, problems.y, weight, problems.present.shape[1])
