"""The certified threshold: an exact test, a promise that holds over many deals, and near-misses that get none."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from regraft.measure.certified import _chances, certify


def test_chances_are_those_of_the_binomial_distribution():
    mistakes = np.cumsum([0, 0, 1, 0, 1, 1, 0, 0, 0, 1])
    expected = [
        sum(comb(n, i) * 0.1**i * 0.9 ** (n - i) for i in range(x + 1)) for n, x in enumerate(mistakes.tolist(), 1)
    ]
    np.testing.assert_allclose(_chances(mistakes, 0.1), expected, rtol=1e-12)


def test_chances_survive_long_runs_without_a_mistake():
    mistakes = np.cumsum(np.arange(40_000) >= 20_000)
    chance = _chances(mistakes, 0.3)
    assert chance[19_999] < 1e-300 and chance[-1] == pytest.approx(1.0)


def deal(draw, n):
    """Confidences, whether they are right, and the true share of mistakes above a threshold.

    A photo of confidence c is wrong with probability (1 - c)^1.5, and confidences are 1 - u^3.
    """
    u = draw.uniform(size=n)
    return 1 - u**3, draw.uniform(size=n) >= u**4.5


def true_error(threshold):
    """Mean of u^4.5 for u in [0, (1 - threshold)^(1/3)]."""
    return (1 - threshold) ** 1.5 / 5.5


@pytest.mark.parametrize(("n", "max_error"), [(300, 0.05), (900, 0.02), (800, 0.1)])
def test_the_promise_is_broken_in_at_most_one_deal_of_twenty(n, max_error):
    draw = np.random.default_rng(n)
    certificates = [certify(*deal(draw, n), max_error) for _ in range(1000)]
    thresholds = [one.threshold for one in certificates if one.threshold is not None]
    assert len(thresholds) > 700
    assert sum(true_error(threshold) > max_error for threshold in thresholds) <= 50
    assert np.median([one.accepted / n for one in certificates]) > 0.25


def test_a_classifier_that_is_wrong_often_enough_gets_no_threshold():
    draw = np.random.default_rng(0)
    certificate = certify(draw.uniform(0.5, 1, 500), draw.uniform(size=500) > 0.2, 0.05)
    assert certificate.threshold is None and certificate.photos_needed is None


def test_too_few_photos_say_how_many_would_do():
    certificate = certify(np.linspace(0.9, 1, 100), np.ones(100, bool), 0.02)
    assert certificate.threshold is None and 149 <= certificate.photos_needed < 400
    enough = certify(np.linspace(0.9, 1, 149), np.ones(149, bool), 0.02)
    assert (enough.threshold, enough.accepted, enough.mistakes) == (0.0, 149, 0)


def test_photos_of_equal_probability_are_accepted_together():
    confidence, right = np.repeat([0.9, 0.5], [200, 50]), np.repeat([True, False], [200, 50])
    certificate = certify(confidence, right, 0.02)
    assert (certificate.threshold, certificate.accepted) == (pytest.approx(0.7), 200)


def test_invalid_arguments():
    with pytest.raises(ValueError, match="above 0 and below 1, found 1"):
        certify(np.ones(3), np.ones(3, bool), 1)
    with pytest.raises(ValueError, match="one shape"):
        certify(np.ones(3), np.ones(2, bool), 0.1)
