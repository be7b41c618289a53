"""Losses, residuals and starting points of several problems against SciPy and numerical derivatives."""

import numpy as np
import pytest
from scipy import optimize, special

from regraft.probe.feature_matrix import FeatureMatrix
from regraft.probe.logistic_problems import (
    LogisticProblems,
    Point,
    bias_scale,
    log_probability,
    prior_point,
    softmax,
)

Y = np.array([0, 1, 2, 1, 0, 1, 1])
WEIGHT = np.array([[1.0, 2.0, 0.5, 1.0, 0.0, 3.0, 1.0], [0.0, 1.0, 0.0, 1.0, 4.0, 1.0, 1.0]])


def problems(dtype=np.float64):
    X = np.random.default_rng(0).normal(0, 1, (7, 4)).astype(dtype)
    features = FeatureMatrix(X, np.zeros((2, 4)), np.ones((2, 4)), dtype)
    return LogisticProblems.from_sample_weights(features, Y, WEIGHT, 3)


def test_losses_are_weighted_sums_of_minus_log_softmax():
    logits = np.random.default_rng(1).normal(0, 3, (2, 3, 7))
    loss, _ = problems().loss_and_residual(logits, np.array([0, 1]))
    terms = -special.log_softmax(logits, axis=1)[:, Y, np.arange(7)]
    assert loss == pytest.approx((WEIGHT * terms).sum(axis=1))
    assert log_probability(logits, Y) == pytest.approx(-terms)
    assert softmax(logits) == pytest.approx(special.softmax(logits, axis=-1))


def test_the_residual_is_the_derivative_of_the_loss_by_the_logits():
    logits = np.random.default_rng(1).normal(0, 1, (1, 3, 7))
    _, residual = problems().loss_and_residual(logits, np.array([1]))

    def loss(flat):
        return problems().loss_and_residual(flat.reshape(1, 3, 7), np.array([1]))[0][0]

    assert residual.ravel() == pytest.approx(optimize.approx_fprime(logits.ravel(), loss, 1e-7), abs=1e-5)


def test_the_problems_asked_for_are_the_ones_computed():
    logits = np.random.default_rng(1).normal(0, 1, (2, 3, 7))
    every = problems().loss_and_residual(logits, np.array([0, 1]))
    second = problems().loss_and_residual(logits[1:], np.array([1]))
    assert second[0] == every[0][1:]
    assert np.array_equal(second[1], every[1][1:])


def test_large_logits_neither_overflow_nor_lose_the_loss():
    logits = np.array([[[1000.0] * 7, [0.0] * 7, [-1000.0] * 7]])
    loss, residual = problems().loss_and_residual(logits, np.array([0]))
    assert loss == pytest.approx([WEIGHT[0] @ np.array([0, 1000, 2000, 1000, 0, 1000, 1000])])
    assert np.isfinite(residual).all()
    assert log_probability(logits, Y)[0].tolist() == [0, -1000, -2000, -1000, 0, -1000, -1000]


def test_absent_classes_have_no_logit_and_do_not_disturb_the_loss():
    point = Point(np.random.default_rng(2).normal(0, 1, (2, 3, 4)), np.zeros((2, 3)))
    assert problems().present.tolist() == [[True, True, True], [True, True, False]]
    logits = problems().logits(point)
    assert np.isneginf(logits[1, 2]).all() and np.isfinite(logits[0]).all()
    loss, residual = problems().loss_and_residual(logits, np.array([0, 1]))
    assert np.isfinite(loss).all()
    assert not residual[1, 2, WEIGHT[1] > 0].any()


def test_the_prior_point_is_the_optimum_of_the_biases_alone():
    point = prior_point(problems())
    assert not point.weight.any()
    _, residual = problems().loss_and_residual(problems().logits(point), np.array([0, 1]))
    assert residual.sum(axis=2) == pytest.approx(np.zeros((2, 3)), abs=1e-12)
    shares = softmax(problems().logits(point)[:, :, 0])
    assert shares == pytest.approx(np.array([[1, 7, 0.5], [4, 4, 0]]) / [[8.5], [8]])
    assert point.bias.sum(axis=1) == pytest.approx([0, 0], abs=1e-12)


@pytest.mark.parametrize("C", [1e-4, 1.0, 50.0])
def test_the_objective_curves_alike_along_scaled_biases_and_a_standardized_weight(C):
    point, scale, h = prior_point(problems()), bias_scale(problems(), C), 1e-3

    def loss(i, k, change):
        moved = point.bias.copy()
        moved[i, k] += change
        return problems().loss_and_residual(problems().logits(Point(point.weight, moved)), np.array([0, 1]))[0][i]

    for i, k in ((0, 0), (0, 1), (0, 2), (1, 0)):
        curvature = C * (loss(i, k, h) - 2 * loss(i, k, 0) + loss(i, k, -h)) / h**2
        assert curvature / scale[i, k] ** 2 == pytest.approx(1 + curvature, rel=1e-4)
    assert scale[1, 2] == 1  # an absent class


def test_extrapolation_repeats_the_last_change():
    first = Point(np.full((1, 2, 3), 1.0), np.array([[0.0, 2.0]]))
    second = Point(np.full((1, 2, 3), 1.5), np.array([[1.0, -2.0]]))
    third = second.extrapolated_from(first)
    assert (third.weight == 2.0).all()
    assert third.bias.tolist() == [[2.0, -6.0]]
