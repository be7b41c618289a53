"""Features on one scale, without enlarging those that hardly vary."""

import numpy as np
import pytest

from regraft.probe.scaling import center_features, feature_scales, mean_and_deviation


def features():
    X = np.random.default_rng(0).normal(0, 1, (2500, 6)) * [1, 2, 3, 0.01, 0, 0] + [0, 100, -5, 0, 0, 7.3]
    return X.astype(np.float32)


def test_mean_and_deviation_equal_numpys_on_the_given_rows():
    X, rows = features(), np.random.default_rng(1).permutation(2500)[:2100]
    mean, deviation = mean_and_deviation(X, rows)
    assert mean == pytest.approx(X[rows].mean(0, dtype=np.float64), rel=1e-9)
    assert deviation == pytest.approx(X[rows].std(0, dtype=np.float64), rel=1e-9)


def test_a_feature_is_divided_by_its_deviation_or_by_the_median_one():
    scale = feature_scales(np.zeros((1, 5)), np.array([[1.0, 2.0, 4.0, 8.0, 0.001]]))
    assert scale[0] == pytest.approx([1 / 2, 1 / 2, 1 / 4, 1 / 8, 1 / 2])


def test_constant_features_are_left_out_and_do_not_move_the_median():
    scale = feature_scales(np.array([[3.0, 1e4, 0, 0, 0]]), np.array([[0.0, 1e-3, 1.0, 2.0, 3.0]]))
    assert scale[0] == pytest.approx([0, 0, 1 / 2, 1 / 2, 1 / 3])
    assert not feature_scales(np.ones((2, 3)), np.zeros((2, 3))).any()


def test_centered_features_can_be_converted_back():
    X, rows = features(), np.array([5, 2, 9, 100, 7])
    part = center_features(X, rows)
    assert part.values.dtype == np.float32
    assert part.values * part.unit + part.origin == pytest.approx(X[rows], rel=1e-5)
    assert np.abs(part.values.mean(0)).max() < 1e-6


def test_each_problem_has_its_own_median():
    deviation = np.array([[1.0, 2.0, 3.0], [10.0, 0.1, 0.1]])
    assert feature_scales(np.zeros((2, 3)), deviation) == pytest.approx(np.array([[0.5, 0.5, 1 / 3], [0.1, 10, 10]]))


def test_features_that_vary_alike_are_standardized_as_scikit_learn_does():
    preprocessing = pytest.importorskip("sklearn.preprocessing", reason="what the scaling is compared with")
    X, order = np.random.default_rng(3).normal(5, 2, (3000, 8)), np.arange(3000)
    X = (X - X.mean(0)) / X.std(0) * 2 + 5  # all deviations are the median
    mean, deviation = mean_and_deviation(X, order)
    Z = (X - mean) * feature_scales(mean[None], deviation[None])[0]
    assert pytest.approx(preprocessing.StandardScaler().fit_transform(X), abs=1e-9) == Z
