"""Curves of probabilities, compared with scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score, top_k_accuracy_score

from regraft.measure.curves import class_curves, coverage_curve, rank_curve, reliability_bins


@pytest.fixture
def predicted():
    draw = np.random.default_rng(0)
    y = draw.integers(0, 6, 400)
    p = draw.dirichlet(np.ones(6), 400) + np.eye(6)[y] * draw.uniform(size=(400, 1))
    return np.round(p / p.sum(axis=1, keepdims=True), 2), y  # rounded: with ties


def test_areas_are_those_of_scikit_learn(predicted):
    p, y = predicted
    for c in range(6):
        curves = class_curves(p[:, c], y == c)
        assert curves.auc == pytest.approx(roc_auc_score(y == c, p[:, c]))
        assert curves.average_precision == pytest.approx(average_precision_score(y == c, p[:, c]))
        assert len(curves.roc) <= 100 and tuple(curves.roc[-1]) == (1, 1)
    assert class_curves(p[:, 0], y < 6) is None


def test_ranks(predicted):
    p, y = predicted
    p = p + np.linspace(0, 1e-9, 6)  # no ties, which scikit-learn orders differently
    ranks = rank_curve(p, y)
    expected = [top_k_accuracy_score(y, p, k=k) for k in (1, 2, 3, 4, 5)]
    assert [one["value"] for one in ranks] == pytest.approx(expected)
    assert len(rank_curve(p[:, :2] / p[:, :2].sum(axis=1, keepdims=True), y % 2)) == 2


def test_coverage_and_reliability(predicted):
    p, y = predicted
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y
    curve = coverage_curve(confidence, right)
    assert tuple(curve[-1, :2]) == (1.0, pytest.approx(right.mean()))
    assert (curve[:, 2] <= curve[:, 1]).all() and (curve[:, 1] <= curve[:, 3]).all()
    bins = reliability_bins(confidence, right)
    assert sum(figure["n"] for _, figure in bins) == 400
    assert sum(figure["n"] * figure["value"] for _, figure in bins) == pytest.approx(right.sum())
    assert len(coverage_curve(confidence[:0], right[:0])) == 0 and reliability_bins(confidence[:0], right[:0]) == []
