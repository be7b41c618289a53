"""Curves: stages follow each other, memory is bounded, and a resumed epoch replaces what came after it."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from regraft.monitor.curves import MAX_POINTS, MAX_SERIES, Curves


def test_a_stage_continues_where_the_one_before_ends():
    curves = Curves()
    points = [curves.add(stage, epoch, {"loss": 1.0}) for stage, epoch in (("upper", 1), ("upper", 2), ("all", 1))]
    assert [x for x, _ in points] == [1, 2, 3]
    assert curves.stages == [("upper", 0), ("all", 2)]


def test_figures_that_appear_later_or_are_undefined_are_null():
    curves = Curves()
    curves.add("", 1, {"loss": 0.123456789})
    curves.add("", 2, {"loss": math.nan, "val_loss": math.inf})
    curves.add("", 3, {"val_loss": 2.0})
    assert curves.as_json()["series"] == {"loss": [0.123457, None, None], "val_loss": [None, None, 2.0]}
    assert curves.best("val_loss") == (3, {"loss": None, "val_loss": 2.0})


def test_a_resumed_epoch_replaces_the_points_from_there_on():
    curves = Curves()
    for epoch in (1, 2, 3, 4):
        curves.add("", epoch, {"loss": float(epoch)})
    curves.add("", 3, {"loss": 30.0})
    assert curves.as_json()["x"] == [1, 2, 3] and curves.as_json()["series"]["loss"] == [1, 2, 30]
    assert curves.count == 5


def test_posts_without_epochs_are_counted():
    curves = Curves()
    assert [curves.add("", None, {"loss": 1.0})[0] for _ in range(3)] == [0, 1, 2]


def test_a_figure_too_many_is_left_out():
    curves = Curves()
    curves.add("", 1, {f"f{k}": 1.0 for k in range(MAX_SERIES + 5)})
    assert len(curves.as_json()["series"]) == MAX_SERIES


@given(st.integers(1, 5 * MAX_POINTS))
def test_long_curves_keep_their_first_and_last_point_in_bounded_memory(n):
    curves = Curves()
    for epoch in range(1, n + 1):
        curves.add("", epoch, {"loss": float(epoch)})
    x = curves.as_json()["x"]
    assert x[0] == 1 and x[-1] == n == curves.count
    assert x == sorted(set(x)) == curves.as_json()["series"]["loss"]
    assert min(n, MAX_POINTS // 2) <= len(x) <= MAX_POINTS
