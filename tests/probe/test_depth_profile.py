"""The depth profile: what each depth explains, out of fold."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from regraft.probe.depth_profile import PENALTIES, depth_profile
from regraft.probe.folds import make_folds

KEYS = [f"{n:04}" for n in range(120)]


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, len(KEYS))
    signal = np.eye(3)[y]
    return y, [np.hstack([strength * signal, rng.normal(size=(len(y), 12))]) for strength in (0.3, 1.0, 2.0)]


def test_it_is_ridge_regression_on_the_labels_out_of_fold(rows):
    y, (_, X, top) = rows
    profile = depth_profile([X, top], y, classes=3, keys=KEYS)
    fold = make_folds(y, KEYS).fold_of_row
    deviation = X.std(axis=0)
    Z, targets = (X - X.mean(axis=0)) / np.maximum(deviation, np.median(deviation)), np.eye(3)[y]
    wrong = []
    for penalty in PENALTIES:
        errors = total = 0.0
        for number in range(5):
            fitted, held_out = fold != number, fold == number
            mean = targets[fitted].mean(axis=0)
            size = (Z[fitted] ** 2).sum()
            model = Ridge(alpha=penalty * size, fit_intercept=False).fit(Z[fitted], targets[fitted] - mean)
            errors += ((targets[held_out] - mean - model.predict(Z[held_out])) ** 2).sum()
            total += ((targets[held_out] - mean) ** 2).sum()
        wrong.append(errors / total)
    assert profile.explained[0] == pytest.approx(1 - min(wrong), abs=1e-9)


def test_the_lead_is_positive_where_the_top_knows_most_and_negative_where_a_lower_block_does(rows):
    y, depths = rows
    alike, unlike = (depth_profile(some, y, classes=3, keys=KEYS) for some in (depths, depths[::-1]))
    assert alike.lead_of_top > 0.05 and alike.best_lower == 1
    assert unlike.lead_of_top < -0.05 and unlike.best_lower == 0


def test_lower_blocks_that_know_something_else_add_to_the_top():
    rng = np.random.default_rng(1)
    y = rng.integers(0, 4, len(KEYS))
    first, second = np.eye(2)[y % 2], np.eye(2)[y // 2]
    noise = [rng.normal(size=(len(y), 6)) for _ in range(2)]
    profile = depth_profile([np.hstack([second, noise[0]]), np.hstack([first, noise[1]])], y, classes=4, keys=KEYS)
    nothing = depth_profile([rng.normal(size=(len(y), 6)), np.hstack([first, noise[1]])], y, classes=4, keys=KEYS)
    assert profile.added_by_lower > 0.2 and nothing.added_by_lower < 0.05


def test_photos_of_a_group_are_not_evidence_for_each_other():
    rng = np.random.default_rng(2)
    y = np.repeat(rng.integers(0, 2, 30), 4)
    X = np.repeat(rng.normal(size=(30, 40)), 4, axis=0)
    groups = np.repeat(np.arange(30), 4).tolist()
    leaky, honest = (depth_profile([X, X], y, classes=2, keys=KEYS, groups=g) for g in (None, groups))
    assert leaky.top > 0.5 and honest.top < 0.2


def test_one_group_is_refused(rows):
    y, depths = rows
    with pytest.raises(ValueError, match="found one group"):
        depth_profile(depths, y, classes=3, keys=KEYS, groups=[0] * len(y))
