"""The streamed solver reaches the optimum of the solver in memory, with any number of threads."""

from __future__ import annotations

import numpy as np
import pytest

from regraft.probe import probe_data, streamed_problem
from regraft.probe.feature_matrix import FeatureMatrix
from regraft.probe.linear_probe import fit_probe
from regraft.probe.logistic_problems import LogisticProblems, softmax
from regraft.probe.scaling import feature_scales
from regraft.probe.solver import NotConvergedError, solve
from regraft.probe.streamed_problem import ArrayRows, StreamedProblem, moments_of
from regraft.probe.streamed_solver import solve_streamed


def correlated(n, d, k, seed=0):
    """Return features with the spectrum and the offset of frozen features, and classes that they hardly tell apart."""
    draw = np.random.default_rng(seed)
    mixing = draw.standard_normal((d, d)) * (1 + np.arange(d)) ** -0.7
    y = draw.integers(0, k, n)
    y[:k] = np.arange(k)
    X = (draw.standard_normal((n, d)) + 0.7 * np.eye(k, d)[y]) @ mixing + 3 * draw.standard_normal(d) + 20
    return X.astype(np.float32), y


def problem_of(X, y, k, weight=None, threads=1):
    rows = ArrayRows(X)
    moments = moments_of(rows, threads)
    scale = feature_scales(moments.mean[None], moments.deviation[None])[0]
    weights = np.ones(len(y)) if weight is None else weight
    return StreamedProblem(rows, y, weights, k, moments.mean, scale, threads), moments.covariance


def in_memory(problem, C):
    X = problem.rows.values
    matrix = FeatureMatrix(X, problem.mean[None], problem.scale[None], np.float64)
    weights = problem.sample_weight[None]
    return solve(LogisticProblems.from_sample_weights(matrix, problem.y, weights, problem.classes), C, None)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(streamed_problem, "ROWS", 70)


@pytest.mark.parametrize(("C", "weighted"), [(1e-4, False), (1e-2, True), (1.0, False)])
def test_the_optimum_is_that_of_the_solver_in_memory_in_about_as_many_passes(C, weighted):
    X, y = correlated(700, 24, 4)
    weight = np.random.default_rng(1).uniform(0.2, 3, len(y)) if weighted else None
    problem, covariance = problem_of(X, y, 4, weight)
    expected, found = in_memory(problem, C), solve_streamed(problem, C, covariance)
    assert abs(found.solution.objective - expected.objective) <= 1e-9 * expected.objective
    Z = (X - problem.mean) * problem.scale
    p, q = (softmax(Z @ s.weight.T + s.bias) for s in (expected, found.solution))
    assert np.abs(p - q).max() < 1e-6
    assert found.passes <= 1.25 * expected.iterations + 3


def test_any_number_of_threads_gives_the_same_bits():
    X, y = correlated(500, 10, 3)
    one, three = (solve_streamed(*reversed_arguments(problem_of(X, y, 3, threads=t))) for t in (1, 3))
    assert one.solution.weight.tobytes() == three.solution.weight.tobytes() and one.passes == three.passes


def reversed_arguments(problem_and_covariance):
    problem, covariance = problem_and_covariance
    return problem, 0.1, covariance


def test_mean_and_covariance_are_exact_for_features_far_from_zero():
    X, _ = correlated(600, 8, 3)
    X += 1000
    moments = moments_of(ArrayRows(X), 2)
    exact = X.astype(np.float64)
    np.testing.assert_allclose(moments.mean, exact.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(moments.covariance, np.cov(exact.T, bias=True), rtol=1e-7, atol=1e-9)


def test_a_constant_feature_is_removed():
    X, y = correlated(300, 6, 3)
    X[:, 2] = 7.25
    problem, covariance = problem_of(X, y, 3)
    assert problem.scale[2] == 0
    assert np.abs(solve_streamed(problem, 0.1, covariance).solution.weight[:, 2]).max() < 1e-20


def test_it_gives_up_with_a_message():
    X, y = correlated(300, 6, 3)
    problem, covariance = problem_of(X, y, 3)
    with pytest.raises(
        NotConvergedError, match=r"300 rows with C = 1 did not converge: the gradient norm is .* after 2 "
    ):
        solve_streamed(problem, 1.0, covariance, max_passes=2)


def test_the_probe_of_large_features_is_streamed_and_is_the_same_classifier(monkeypatch):
    class_weight = "balanced"
    X, y = correlated(240, 12, 3, seed=3)
    plain = fit_probe(X, y, classes=3, class_weight=class_weight)
    monkeypatch.setattr(probe_data, "STREAMED_BYTES", X.nbytes)
    streamed = fit_probe(X, y, classes=3, class_weight=class_weight)
    assert streamed.C == plain.C and streamed.cv_accuracy == plain.cv_accuracy
    assert np.abs(streamed.probabilities(X) - plain.probabilities(X)).max() < 1e-6
    monkeypatch.setattr(probe_data, "solve", None)
    assert (
        fit_probe(X[::-1], y[::-1], classes=3, class_weight=class_weight).weight.tobytes() == streamed.weight.tobytes()
    )
