"""A probe on several depths: the scale of the lower blocks is chosen without the photos that measure it."""

from __future__ import annotations

import numpy as np
import pytest

from regraft.probe.depth_probe import DEPTH_STEPS, SCALES, choose_scale, fit_depth_probe
from regraft.probe.linear_probe import fit_probe
from regraft.probe.probe_data import ProbeData
from regraft.probe.scaling import GroupScales, feature_scales

SIZES = (12, 8, 6)


def rows(signal: float, n: int = 120, seed: int = 0):
    """Return features of three groups, and classes; the second group tells the classes apart by ``signal``."""
    draw = np.random.default_rng(seed)
    y = np.arange(n) % 3
    X = draw.standard_normal((n, sum(SIZES)))
    X[:, :3] += 0.4 * np.eye(3)[y]
    X[:, 12:15] += signal * np.eye(3)[y]
    X[:, 12:] *= 1e-3  # the scale of a group does not matter
    return X.astype(np.float32), y, [f"{i:03}" for i in range(n)]


class CountingBar:
    done = 0

    def advance(self, steps: int) -> None:
        self.done += steps


def test_without_a_gain_it_is_the_plain_probe_to_the_bit():
    X, y, keys = rows(signal=0.0)
    found = fit_depth_probe(X, y, sizes=SIZES, classes=3, keys=keys)
    plain = fit_probe(X[:, :12].copy(), y, classes=3, keys=keys)
    assert found.choice["depth_scale"] == 0.0
    assert np.array_equal(found.weight, plain.weight)
    assert np.array_equal(found.bias, plain.bias)
    assert np.array_equal(found.lower, plain.lower)


def test_lower_blocks_that_tell_the_classes_apart_are_used():
    X, y, keys = rows(signal=3.0)
    bar = CountingBar()
    found = fit_depth_probe(X, y, sizes=SIZES, classes=3, keys=keys, bar=bar)
    plain = fit_probe(X[:, :12].copy(), y, classes=3, keys=keys)
    assert bar.done == DEPTH_STEPS
    assert found.choice["depth_scale"] in SCALES[1:]
    assert found.weight.shape == (3, sum(SIZES))
    assert found.cv_accuracy > plain.cv_accuracy + 0.2
    assert (found.oof.argmax(axis=1) == y).mean() == pytest.approx(found.cv_accuracy)
    fresh, labels, _ = rows(signal=3.0, seed=1)
    assert (found.probabilities(fresh).argmax(axis=1) == labels).mean() > 0.9


def test_the_scale_has_the_largest_gain_beyond_two_standard_errors():
    X, y, keys = rows(signal=1.0)
    choice = fit_depth_probe(X, y, sizes=SIZES, classes=3, keys=keys).choice
    path = choice["depth_path"]
    assert [one["scale"] for one in path] == list(SCALES)
    assert path[0]["gain"] == path[0]["standard_error"] == 0.0
    assert path[1]["gain"] == pytest.approx(path[0]["log_loss"] - path[1]["log_loss"], abs=1e-5)
    best = max(path, key=lambda one: one["gain"] - 2 * one["standard_error"])
    assert choice["depth_scale"] == best["scale"] > 0


def test_a_gain_that_may_be_chance_leaves_the_plain_probe():
    draw = np.random.default_rng(0)
    noise = draw.standard_normal((3, 40)) - 0.05
    weight, group = np.ones(40), np.arange(40)
    losses = np.vstack([np.ones(40), 1 + noise * [[1.0], [1.0], [0.01]]])
    losses[3] -= 0.004  # a small gain, and certain
    assert choose_scale(losses, weight, group).index == 3
    losses[3] += 0.004
    assert choose_scale(losses[[0, 1, 2, 1]], weight, group).index == 0
    ignored = np.vstack([losses[0], losses[1] - 5 * (group < 20), losses[2], losses[3]])
    assert choose_scale(ignored, np.where(group < 20, 0.0, 1.0), group).index in (0, 3)


def test_a_photo_out_of_fold_is_predicted_at_a_scale_chosen_without_its_fold():
    X, y, keys = rows(signal=0.4)
    found = fit_depth_probe(X, y, sizes=SIZES, classes=3, keys=keys)
    data = ProbeData.sorted_by_key(X, y, 3, None, keys, None, 0)
    scales = found.choice["nested_depth_scale"]
    assert len(scales) == data.folds.count == 5
    assert len(set(scales)) > 1  # else the test would show nothing
    for fold, scale in enumerate(scales):
        held_out = data.folds.fold_of_row == fold
        wide = X if scale else X[:, :12].copy()
        one = ProbeData.sorted_by_key(wide, y, 3, None, keys, None, 0)
        one.scales = GroupScales(SIZES, (1.0, scale, scale)) if scale else feature_scales
        expected = one.out_of_fold(one.cross_validate(nested=True))[held_out]
        assert np.array_equal(found.oof[held_out], expected)


@pytest.mark.parametrize("fold", [3, 4])
def test_the_photos_of_a_fold_take_no_part_in_the_choice_of_its_scale(fold):
    X, y, keys = rows(signal=0.4)
    held_out = ProbeData.sorted_by_key(X, y, 3, None, keys, None, 0).folds.fold_of_row == fold
    other = X.copy()
    other[held_out] = np.random.default_rng(7).standard_normal((held_out.sum(), sum(SIZES)))
    first, second = (fit_depth_probe(one, y, sizes=SIZES, classes=3, keys=keys) for one in (X, other))
    assert first.choice["nested_depth_scale"][fold] == second.choice["nested_depth_scale"][fold] < 1.0


def test_the_order_of_rows_changes_no_bit():
    X, y, keys = rows(signal=1.0)
    order = np.random.default_rng(2).permutation(len(y))
    first = fit_depth_probe(X, y, sizes=SIZES, classes=3, keys=keys)
    second = fit_depth_probe(X[order], y[order], sizes=SIZES, classes=3, keys=[keys[i] for i in order])
    assert np.array_equal(first.weight, second.weight)
    assert np.array_equal(first.oof[order], second.oof)


@pytest.mark.parametrize(("count", "oof"), [(2, False), (1, True)])
def test_with_two_folds_no_scale_is_chosen(count, oof):
    X, y, _ = rows(signal=3.0, n=12)
    found = fit_depth_probe(X, y, sizes=SIZES, classes=3, groups=[i % count for i in range(12)])
    assert found.choice["depth_scale"] == 0.0
    assert found.weight.shape == (3, 12)
    assert (found.oof is None) == oof


def test_each_group_is_scaled_by_its_own_median_deviation():
    draw = np.random.default_rng(0)
    magnitude, deviation = draw.random((2, 26)), draw.random((2, 26)) * np.repeat([1, 1e-3, 50], SIZES)
    found = GroupScales(SIZES, (1.0, 0.3, 0.1))(magnitude, deviation)
    parts = [slice(0, 12), slice(12, 20), slice(20, 26)]
    for part, factor in zip(parts, (1.0, 0.3, 0.1), strict=True):
        assert np.array_equal(found[:, part], factor * feature_scales(magnitude[:, part], deviation[:, part]))


def test_sizes_must_sum_to_the_features():
    X, y, _ = rows(signal=1.0)
    with pytest.raises(ValueError, match="sizes must sum to the 26 features, but sum to 25"):
        fit_depth_probe(X, y, sizes=(12, 8, 5), classes=3)
