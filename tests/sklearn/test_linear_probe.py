"""`LinearProbe` of scikit-learn: its own checks of estimators, and the same model as regraft's probe."""

from __future__ import annotations

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn", reason="the extra sklearn is not installed")

from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score  # noqa: E402
from sklearn.utils.estimator_checks import parametrize_with_checks  # noqa: E402

from regraft.probe.linear_probe import fit_probe  # noqa: E402
from regraft.sklearn import LinearProbe  # noqa: E402

ONCE = "means, deviations and folds count each row once, whatever its weight"
EXPECTED_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": ONCE,
}
"""Checks of scikit-learn that fail on purpose, with the reason; docs/scikit-learn.md lists them."""


@parametrize_with_checks([LinearProbe(C=0.1)], expected_failed_checks=lambda estimator: EXPECTED_FAILURES)
def test_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([LinearProbe()], expected_failed_checks=lambda estimator: EXPECTED_FAILURES)
def test_the_checks_of_scikit_learn_where_c_is_chosen(estimator, check):
    check(estimator)


def rows(n=60, seed=0):
    draw = np.random.default_rng(seed)
    y = np.arange(n) % 3
    return draw.normal(size=(n, 6)) + np.eye(6)[y] * 1.5, y


def test_the_model_is_that_of_the_probe():
    X, y = rows()
    names = np.array(["fly", "ant", "bee"])[y]
    ours = fit_probe(X, np.unique(names, return_inverse=True)[1], classes=3, nested=False)
    fitted = LinearProbe().fit(X, names)
    assert list(fitted.classes_) == ["ant", "bee", "fly"]
    assert fitted.C_ == ours.C
    assert np.array_equal(fitted.weight_, ours.weight)
    assert np.allclose(fitted.predict_proba(X), ours.probabilities(X))


def test_a_group_stays_in_one_fold_where_c_is_chosen():
    X, y = rows(30)
    copies, labels, groups = np.repeat(X, 4, axis=0), np.repeat(y, 4), np.repeat(np.arange(30), 4)
    noisy = copies + np.random.default_rng(1).normal(scale=1e-3, size=copies.shape)
    grouped, apart = LinearProbe().fit(noisy, labels, groups=groups), LinearProbe().fit(noisy, labels)
    assert grouped.C_ < apart.C_  # copies on both sides of a fold hide that the model overfits


def test_a_row_of_weight_zero_is_not_used():
    X, y = rows()
    weight = np.ones(len(y))
    weight[50:] = 0
    wrong = y.copy()
    wrong[50:] = 0
    model = LinearProbe(C=0.1).fit(X, wrong, sample_weight=weight)
    assert np.array_equal(model.weight_, LinearProbe(C=0.1).fit(X[:50], y[:50]).weight_)


def test_splitters_and_searches_of_scikit_learn_take_it():
    X, y = rows()
    scores = cross_val_score(LinearProbe(C=0.1), X, y, groups=np.arange(60) // 6, cv=GroupKFold(3))
    assert scores.mean() > 0.5
    search = GridSearchCV(LinearProbe(), {"C": [1e-6, 1e-1]}, cv=3).fit(X, y)
    assert search.best_params_ == {"C": 0.1}


@pytest.mark.parametrize("C", [0, -1.0, float("nan")])
def test_an_invalid_c_is_refused(C):
    X, y = rows()
    with pytest.raises(ValueError, match="C must be a positive number"):
        LinearProbe(C).fit(X, y)


@pytest.mark.parametrize("groups", [[0] * 59, [0] * 61])
def test_groups_need_one_for_each_row(groups):
    X, y = rows()
    with pytest.raises(ValueError, match=f"groups: expected one for each of 60 rows, found {len(groups)}"):
        LinearProbe().fit(X, y, groups=groups)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"Ant": 5.0}, "class_weight: expected classes of y, such as 'ant', 'bee', 'fly'; found 'Ant'"),
        ({0: 5.0}, "class_weight: expected classes of y, such as 'ant', 'bee', 'fly'; found 0"),
        ({"ant": -1.0}, "class_weight: expected numbers of 0 or more, found -1.0 for 'ant'"),
        ({"ant": float("nan")}, "class_weight: expected numbers of 0 or more, found nan for 'ant'"),
        ("Balanced", "class_weight: expected 'balanced', a dict of weights or None, found 'Balanced'"),
    ],
)
def test_class_weights_that_would_not_count_are_refused(weights, message):
    X, y = rows()
    with pytest.raises(ValueError, match=message):
        LinearProbe(C=0.1, class_weight=weights).fit(X, np.array(["fly", "ant", "bee"])[y])
