"""`LinearProbe`: regraft's linear probe as a classifier of scikit-learn."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from regraft.probe.feature_bounds import FeatureBounds
from regraft.probe.feature_matrix import Float
from regraft.probe.logistic_problems import softmax
from regraft.probe.probe_data import DEFAULT_C, ProbeData
from regraft.probe.solver import check_inputs

ClassWeight: TypeAlias = Literal["balanced"] | Mapping[Any, float] | None


class LinearProbe(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Multinomial logistic regression on standardized features, with its regularization chosen by cross-validation.

    The solver of `regraft train --recipe linear-probe`. Features outside the range of the training rows are clipped to
    it. The same rows give the same model in any order.

    Args:
        C: weight of the data against the penalty, a positive number. None to choose it by 5-fold cross-validation on
            the rows of ``fit``: equal rows, and rows of one group, stay in one fold.
        class_weight: ``"balanced"`` gives each class the same total weight; a dict has the weight of each class, and
            those that are missing have 1.
        seed: another seed gives other folds.

    Attributes:
        classes_: the classes, sorted.
        C_: the regularization in use.
        n_features_in_: number of features.
        n_iter_: number of iterations of the solver.
        weight_: shape (k, D), float64, for features that are not standardized; also for two classes with a row for
            each.
        bias_: shape (k,), float64.

    Raises:
        ValueError: an argument, a shape or a value is invalid.
        NotConvergedError: the fit did not reach its optimum.

    Example:
        >>> import numpy as np
        >>> from regraft.sklearn import LinearProbe
        >>> X = np.array([[0.0, 1.0], [0.2, 0.9], [0.1, 1.1], [1.0, 0.0], [0.9, 0.2], [1.1, 0.1]])
        >>> LinearProbe(C=1.0).fit(X, ["ant"] * 3 + ["bee"] * 3).predict([[0.1, 0.9]])
        array(['ant'], dtype='<U3')
    """

    def __init__(self, C: float | None = None, *, class_weight: ClassWeight = None, seed: int = 0) -> None:
        self.C = C
        self.class_weight = class_weight
        self.seed = seed

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> Self:
        """Fit the probe.

        Args:
            X: features, shape (n, D).
            y: class of each row: text, integers or other values that can be sorted.
            sample_weight: weight of each row, shape (n,), not negative; rows of weight zero are not used. The means and
                deviations of the features count each row once.
            groups: group of each row, shape (n,): rows of a group are in one fold where C is chosen.
        """
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32])
        return self.fit_rows(X, y, sample_weight, groups, None)

    def fit_rows(self, X: Float, y: Any, sample_weight: Any, groups: Any, keys: Sequence[str] | None) -> Self:
        """Fit the probe on features that are valid; rows with the same key are in one fold where C is chosen."""
        self.n_features_in_ = X.shape[1]
        check_classification_targets(y)
        weight = _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        balanced = self.class_weight
        if isinstance(balanced, Mapping):
            weight, balanced = weight * _by_class(balanced, np.asarray(y).tolist()), None
        elif balanced not in (None, "balanced"):
            raise ValueError(f"class_weight: expected 'balanced', a dict of weights or None, found {balanced!r}")
        used = np.flatnonzero(weight > 0)
        self.classes_, codes = np.unique(np.asarray(y)[used], return_inverse=True)
        if len(self.classes_) < 2:
            found = f"1 class ({self.classes_[0]!r})" if len(self.classes_) else "0 classes"
            raise ValueError(f"y: at least two classes are needed, found {found} in the rows with a positive weight")
        features, labels, _, k = check_inputs(
            X[used], codes, len(self.classes_), None, 1.0 if self.C is None else self.C
        )
        grouped = None if groups is None else _taken(groups, used, len(X), "groups")
        names = None if keys is None else [keys[row] for row in used.tolist()]
        data = ProbeData.sorted_by_key(features, labels, k, grouped, names, balanced, self.seed)
        self._solve(replace(data, weight=data.weight * weight[used][data.order]))
        return self

    def _solve(self, data: ProbeData) -> None:
        validated = data.cross_validate(nested=False) if self.C is None and data.folds.count > 1 else None
        chosen = DEFAULT_C if validated is None else validated.choice.C
        self.C_ = float(chosen if self.C is None else self.C)
        solution, self.weight_, self.bias_ = data.solve(self.C_, validated)
        bounds = data.ranges.bounds()
        self._lower, self._upper = bounds.lower, bounds.upper
        self.n_iter_ = solution.iterations

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Return the logits, shape (n, k); for two classes that of the second above that of the first, shape (n,)."""
        logits = self._logits(self._checked(X))
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probability of each class, shape (n, k), in the order of ``classes_``."""
        probabilities: NDArray[np.float64] = softmax(self._logits(self._checked(X))).astype(np.float64)
        return probabilities

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable class of each row, shape (n,)."""
        logits = self._logits(self._checked(X))
        predicted: NDArray[Any] = self.classes_[logits.argmax(axis=1)]
        return predicted

    def _checked(self, X: Any) -> Float:
        check_is_fitted(self)
        features: Float = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        return features

    def _logits(self, X: Float) -> NDArray[np.float64]:
        clipped = self.bounds().clip(X)
        logits: NDArray[np.float64] = clipped.astype(np.float64) @ self.weight_.T + self.bias_
        return logits

    def bounds(self) -> FeatureBounds:
        """Return the range of each feature in the rows of `fit`, to which features are clipped."""
        return FeatureBounds(self._lower, self._upper)


def _by_class(weights: Mapping[Any, float], labels: Sequence[Any]) -> NDArray[np.float64]:
    """Return the weight of each label; those that are missing have 1."""
    unknown = [name for name in weights if name not in set(labels)]
    if unknown:
        known = sorted(set(map(repr, labels)))
        raise ValueError(f"class_weight: expected classes of y, such as {', '.join(known[:5])}; found {unknown[0]!r}")
    wrong = [(name, weight) for name, weight in weights.items() if not 0 <= weight < np.inf]
    if wrong:
        raise ValueError(f"class_weight: expected numbers of 0 or more, found {wrong[0][1]!r} for {wrong[0][0]!r}")
    return np.array([weights.get(label, 1.0) for label in labels])


def _taken(values: Any, rows: NDArray[np.int64], count: int, name: str) -> list[Hashable]:
    listed = list(values)
    if len(listed) != count:
        raise ValueError(f"{name}: expected one for each of {count} rows, found {len(listed)}")
    return [listed[row] for row in rows.tolist()]
