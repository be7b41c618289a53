"""Bounds of features at prediction: the range on the photos of the fit, widened."""

from __future__ import annotations

import numpy as np
import pytest

from regraft.probe.feature_bounds import FoldRanges
from regraft.probe.folds import make_folds
from regraft.probe.linear_probe import fit_probe
from regraft.probe.probe_data import ProbeData


@pytest.fixture(scope="module")
def rows():
    draw = np.random.default_rng(5)
    y = np.arange(60) % 3
    X = draw.standard_t(2, size=(60, 7)).astype(np.float32) + y[:, None]  # a heavy tail: some values are far outside
    X[:, 6] = 4.0
    return X, y


def bounds_of(X):
    lowest, highest = X.min(axis=0).astype(float), X.max(axis=0).astype(float)
    half = (highest - lowest) / 2
    return lowest - 0.5 * half, highest + 0.5 * half


def test_bounds_have_the_center_of_the_range_and_one_and_a_half_times_its_width(rows):
    X, y = rows
    folds = make_folds(y, [str(i) for i in range(60)])
    order = np.arange(60)
    ranges = FoldRanges.of(X, order, folds)
    lower, upper = bounds_of(X)
    assert ranges.bounds().lower == pytest.approx(lower, rel=1e-6)
    assert ranges.bounds().upper == pytest.approx(upper, rel=1e-6)
    for fold in range(folds.count):
        lower, upper = bounds_of(X[folds.fold_of_row != fold])
        assert ranges.bounds(without=fold).lower == pytest.approx(lower, rel=1e-6)
        assert ranges.bounds(without=fold).upper == pytest.approx(upper, rel=1e-6)


def test_a_constant_feature_stays_constant(rows):
    X, y = rows
    probe = fit_probe(X, y, classes=3, nested=False)
    assert probe.lower[6] == probe.upper[6] == 4.0


def test_no_feature_of_the_fit_is_clipped(rows):
    X, y = rows
    probe = fit_probe(X, y, classes=3, nested=False)
    assert np.array_equal(probe.bounds.clip(X), X)


def test_a_feature_far_outside_counts_as_if_it_were_at_its_bound(rows):
    X, y = rows
    probe = fit_probe(X, y, classes=3, nested=False)
    inside, far = X.copy(), X.copy()
    inside[:, 2], far[:, 2] = probe.upper[2], 1000 * probe.upper[2]
    assert np.array_equal(probe.probabilities(far), probe.probabilities(inside))


def test_a_photo_out_of_fold_is_clipped_to_the_range_of_the_other_folds(rows):
    X, y = rows
    keys = [f"{i:02}" for i in range(60)]  # so that sorted rows have the given order
    data = ProbeData.sorted_by_key(X, y, 3, None, keys, None, 0)
    validated = data.cross_validate(nested=True)
    clipped_values = 0
    expected = np.empty((60, 3))
    for fold, outer in enumerate(validated.outer):
        held_out = data.folds.fold_of_row == fold
        features = np.clip(X[held_out], *bounds_of(X[~held_out]))
        clipped_values += int((features != X[held_out]).sum())
        logits = features @ outer.weight.T + outer.bias
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        expected[held_out] = odds / odds.sum(axis=1, keepdims=True)
    assert clipped_values > 0
    assert fit_probe(X, y, classes=3, keys=keys).oof == pytest.approx(expected, rel=1e-4)


def test_the_weights_are_those_without_clipping(rows):
    X, y = rows
    probe = fit_probe(X, y, classes=3, keys=[f"{i:02}" for i in range(60)])
    data = ProbeData.sorted_by_key(X, y, 3, None, [f"{i:02}" for i in range(60)], None, 0)
    _, weight, bias = data.solve(probe.C, data.cross_validate(nested=True))
    assert np.array_equal(probe.weight, weight)
    assert np.array_equal(probe.bias, bias)
