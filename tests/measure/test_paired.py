"""Differences photo by photo."""

import json
import math

import numpy as np
import pytest

from regraft.measure.paired import accuracy_difference, log_loss_difference, paired_gains


def two_classifiers(n, seed=0):
    draw = np.random.default_rng(seed)
    y = draw.integers(0, 3, n)
    easy = draw.normal(0, 2.0, (n, 1)) * np.eye(3)[y]  # how hard a photo is, for both
    logits = [easy + gain * np.eye(3)[y] + draw.normal(0, 0.3, (n, 3)) for gain in (1.0, 1.4)]
    first, second = (np.exp(z) / np.exp(z).sum(1, keepdims=True) for z in logits)
    return first, second, y


def test_a_paired_interval_is_narrower_than_two_separate_ones():
    first, second, y = two_classifiers(400)
    gain = log_loss_difference(first, second, y)
    apart = [-np.log(p[np.arange(400), y]) for p in (first, second)]
    unpaired = math.sqrt(sum(a.var(ddof=1) / 400 for a in apart))
    assert gain.value == pytest.approx(apart[0].mean() - apart[1].mean())
    assert gain.value > 0
    assert gain.interval[0] > 0
    assert gain.standard_error < unpaired / 3


def test_swapping_the_classifiers_changes_the_sign():
    first, second, y = two_classifiers(60)
    for difference in (accuracy_difference, log_loss_difference):
        a, b = difference(first, second, y), difference(second, first, y)
        assert a.value == pytest.approx(-b.value)
        assert a.standard_error == pytest.approx(b.standard_error)
        assert a.interval[0] <= a.value <= a.interval[1]
    assert accuracy_difference(first, first, y).value == 0


def test_one_photo_or_none_has_no_interval():
    p = np.array([[0.9, 0.1]])
    one = log_loss_difference(p, p[:, ::-1], [0])
    assert one.interval is None
    assert one.standard_error == math.inf
    low, high = accuracy_difference(p, p[:, ::-1], [0]).interval
    assert low < 0 < high
    none = log_loss_difference(np.zeros((0, 2)), np.zeros((0, 2)), [])
    assert math.isnan(none.value)
    for difference in (one, none, accuracy_difference(np.zeros((0, 2)), np.zeros((0, 2)), [])):
        json.dumps(difference.as_dict(), allow_nan=False)
    assert none.as_dict()["value"] is None


def test_other_photos_are_refused():
    with pytest.raises(ValueError, match=r"of shape \(2,\)"):
        log_loss_difference(np.full((2, 2), 0.5), np.full((3, 2), 0.5), [0, 1])


def test_paired_gains_are_the_two_differences_with_their_covariance():
    rng = np.random.default_rng(5)
    p, q = (rng.dirichlet(np.ones(3), 400) for _ in range(2))
    y = rng.integers(0, 3, 400)
    mean, covariance = paired_gains(p, q, y)
    accuracy, loss = accuracy_difference(q, p, y), log_loss_difference(p, q, y)
    assert mean == pytest.approx([accuracy.value, loss.value])
    errors = np.sqrt(np.diag(covariance) / 400)
    assert errors == pytest.approx([accuracy.standard_error, loss.standard_error], rel=0.01)
    assert covariance[0, 1] == covariance[1, 0] > 0
