"""Folds hold every class, never split a group, and do not depend on the order of rows."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from regraft.probe.folds import make_folds, row_keys


def keys_of(n):
    return [f"{i * 7919 % 10_007:05}" for i in range(n)]


def test_each_fold_has_its_share_of_every_class():
    y = np.repeat([0, 1, 2], [53, 20, 7])
    folds = make_folds(y, keys_of(80), seed=3)
    counts = np.array([[((folds.fold_of_row == f) & (y == c)).sum() for c in range(3)] for f in range(5)])
    assert folds.count == 5
    assert (np.ptp(counts, axis=0) <= 1).all()
    assert np.ptp(counts.sum(axis=1)) <= 1


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_the_order_of_rows_and_the_names_of_groups_change_nothing(data):
    n = data.draw(st.integers(2, 40))
    y = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)))
    groups = data.draw(st.lists(st.integers(0, 12), min_size=n, max_size=n))
    order = np.array(data.draw(st.permutations(range(n))))
    keys = keys_of(n)
    here = make_folds(y, keys, groups, seed=1)
    there = make_folds(y[order], [keys[i] for i in order], [f"group {groups[i]}" for i in order], seed=1)
    assert there.count == here.count
    assert np.array_equal(there.fold_of_row, here.fold_of_row[order])
    assert np.array_equal(there.rank_of_row, here.rank_of_row[order])
    for group in set(groups):
        assert len(set(here.fold_of_row[np.array(groups) == group])) == 1
    assert set(here.fold_of_row) == set(range(here.count))


def test_rows_that_share_a_key_or_a_group_stay_together_through_others():
    keys, groups = ["a", "a", "b", "c", "d", "e"], [1, 2, 2, 3, 4, 5]
    folds = make_folds(np.array([0, 1, 0, 1, 0, 1]), keys, groups)
    assert len(set(folds.fold_of_row[:3])) == 1
    assert len(set(folds.group_of_row)) == 4
    assert folds.count == 4


def test_a_subset_keeps_fold_group_and_rank_of_its_rows():
    folds, rows = make_folds(np.arange(20) % 2, keys_of(20), seed=1), np.array([7, 3, 12])
    subset = folds.subset(rows)
    assert subset.count == folds.count
    for name in ("fold_of_row", "group_of_row", "rank_of_row"):
        assert getattr(subset, name).tolist() == [getattr(folds, name)[i] for i in rows]


def test_another_seed_gives_other_folds():
    y = np.arange(60) % 2
    a, b = (make_folds(y, keys_of(60), seed=seed).fold_of_row for seed in (0, 1))
    assert not np.array_equal(a, b)


def test_a_key_is_made_of_features_and_class():
    X = np.random.default_rng(0).normal(0, 1, (3, 4)).astype(np.float32)
    X[2] = X[0]
    keys = row_keys(X, np.array([0, 0, 0]))
    assert keys[0] == keys[2] != keys[1]
    assert row_keys(X, np.array([0, 0, 1]))[2] != keys[2]
    assert row_keys(X[::-1], np.array([0, 0, 0])) == keys[::-1]
