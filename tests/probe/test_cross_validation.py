"""The nested search against one that fits every model by itself."""

import numpy as np
import pytest

from regraft.disk import row_table
from regraft.probe.cross_validation import GRID, cross_validate
from regraft.probe.folds import make_folds
from regraft.probe.logistic_problems import softmax
from regraft.probe.model_selection import choose_regularization
from regraft.probe.scaling import center_features, feature_scales
from regraft.probe.solver import fit_logistic


def problem(n=120, d=30, k=3, seed=0):
    draw = np.random.default_rng(seed)
    y = np.arange(n) % k
    X = (draw.normal(0, 0.7, (k, d))[y] + draw.normal(0, 1, (n, d))) * draw.uniform(0.1, 3, d) + draw.uniform(0, 5, d)
    return X.astype(np.float32), y, make_folds(y, [f"{i:04}" for i in draw.permutation(n)])


def alone(X, y, train, C, k):
    """Return log-probabilities of all rows by a model fitted on ``train`` only."""
    rows = X[train].astype(np.float64)
    mean, scale = rows.mean(0), feature_scales(rows.mean(0)[None], rows.std(0)[None])[0]
    found = fit_logistic((rows - mean) * scale, y[train], C, classes=k)
    return np.log(softmax(((X - mean) * scale) @ found.weight.T + found.bias))


def by_hand(X, y, folds, k, grid, left=()):
    """Return the held-out losses at each C over the folds that are not ``left`` out."""
    losses, seen = np.zeros((len(grid), len(y))), ~np.isin(folds.fold_of_row, left)
    for f in sorted(set(folds.fold_of_row) - set(left)):
        train = np.flatnonzero(~np.isin(folds.fold_of_row, [f, *left]))
        held = np.flatnonzero(folds.fold_of_row == f)
        for c, C in enumerate(grid):
            losses[c, held] = -alone(X, y, train, C, k)[held, y[held]]
    return losses, seen


def test_it_chooses_and_predicts_as_a_search_of_one_model_at_a_time():
    X, y, folds = problem()
    grid = (1e-4, 1e-3, 1e-2, 1e-1)
    found = cross_validate(center_features(X, np.arange(len(y))), y, np.ones(len(y)), folds, 3, nested=True, grid=grid)
    for f, outer in enumerate(found.outer):
        losses, seen = by_hand(X, y, folds, 3, grid, left=(f,))
        expected = choose_regularization(losses, seen.astype(float), folds.group_of_row, grid)
        assert outer.choice.C == expected.C
        assert outer.choice.mean_loss == pytest.approx(expected.mean_loss, abs=2e-3)
        held, train = folds.fold_of_row == f, np.flatnonzero(folds.fold_of_row != f)
        p = softmax(X[held] @ outer.weight.T + outer.bias)
        assert np.abs(p - np.exp(alone(X, y, train, outer.choice.C, 3)[held])).max() < 0.01
    losses, seen = by_hand(X, y, folds, 3, grid)
    assert found.choice.C == choose_regularization(losses, seen.astype(float), folds.group_of_row, grid).C
    assert found.choice.mean_loss == pytest.approx(losses.mean(axis=1), abs=2e-3)


def test_without_nesting_the_choice_is_the_same():
    X, y, folds = problem(seed=1)
    part, ones = center_features(X, np.arange(len(y))), np.ones(len(y))
    nested, plain = (cross_validate(part, y, ones, folds, 3, nested=flag) for flag in (True, False))
    assert plain.choice.C == nested.choice.C
    tried = min(len(plain.choice.mean_loss), len(nested.choice.mean_loss))
    assert plain.choice.mean_loss[:tried] == pytest.approx(nested.choice.mean_loss[:tried], abs=1e-3)
    assert {outer.choice.C for outer in plain.outer} == {plain.choice.C}


def test_the_photos_of_a_fold_change_nothing_about_its_own_model():
    X, y, folds = problem(seed=2)
    ones = np.ones(len(y))
    before = cross_validate(center_features(X, np.arange(len(y))), y, ones, folds, 3).outer[2]
    X[folds.fold_of_row == 2] = np.random.default_rng(9).normal(0, 50, X[folds.fold_of_row == 2].shape)
    y = np.where(folds.fold_of_row == 2, (y + 1) % 3, y)
    after = cross_validate(center_features(X, np.arange(len(y))), y, ones, folds, 3).outer[2]
    assert after.choice.C == before.choice.C
    assert after.weight == pytest.approx(before.weight, abs=0.02 * np.abs(before.weight).max())


def test_the_path_ends_where_the_loss_has_clearly_risen():
    X, y, folds = problem(n=300, d=100, seed=3)
    y = np.random.default_rng(0).permutation(y)  # labels without meaning: the weakest model is best
    found = cross_validate(center_features(X, np.arange(len(y))), y, np.ones(len(y)), folds, 3)
    assert found.choice.index == 0
    assert len(found.choice.grid) < len(GRID) - 3


def test_a_model_that_reaches_the_iteration_limit_ends_the_path_and_is_reported(monkeypatch):
    monkeypatch.setattr("regraft.probe.cross_validation.MAX_ITERATIONS", 3)
    X, y, folds = problem(seed=4)
    found = cross_validate(center_features(X, np.arange(len(y))), y, np.ones(len(y)), folds, 3)
    assert found.unconverged_at is not None
    assert found.unconverged_at not in found.choice.grid
    assert max(found.choice.grid) < found.unconverged_at


def test_a_path_whose_first_model_is_not_solved_reports_it(monkeypatch):
    monkeypatch.setattr("regraft.probe.cross_validation.MAX_ITERATIONS", 0)
    X, y, folds = problem(seed=4)
    found = cross_validate(center_features(X, np.arange(len(y))), y, np.ones(len(y)), folds, 3)
    assert found.choice.grid == (found.unconverged_at,)


def test_features_in_files_give_the_same_search(tmp_path, monkeypatch):
    draw = np.random.default_rng(3)
    y = np.arange(2500) % 3
    X = (draw.standard_normal((2500, 150)) + 0.4 * np.eye(3)[y] @ draw.standard_normal((3, 150))).astype(np.float32)
    folds, rows, ones = make_folds(y, [str(i) for i in range(2500)], seed=1), np.arange(2500), np.ones(2500)
    expected = cross_validate(center_features(X, rows), y, ones, folds, 3)
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path))
    monkeypatch.setattr(row_table, "LARGE", 1000)
    part = center_features(X, rows)
    assert part.transposed is not None and np.array_equal(part.values.T, part.transposed)
    found = cross_validate(part, y, ones, folds, 3)
    assert found.choice.C == expected.choice.C and found.choice.mean_loss == pytest.approx(
        expected.choice.mean_loss, rel=1e-4
    )
    for a, b in zip(found.outer, expected.outer, strict=True):  # OpenBLAS gives the same bits, others may not
        assert a.weight == pytest.approx(b.weight, abs=1e-3 * np.abs(b.weight).max())
