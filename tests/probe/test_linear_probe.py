"""The probe as a whole: honest out-of-fold figures, exact standardisation, and the same bits whatever the order."""

import json
import tracemalloc

import numpy as np
import pytest

from regraft.disk import row_table
from regraft.probe.linear_probe import PROBE_STEPS, fit_probe


def photos(counts, d=40, seed=0, spread=0.5, dtype=np.float32):
    draw = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(counts)), counts)
    X = draw.normal(0, spread, (len(counts), d))[y] + draw.normal(0, 1, (len(y), d))
    return np.maximum(X * draw.uniform(0.1, 2, d), 0).astype(dtype), y


class CountingBar:
    def __init__(self):
        self.done = 0

    def advance(self, n=1):
        self.done += n

    def note(self, text):
        pass


def test_the_order_of_rows_changes_no_bit():
    X, y = photos([40, 30, 20])
    keys = [f"{i * 37 % 90:02}" for i in range(90)]
    groups = [f"burst {i // 3}" for i in range(90)]
    order = np.random.default_rng(1).permutation(90)
    for extra in ({}, {"keys": keys}, {"keys": keys, "groups": groups, "class_weight": "balanced"}):
        moved = {k: [v[i] for i in order] if k in {"keys", "groups"} else v for k, v in extra.items()}
        here, there = fit_probe(X, y, classes=3, **extra), fit_probe(X[order], y[order], classes=3, **moved)
        assert np.array_equal(here.weight, there.weight)
        assert np.array_equal(here.bias, there.bias)
        assert np.array_equal(here.oof[order], there.oof)
        assert here.choice == there.choice


def test_the_number_of_cores_changes_no_bit(monkeypatch):
    X, y = photos([60, 60, 60], d=20)
    found = []
    for cores in (1, 3):
        for module in ("cross_validation", "probe_data", "solver"):
            monkeypatch.setattr(f"regraft.probe.{module}.cores", lambda cores=cores: cores)
        found.append(fit_probe(X, y, classes=3))
    assert np.array_equal(found[0].weight, found[1].weight)
    assert np.array_equal(found[0].oof, found[1].oof)


def test_the_standardization_is_folded_into_weight_and_bias():
    X, y = photos([50, 50])
    found = fit_probe(X, y, classes=2)
    z = X.astype(np.float64) @ found.weight.T + found.bias
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    assert found.probabilities(X) == pytest.approx(p)
    losses = -np.log(p[np.arange(100), y]).sum()
    deviation = X.std(0, dtype=np.float64)
    penalty = 0.5 * ((found.weight * np.maximum(deviation, np.median(deviation))) ** 2).sum()
    assert found.solution.objective == pytest.approx(found.C * losses + penalty, rel=1e-6)


def test_the_unit_and_the_origin_of_features_change_the_result_by_rounding_only():
    X, y = photos([40, 40, 40], dtype=np.float64)
    keys = [f"{i:03}" for i in range(120)]
    plain, moved = fit_probe(X, y, classes=3, keys=keys), fit_probe(1e3 * X + 5e4, y, classes=3, keys=keys)
    assert moved.C == plain.C
    assert moved.oof == pytest.approx(plain.oof, abs=5e-3)
    assert moved.weight * 1e3 == pytest.approx(plain.weight, abs=1e-4)


def test_constant_and_empty_features_get_no_weight():
    X, y = photos([30, 30])
    X[:, 4], X[:, 9] = 0.0, 3.25
    found = fit_probe(X, y, classes=2)
    assert not found.weight[:, [4, 9]].any()
    assert np.isfinite(found.oof).all()


def test_a_feature_that_varies_in_one_fold_only_does_no_harm():
    X, y = photos([30, 30])
    X[:, 7] = 0.0
    X[11, 7] = 1e4
    found = fit_probe(X, y, classes=2)
    assert np.isfinite(found.oof).all()
    assert found.cv_log_loss < 2


def test_out_of_fold_accuracy_of_random_labels_is_chance():
    draw = np.random.default_rng(0)
    right = []
    for seed in range(12):
        X, y = draw.normal(0, 1, (60, 200)).astype(np.float32), draw.permutation(np.arange(60) % 2)
        right.append(fit_probe(X, y, classes=2, seed=seed).cv_accuracy)
    assert 0.4 < np.mean(right) < 0.56


