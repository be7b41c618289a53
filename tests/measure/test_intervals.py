"""Intervals contain the true value as often as stated."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regraft.measure.intervals import (
    bootstrap_sums,
    mean_interval,
    mean_of_proportions,
    paired_proportions,
    proportion,
    student_t_quantile,
    wilson,
)


def test_wilson_equals_published_figures():
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


@given(st.integers(0, 500), st.integers(1, 500))
def test_wilson_holds_the_share_and_mirrors(successes, n):
    successes = min(successes, n)
    low, high = wilson(successes, n)
    assert 0 <= low <= successes / n <= high <= 1
    assert wilson(n - successes, n) == pytest.approx((1 - high, 1 - low))


def test_a_proportion_of_nothing_is_null():
    assert proportion(0, 0) == {
        "value": None, "n": 0, "interval": None, "why": "there are no photos to measure"
    }  # fmt: skip
    assert wilson(0, 0) == (0.0, 1.0)


def test_the_mean_of_one_proportion_has_its_wilson_interval():
    assert mean_of_proportions([7], [9]) == pytest.approx(wilson(7, 9))


def test_the_mean_of_proportions_holds_the_truth_95_times_of_100():
    draw, truth, n = np.random.default_rng(0), np.array([0.95, 0.7, 0.99, 0.85]), np.array([40, 8, 15, 100])
    held = []
    for _ in range(2000):
        low, high = mean_of_proportions(draw.binomial(n, truth).tolist(), n.tolist())
        held.append(low <= truth.mean() <= high)
    assert 0.93 <= np.mean(held) <= 0.99


def test_paired_proportions_equal_a_published_figure():
    # Newcombe 1998, "Improved confidence intervals for the difference between binomial proportions based on paired
    # data", table II, method 10, first example
    assert paired_proportions(36, 12, 2, 0) == pytest.approx((0.0569, 0.3404), abs=1e-4)
    assert paired_proportions(0, 0, 0, 0) == (-1, 1)


@given(*[st.integers(0, 30)] * 4)
def test_paired_proportions_hold_the_difference_and_mirror(both, first, second, neither):
    n = both + first + second + neither
    low, high = paired_proportions(both, first, second, neither)
    assert low + 1e-9 >= -1
    assert high - 1e-9 <= 1
    if n:
        assert low - 1e-9 <= (first - second) / n <= high + 1e-9
    assert paired_proportions(both, second, first, neither) == pytest.approx((-high, -low))


def test_students_t_equals_scipys():
    stats = pytest.importorskip("scipy.stats", reason="SciPy is what the quantiles are compared with")
    for df in (*range(1, 200), 10**3, 10**6):
        assert student_t_quantile(df) == pytest.approx(stats.t.ppf(0.975, df), abs=1e-3)


@pytest.mark.parametrize("n", [5, 20, 200])
def test_the_interval_of_a_mean_holds_the_truth_of_skewed_values(n):
    draw = np.random.default_rng(n)
    held = []
    for i in range(300):
        low, high = mean_interval(draw.gamma(2.0, 1.0, n), "coverage", i)
        held.append(low <= 2.0 <= high)
    assert np.mean(held) >= (0.88 if n < 20 else 0.90)


def test_few_values_get_wide_intervals():
    assert mean_interval(np.array([1.0]), "few") is None
    assert mean_interval(np.array([1.0, 3.0]), "few") == (1.0, 3.0)


def test_bootstrap_sums_have_the_spread_of_sums():
    values = np.random.default_rng(1).normal(3.0, 2.0, (500, 2))
    sums = bootstrap_sums(values, "spread")
    assert sums.mean(axis=0) == pytest.approx(values.sum(axis=0), rel=0.01)
    assert sums.std(axis=0) == pytest.approx(values.std(axis=0) * math.sqrt(500), rel=0.1)


def test_blocks_of_many_rows_have_the_same_spread():
    values = np.random.default_rng(2).normal(3.0, 0.5, (15_000, 1))  # half of the blocks hold two rows, half one
    sums = bootstrap_sums(values, "blocks")
    assert sums.mean() == pytest.approx(values.sum(), rel=1e-3)
    assert sums.std() == pytest.approx(values.std() * math.sqrt(15_000), rel=0.1)


def test_the_same_key_draws_the_same_samples():
    values = np.arange(30.0)[:, None]
    assert np.array_equal(bootstrap_sums(values, "a", 1), bootstrap_sums(values, "a", 1))
    assert not np.array_equal(bootstrap_sums(values, "a", 1), bootstrap_sums(values, "a", 2))


def test_resampling_is_bounded_in_memory():
    values = np.ones((10_000, 16))
    tracemalloc.start()
    bootstrap_sums(values, "bounded")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 << 20
