"""The choice of a regularization, on losses written by hand."""

import json

import numpy as np
import pytest

from regraft.probe.model_selection import choose_regularization, loss_has_passed_minimum

GRID = (0.01, 0.1, 1.0)


def pick(losses, weight=None, group=None, grid=GRID):
    losses = np.asarray(losses, dtype=np.float64)
    n = losses.shape[1]
    return choose_regularization(
        losses, np.ones(n) if weight is None else weight, np.arange(n) if group is None else group, grid
    )


def test_a_clear_winner_is_chosen():
    choice = pick([[3, 3.1, 3, 2.9], [1, 1.1, 1, 0.9], [2, 2.1, 2, 1.9]])
    assert (choice.C, choice.index, choice.lowest) == (0.1, 1, 1)
    assert choice.excess == pytest.approx((2, 0, 1))


def test_a_tie_goes_to_the_stronger():
    choice = pick([[1.2, 0.9, 1.3, 0.8], [1, 1, 1, 1], [3, 3, 3, 3]])
    assert choice.lowest == 1
    assert choice.excess[0] < choice.standard_error[0]
    assert choice.C == 0.01


def test_the_error_is_of_the_difference_not_of_the_loss():
    hard = np.array([0.0, 5.0, 0.5, 9.0])  # the photos differ far more than the models
    choice = pick([hard + 0.3, hard, hard + 0.6])
    assert choice.C == 0.1
    assert choice.standard_error == pytest.approx((0, 0, 0))


def test_duplicates_in_a_group_are_not_more_evidence():
    rows = np.array([[1.2, 0.9, 1.3], [1.0, 1.0, 1.0], [2.0, 2.0, 2.0]])
    once = pick(rows)
    copied = pick(np.repeat(rows, 4, axis=1), group=np.repeat(np.arange(3), 4))
    assert copied.standard_error == pytest.approx(once.standard_error)
    assert pick(np.repeat(rows, 4, axis=1)).standard_error[0] < once.standard_error[0]


def test_rows_without_weight_do_not_count():
    rows = np.array([[1.0, 1.5, 99.0], [2.0, 2.1, 0.0], [3.0, 3.0, 0.0]])
    choice = pick(rows, weight=np.array([1.0, 1.0, 0.0]))
    assert choice.C == 0.01
    assert choice == pick(rows[:, :2])


def test_one_group_alone_ties_with_everything():
    assert pick([[2.0], [1.0], [3.0]]).C == 0.01


def test_without_any_weight_the_strongest_is_chosen():
    assert pick([[1.0], [1.0], [1.0]], weight=np.zeros(1)).C == 0.01


def test_the_path_ends_after_a_clear_rise_or_two_small_ones():
    def at(*means):
        wobble = np.array([-1, 1, -1, 1]) * 0.05
        rows = [m + wobble * (1 + i) for i, m in enumerate(means)]
        return loss_has_passed_minimum(pick(rows, grid=tuple(10.0**i for i in range(len(means)))))

    assert not at(2.0, 1.0)
    assert not at(1.0, 1.05)
    assert at(1.0, 3.0)
    assert not at(1.0, 1.06, 1.0)
    assert at(1.0, 1.09, 1.13)


def test_the_journal_entry_is_plain_json():
    found = json.loads(json.dumps(pick([[1, 2], [0, 1], [3, 3]]).as_dict(), allow_nan=False))
    assert found["C"] == found["lowest_at"] == 0.1
    assert [row["C"] for row in found["path"]] == [0.01, 0.1, 1.0]
