"""The loss on new subjects is near the truth, and its interval is as wide as subjects are few."""

from __future__ import annotations

import math

import numpy as np
import pytest

from audit.test_series import PHOTOS, effects_of, photos_of
from regraft.audit.new_subjects import expected_accuracy, standard_error_over_blocks
from regraft.audit.series import clearest
from regraft.probe.block_validation import BLOCKS, consecutive_blocks
from regraft.probe.linear_probe import fit_probe


def new_accuracy(features, labels, *, effect, seed):
    """Return the accuracy of a probe of all photos on 400 other subjects."""
    _, others, truth = photos_of(effect, subjects=200, seed=1000 + seed)
    probe = fit_probe(features, labels, classes=2, nested=False)
    return float((probe.probabilities(others).argmax(axis=1) == truth).mean()), probe.cv_accuracy


@pytest.mark.parametrize("effect", [0.7, 1.5])
def test_the_interval_has_the_accuracy_on_new_subjects(effect):
    errors, covered = [], []
    for seed in range(4):
        entries, features, labels = photos_of(effect, subjects=30, seed=seed)
        clear = clearest(effects_of(entries, features, labels))
        assert clear is not None and clear.new_subjects is not None
        accuracy, reported = new_accuracy(features, labels, effect=effect, seed=seed)
        low, high = clear.new_subjects.interval
        errors.append(reported - clear.new_subjects.loss - accuracy)
        covered.append(low <= reported - accuracy <= high)
        assert clear.as_dict()["on_new_subjects"]["interval"] == [low, high]
    assert abs(np.mean(errors)) < 0.03 and sum(covered) >= 3


def test_few_subjects_give_a_wide_interval():
    few, many = (clearest(effects_of(*photos_of(1.5, subjects=n))) for n in (12, 48))
    assert few is not None and many is not None and few.new_subjects is not None and many.new_subjects is not None
    assert few.new_subjects.reach > 1.5 * many.new_subjects.reach > 0


def test_an_effect_that_is_not_clear_has_no_loss_on_new_subjects():
    (effect,) = effects_of(*photos_of(0.0))
    assert effect.new_subjects is None and "on_new_subjects" not in effect.as_dict()


def test_the_expected_accuracy_is_the_share_of_right_answers_where_photos_are_many():
    draw = np.random.default_rng(0)
    y = draw.integers(0, 3, 20_000)
    logits = (2.5 * np.eye(3)[y] + draw.normal(size=(len(y), 3)) * 1.5).astype(np.float32)
    share = (logits.argmax(axis=1) == y).mean()
    assert expected_accuracy(logits, y) == pytest.approx(share, abs=0.01)
    assert expected_accuracy(7 * logits, y) == pytest.approx(share, abs=0.01)
    without = logits.copy()
    without[y == 2, 2] = -np.inf
    assert 0 < expected_accuracy(without, y) < 1


def test_the_standard_error_is_that_of_photos_without_subjects_and_that_of_subjects_with_them():
    draw = np.random.default_rng(0)
    y = np.repeat([0, 1], 600)
    block = consecutive_blocks(range(1200), y)
    photos, subjects = [], []
    for _ in range(200):
        photos.append(standard_error_over_blocks(draw.random(1200) < 0.8, y, block))
        right = np.repeat(draw.random(150) < 0.8, PHOTOS)
        subjects.append(standard_error_over_blocks(right, y, block))
    alone = math.sqrt(0.16 / 1200)
    assert alone < np.mean(photos) < 1.6 * alone
    assert math.sqrt(PHOTOS) * alone < np.mean(subjects) < 1.6 * math.sqrt(PHOTOS) * alone
    assert set(block) == set(range(BLOCKS))
