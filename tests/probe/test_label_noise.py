"""The second cross-validation ranks wrong labels better, keeps every class, and uses no held-out label."""

from dataclasses import replace

import numpy as np
import pytest

from regraft.audit.checks.labels import rank_by_suspicion
from regraft.probe import label_noise
from regraft.probe.label_noise import geometric_mean, label_weights, reweighted_probabilities
from regraft.probe.linear_probe import fit_probe


def blurred(seed, n=400, d=30, k=3, wrong=40):
    """Return features of overlapping classes, labels with some errors, and which labels are wrong."""
    draw = np.random.default_rng(seed)
    y = np.arange(n) % k
    X = draw.normal(0, 0.45, (k, d))[y] + draw.normal(0, 1, (n, d))
    bad = draw.permutation(n) < wrong
    return X.astype(np.float32), np.where(bad, (y + draw.integers(1, k, n)) % k, y), bad


def average_precision(p, y, bad):
    hits = bad[rank_by_suspicion(p, y)]
    return (np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean()


def test_the_weights_improve_the_ranking_more_than_a_second_average_does(monkeypatch):
    once, evenly, twice = [], [], []
    for seed in range(6):
        X, y, bad = blurred(seed, wrong=80)
        probe = fit_probe(X, y, classes=3)
        once.append(average_precision(probe.oof, y, bad))
        twice.append(average_precision(reweighted_probabilities(X, y, probe, classes=3), y, bad))
        with monkeypatch.context() as patch:
            patch.setattr(label_noise, "label_weights", lambda p, y: np.ones(len(y)))
            evenly.append(average_precision(reweighted_probabilities(X, y, probe, classes=3), y, bad))
    assert np.mean(twice) > np.mean(evenly) + 0.004
    assert np.mean(twice) > np.mean(once) + 0.012


def test_labels_are_weighted_by_their_probability_and_classes_keep_their_total():
    p = np.array([[0.9, 0.1], [0.5, 0.5], [0.001, 0.999], [0.98, 0.02], [0.97, 0.03], [0.2, 0.8]])
    y = np.array([0, 0, 0, 1, 1, 0])
    weight = label_weights(p, y)
    assert (np.diff(weight[[2, 5, 1, 0]]) > 0).all() and weight[2] > 0
    assert weight[[0, 1, 2, 5]].sum() == pytest.approx(4) and weight[[3, 4]].sum() == pytest.approx(2)
    assert weight[0] / weight[1] == pytest.approx(0.81 / (0.81 + 0.01) / 0.9)
    assert label_weights(np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([0, 1])).tolist() == [1, 1]


def test_the_order_of_rows_changes_no_bit():
    X, y, _ = blurred(0, n=120, wrong=9)
    keys = [f"{i * 37 % 120:03}" for i in range(120)]
    order = np.random.default_rng(1).permutation(120)
    here = reweighted_probabilities(X, y, fit_probe(X, y, classes=3, keys=keys), classes=3, keys=keys)
    moved = {"classes": 3, "keys": [keys[i] for i in order]}
    there = reweighted_probabilities(X[order], y[order], fit_probe(X[order], y[order], **moved), **moved)
    assert np.array_equal(here[order], there)
    assert here.sum(axis=1) == pytest.approx(np.ones(120))


def test_rows_of_a_group_do_not_predict_each_other():
    draw = np.random.default_rng(0)
    X = np.repeat(draw.normal(0, 1, (100, 60)), 2, axis=0).astype(np.float32)
    X[1::2] += draw.normal(0, 0.01, (100, 60))
    y = np.repeat(draw.integers(0, 2, 100), 2)
    said = {"classes": 2, "groups": [i // 2 for i in range(200)]}
    by_heart = replace(fit_probe(X, y, **said), C=10.0)  # a C that learns each row by heart, and its like
    p = reweighted_probabilities(X, y, by_heart, **said)
    assert 0.3 < (p.argmax(axis=1) == y).mean() < 0.7


def test_the_second_cross_validation_has_other_folds(monkeypatch):
    X, y, _ = blurred(0)
    probe = fit_probe(X, y, classes=3)
    monkeypatch.setattr(label_noise, "label_weights", lambda p, y: np.ones(len(y)))
    assert np.abs(reweighted_probabilities(X, y, probe, classes=3) - probe.oof).max() > 0.05


def test_the_result_is_the_geometric_mean_of_both_cross_validations(monkeypatch):
    X, y, _ = blurred(0, n=60, wrong=6)
    probe, seen = fit_probe(X, y, classes=3), []
    monkeypatch.setattr(label_noise, "geometric_mean", lambda a, b: seen.append((a, b)) or "their mean")
    assert reweighted_probabilities(X, y, probe, classes=3) == "their mean"
    ((first, second),) = seen
    assert first is probe.oof
    assert second.shape == (60, 3) and np.abs(second - first).max() > 0.01


def test_the_geometric_mean_is_normalized_and_keeps_zeros_finite():
    mean = geometric_mean(np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([[0.9, 0.1], [0.0, 1.0]]))
    assert mean[0] == pytest.approx([0.75, 0.25])
    assert mean[1] == pytest.approx([0.5, 0.5])


def test_a_class_of_one_photo_is_finite():
    X, y, _ = blurred(0, n=41, k=2, wrong=0)
    y[40] = 2
    p = reweighted_probabilities(X, y, fit_probe(X, y, classes=3), classes=3)
    assert np.isfinite(p).all() and p[40, 2] < 1e-9


def test_a_probe_without_out_of_fold_probabilities_is_refused():
    X, y, _ = blurred(0, n=60, wrong=0)
    with pytest.raises(ValueError, match="nested=True"):
        reweighted_probabilities(X, y, fit_probe(X, y, classes=3, nested=False), classes=3)
