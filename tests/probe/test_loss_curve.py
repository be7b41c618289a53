"""The learning curve of a linear probe."""

from __future__ import annotations

import numpy as np
import pytest

from regraft.probe.linear_probe import fit_probe
from regraft.probe.loss_curve import MAX_PHOTOS, CurvePoint, LossCurve, loss_curve


def rows(n, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n)
    X = (rng.normal(size=(n, 20)) + 0.9 * rng.normal(size=(classes, 20))[y]).astype(np.float32)
    return X, y, [f"{k:05}" for k in range(n)]


def test_its_points_are_a_quarter_a_half_and_all_of_the_photos():
    X, y, keys = rows(200)
    probe = fit_probe(X, y, classes=3, keys=keys)
    curve = loss_curve(X, y, probe, classes=3, keys=keys)
    assert [point.photos for point in curve.points] == pytest.approx([50, 100, 200], abs=3)
    assert curve.points[-1].error == pytest.approx(1 - probe.cv_accuracy)
    assert curve.points[0].log_loss > curve.points[-1].log_loss
    assert 0 < curve.slope < 1


def test_the_slope_is_the_fall_of_the_log_loss_when_the_photos_double():
    points = tuple(CurvePoint(photos, 0.1, loss) for photos, loss in ((50, 0.8), (100, 0.4), (200, 0.2)))
    assert LossCurve(points).slope == pytest.approx(0.5)
    assert LossCurve(points[:1]).slope is None


def test_a_share_in_which_a_class_is_missing_is_left_out():
    X, y, keys = rows(60)
    y[:] = np.arange(60) % 2
    y[:2] = 2
    probe = fit_probe(X, y, classes=3, keys=keys)
    assert len(loss_curve(X, y, probe, classes=3, keys=keys).points) < 3


def test_of_many_photos_shares_of_some_are_taken():
    X, y, keys = rows(2 * MAX_PHOTOS + 10)
    probe = fit_probe(X[:, :4], y, classes=3, keys=keys)
    curve = loss_curve(X[:, :4], y, probe, classes=3, keys=keys)
    assert curve.points[1].photos <= MAX_PHOTOS / 2 and curve.points[2].photos == len(y)
