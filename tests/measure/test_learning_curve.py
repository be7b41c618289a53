"""Expected gains: right where mistakes follow a power law, none where more photos did not help."""

from __future__ import annotations

import numpy as np
import pytest

from regraft.measure.learning_curve import expected_gains

SHARES = (0.25, 0.5, 1.0)


def measured(n, exponent, error):
    """Correctness of n photos of each of two classes after training on each share."""
    luck = np.random.default_rng(0).uniform(size=(2 * n, 1))
    return luck >= error * np.array(SHARES) ** -exponent, np.repeat([0, 1], n)


def test_a_power_law_is_continued():
    right, y = measured(4000, 0.5, 0.1)
    gains = expected_gains(right, y, SHARES, [50, 5000])
    for gain, photos in zip(gains, (50, 5000), strict=True):
        truth = 0.1 * (1 - (photos / (photos + 50)) ** 0.5)
        assert gain.value == pytest.approx(truth, rel=0.1) and gain.interval[0] < truth < gain.interval[1]
        assert gain.n == 4000


def test_few_photos_give_a_wide_interval():
    right, y = measured(20, 0.5, 0.2)
    (gain, _) = expected_gains(right, y, SHARES, [50, 50])
    assert gain.interval[1] - gain.interval[0] > gain.value


def test_no_gain_where_more_photos_did_not_help():
    right, y = measured(2000, 0.0, 0.1)
    assert all(gain.value < 0.01 for gain in expected_gains(right, y, SHARES, [50, 50]))


def test_a_class_without_photos_has_no_gain():
    right, y = measured(20, 0.5, 0.2)
    assert expected_gains(right, y, SHARES, [50, 50, 9, 0])[2:] == [None, None]
