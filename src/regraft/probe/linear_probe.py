"""The linear probe: a linear classifier on standardized features, with regularization chosen by cross-validation.

Alain and Bengio 2016, https://arxiv.org/abs/1610.01644. The features are standardized on the rows of each fit, inside
the cross-validation too. At the end the standardization is folded into weight and bias. The out-of-fold figures are
nested: the regularization of the model that predicts a photo was chosen without that photo (Varma and Simon 2006,
https://doi.org/10.1186/1471-2105-7-91).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from regraft.probe.cross_validation import GRID, CrossValidation
from regraft.probe.feature_bounds import FeatureBounds
from regraft.probe.feature_matrix import Float
from regraft.probe.probe_data import DEFAULT_C, ProbeData, predict
from regraft.probe.solver import Solution, check_inputs
from regraft.process import release_freed_memory
from regraft.screen import Bar

SOLVER = "probe1"
"""Version of the solver's arithmetic, part of the key of every cached probe. It changes if the same rows may give other
bits."""

PROBE_STEPS = len(GRID) + 2
"""Steps by which `fit_probe` advances its progress bar."""


@dataclass(frozen=True)
class Probe:
    """A linear classifier of features.

    Attributes:
        weight: shape (k, d), float64, with the standardization folded in.
        bias: shape (k,), float64.
        C: the regularization chosen by cross-validation.
        cv_log_loss: mean log-loss of held-out photos at that C. It is slightly optimistic, because C was chosen by it.
        cv_accuracy: accuracy of held-out photos; after a nested search that of ``oof``.
        cv_accuracy_error: its standard error over groups of photos; infinite for one group. These three are NaN if all
            photos are one group, because none can be held out.
        oof: out-of-fold probabilities of the nested search, shape (n, k), float64, in the order of the given rows. The
            model that predicts a row was fitted and chosen without it. A class that occurs in only one fold gets the
            probability zero there. None without a nested search.
        choice: the choice of C as plain JSON values for the journal.
        solution: the final fit on standardized features: objective, gradient norm, iterations.
        lower: lowest value of each feature at prediction, shape (d,), float32; lower values are raised to it. None for
            the probe of an earlier version, which clips no feature.
        upper: highest value of each feature at prediction, likewise.
    """

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    C: float
    cv_log_loss: float
    cv_accuracy: float
    cv_accuracy_error: float
    oof: NDArray[np.float64] | None
    choice: dict[str, Any] = field(repr=False)
    solution: Solution = field(repr=False)
    lower: NDArray[np.float32] | None = field(repr=False, default=None)
    upper: NDArray[np.float32] | None = field(repr=False, default=None)

    @property
    def bounds(self) -> FeatureBounds | None:
        """Bounds to which features are clipped, or None."""
        return None if self.lower is None or self.upper is None else FeatureBounds(self.lower, self.upper)

    def probabilities(self, X: Float) -> NDArray[np.float64]:
        """Return class probabilities of features: (n, d) -> (n, k), float64."""
        return predict(X, np.arange(len(X)), self.weight, self.bias, self.bounds)


def fit_probe(
    X: Float,
    y: NDArray[np.integer[Any]] | Sequence[int],
    *,
    classes: int,
    groups: Sequence[Hashable] | None = None,
    keys: Sequence[str] | None = None,
    class_weight: Literal["balanced"] | None = None,
    seed: int = 0,
    nested: bool = True,
    bar: Bar | None = None,
) -> Probe:
    """Standardize, choose the regularization by cross-validation, and solve on all rows.

    The same rows give the same bits in any order and on any number of cores.

    Args:
        X: features, shape (n, d), float32 or float64. Large features are converted to float64 in small blocks only.
        y: class of each row, shape (n,), in ``range(classes)``; every class must occur.
        classes: number of classes k.
        groups: group of each row; all rows of a group are in one fold.
        keys: identifier of each row, such as the content hash of its photo; a hash of the features if None. Rows with
            the same key are in one fold.
        class_weight: ``"balanced"`` gives each class the same total weight, in the fits and in the choice.
        seed: another seed gives other folds.
        nested: whether to compute ``oof``.
        bar: progress bar, advanced by `PROBE_STEPS` in total.

    Raises:
        ValueError: a shape or a value is invalid, or a class has no row.
        NotConvergedError: the final fit did not reach its optimum.
    """
    features, labels, _, _ = check_inputs(X, np.asarray(y), classes, None)
    data = ProbeData.sorted_by_key(features, labels, classes, groups, keys, class_weight, seed)
    progress = ProbeProgress(bar)
    validated = data.cross_validate(nested, progress.advance) if data.folds.count > 1 else None
    release_freed_memory()
    progress.advance_to(PROBE_STEPS - 2)
    probe = solved_probe(data, validated, nested=nested, class_weight=class_weight)
    progress.advance_to(PROBE_STEPS)
    return probe


def solved_probe(
    data: ProbeData, validated: CrossValidation | None, *, nested: bool, class_weight: str | None
) -> Probe:
    """Return the probe of all rows of ``data`` at the C that ``validated`` chose, or at `DEFAULT_C`.

    Raises:
        NotConvergedError: the fit did not reach its optimum.
    """
    C = DEFAULT_C if validated is None else validated.choice.C
    solution, weight, bias = data.solve(C, validated)
    choice = {"C": C} if validated is None else validated.as_dict()
    choice |= {"folds": data.folds.count, "searched": 0 if validated is None else validated.rows}
    choice |= {"class_weight": class_weight, "iterations": solution.iterations}
    choice |= {"gradient_norm": float(f"{solution.gradient_norm:.3g}")}
    bounds = data.ranges.bounds()
    figures: tuple[float, float, float, NDArray[np.float64] | None] = (np.nan, np.nan, np.nan, None)
    if validated is not None:
        oof = data.out_of_fold(validated)
        figures = (validated.choice.mean_loss[validated.choice.index], *data.accuracy(oof), oof if nested else None)
    return Probe(weight, bias, C, *figures, choice, solution, bounds.lower, bounds.upper)


class ProbeProgress:
    """A progress bar that is complete at the end even if the path of C ended early."""

    def __init__(self, bar: Bar | None) -> None:
        self._bar, self._done = bar, 0

    def advance(self) -> None:
        """Advance by a step."""
        self.advance_to(self._done + 1)

    def advance_to(self, done: int) -> None:
        """Advance to ``done`` steps in total."""
        if self._bar is not None and done > self._done:
            self._bar.advance(done - self._done)
        self._done = max(done, self._done)
