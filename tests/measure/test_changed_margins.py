"""The change of accuracy that small changes of margins mean, against a direct simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from regraft.measure.changed_margins import accuracy_change, margins


@pytest.fixture
def draw():
    return np.random.default_rng(0)


def test_a_margin_is_the_log_odds_against_the_best_other_class():
    p = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.0, 1.0, 0.0]])
    found = margins(p, np.array([0, 1, 1]))
    assert found[:2] == pytest.approx([math.log(3.5), math.log(0.125)])
    assert found[2] > 20
    assert list(p[2]) == [0.0, 1.0, 0.0]


def test_the_estimate_is_near_the_change_of_many_photos(draw):
    usual, moves = draw.normal(2, 1.5, 300), draw.normal(-0.2, 0.3, 300)
    many, its_moves = draw.normal(2, 1.5, 400_000), draw.normal(-0.2, 0.3, 400_000)
    true = (many + its_moves > 0).mean() - (many > 0).mean()
    found = accuracy_change(usual, moves, "test")
    assert found.n == 300 and found.interval[0] < true < found.interval[1]
    assert found.value == pytest.approx(true, abs=0.01)
    assert found.interval[1] - found.interval[0] < 0.03


def test_only_the_movement_of_margins_near_0_matters(draw):
    usual = draw.normal(2, 1.5, 400)
    of_large_ones = accuracy_change(usual, np.where(usual > 3, -1.0, 0.0))
    assert of_large_ones.interval[0] > -0.005
    of_small_ones = accuracy_change(usual, np.where(np.abs(usual) < 0.5, -1.0, 0.0))
    counted = float(((usual > 0) & (usual < 0.5)).mean())
    assert of_small_ones.interval[1] < -0.02 and of_small_ones.value == pytest.approx(-counted, abs=0.03)


def test_no_move_is_no_change_and_a_large_one_is_a_loss(draw):
    usual = draw.normal(2, 1.5, 200)
    assert accuracy_change(usual, np.zeros(200)).interval == (0.0, 0.0)
    assert accuracy_change(usual, np.full(200, -9.0)).interval[1] < -0.8


def test_equal_photos_give_equal_intervals_and_few_photos_none(draw):
    usual, moves = draw.normal(2, 1.5, 30), draw.normal(0, 0.1, 30)
    assert accuracy_change(usual, moves, "a") == accuracy_change(usual, moves, "a")
    assert accuracy_change(usual[:19], moves[:19]).interval is None
    assert math.isnan(accuracy_change(usual[:19], moves[:19]).value)