def test_near_duplicates_in_two_folds_would_raise_the_accuracy():
    draw = np.random.default_rng(3)
    X = np.repeat(draw.normal(0, 1, (40, 100)), 3, axis=0) + draw.normal(0, 0.05, (120, 100))
    y = np.repeat(draw.permutation(np.arange(40) % 2), 3)
    X = X.astype(np.float32)
    naive, grouped = fit_probe(X, y, classes=2), fit_probe(X, y, classes=2, groups=[i // 3 for i in range(120)])
    assert naive.cv_accuracy > 0.9
    assert grouped.cv_accuracy < 0.65


def test_exact_duplicates_are_in_one_fold():
    draw = np.random.default_rng(4)
    X = np.repeat(draw.normal(0, 1, (40, 100)), 3, axis=0).astype(np.float32)
    y = np.repeat(draw.permutation(np.arange(40) % 2), 3)
    assert fit_probe(X, y, classes=2).cv_accuracy < 0.7


@pytest.mark.parametrize(
    "counts", [[5, 5], [3] * 30, [500, 5], [1, 1], [2, 1], [1, 30], [1, 1, 1], [2, 2]], ids=lambda c: f"{len(c)}x{c[0]}"
)
@pytest.mark.parametrize("nested", [True, False])
def test_small_and_imbalanced_data_is_fitted(counts, nested):
    X, y = photos(counts, d=64, spread=1.0)
    found = fit_probe(X, y, classes=len(counts), nested=nested)
    assert np.isfinite(found.weight).all()
    assert np.isfinite(found.bias).all()
    assert 0 <= found.cv_accuracy <= 1
    assert found.probabilities(X).sum(axis=1) == pytest.approx(np.ones(len(y)))
    json.dumps(found.choice, allow_nan=False)
    if nested:
        assert found.oof.shape == (len(y), len(counts))
        assert found.oof.sum(axis=1) == pytest.approx(np.ones(len(y)))
        assert found.cv_accuracy == (found.oof.argmax(1) == y).mean()
    else:
        assert found.oof is None


def test_a_class_with_one_photo_has_probability_zero_when_that_photo_is_held_out():
    X, y = photos([20, 20, 1], spread=1.0)
    found = fit_probe(X, y, classes=3)
    assert found.oof[40, 2] == 0
    assert (found.oof[:40, 2] >= 0).all()
    assert found.oof[:40, 2].max() > 0
    assert found.probabilities(X)[40].argmax() == 2
    assert np.isfinite(found.cv_log_loss)


def test_one_group_alone_leaves_nothing_to_hold_out():
    X, y = photos([4, 4])
    found = fit_probe(X, y, classes=2, groups=["all"] * 8)
    assert found.oof is None
    assert np.isnan(found.cv_accuracy)
    assert found.choice["folds"] == 1
    json.dumps(found.choice, allow_nan=False)


def test_balanced_classes_count_the_same():
    X, y = photos([300, 15], spread=0.25)
    plain, balanced = (fit_probe(X, y, classes=2, class_weight=kind) for kind in (None, "balanced"))
    recall = [(found.oof.argmax(1)[y == 1] == 1).mean() for found in (plain, balanced)]
    assert recall[1] > recall[0]


def test_the_progress_bar_ends_complete():
    for counts in ([5, 5], [60, 60], [1, 1]):
        bar = CountingBar()
        fit_probe(*photos(counts), classes=2, bar=bar)
        assert bar.done == PROBE_STEPS


def test_many_photos_are_searched_on_a_share_of_each_class(monkeypatch):
    monkeypatch.setattr("regraft.probe.probe_data.MAX_SEARCH_ROWS", 200)
    X, y = photos([300, 200, 20], d=10, spread=1.0)
    found = fit_probe(X, y, classes=3)
    assert found.choice["searched"] < 230
    assert found.oof.shape == (520, 3)
    assert np.isfinite(found.oof).all()
    order = np.random.default_rng(0).permutation(520)
    again = fit_probe(X[order], y[order], classes=3)
    assert np.array_equal(again.weight, found.weight)
    assert np.array_equal(again.oof, found.oof[order])


def test_the_standard_error_is_that_of_a_share_of_groups():
    X, y = photos([50, 50])
    found = fit_probe(X, y, classes=2)
    assert found.cv_accuracy_error == pytest.approx(np.sqrt(found.cv_accuracy * (1 - found.cv_accuracy) / 99))
    copied = fit_probe(np.repeat(X, 4, axis=0), np.repeat(y, 4), classes=2)
    assert copied.cv_accuracy_error > 0.8 * found.cv_accuracy_error


def test_the_journal_entry_explains_the_choice_of_C():
    found = fit_probe(*photos([40, 40]), classes=2)
    assert found.choice["C"] == found.C
    assert len(found.choice["nested_C"]) == found.choice["folds"] == 5
    assert found.C in [row["C"] for row in found.choice["path"]]
    assert found.choice["iterations"] > 0
    assert not {"photos", "event"} & set(found.choice)  # names that a journal has for itself


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": 3}, r"each class needs a row with a positive weight, but classes \[2\] have none"),
        ({"class_weight": "equal"}, "class_weight must be 'balanced' or None, not 'equal'"),
        ({"keys": ["a"]}, "keys must have one entry for each of the 8 rows, but has 1"),
        ({"groups": ["a"]}, "groups must have one entry for each of the 8 rows, but has 1"),
    ],
)
def test_impossible_input_is_refused(change, message):
    X, y = photos([4, 4])
    with pytest.raises(ValueError, match=message):
        fit_probe(X, y, **{"classes": 2, **change})


@pytest.mark.slow
def test_memory_grows_little_with_the_number_of_rows(tmp_path, monkeypatch):
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path))
    monkeypatch.setattr(row_table, "LARGE", 1)
    monkeypatch.setattr("regraft.probe.feature_matrix.MAX_CONVERTED_BYTES", 1)
    monkeypatch.setattr("regraft.probe.probe_data.GRID", (1e-4,))

    def peak(n: int) -> int:
        draw = np.random.default_rng(0)
        y = np.arange(n) % 2
        X = row_table.new_table(n, 640)
        X[:] = draw.standard_normal((n, 640)) + y[:, None] * draw.standard_normal(640) / 4
        tracemalloc.start()
        try:
            fit_probe(X, y, classes=2, keys=[f"{i:05}" for i in range(n)])
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    less, more = peak(3000), peak(5000)
    assert (more - less) / 2000 < 1500  # bytes; the features of a row take 2,560, and twice that in float64
