"""The calibration error against a plain loop, and an interval that chance alone does not push away from zero."""

import itertools

import numpy as np
import pytest

from regraft.measure.calibration import BINS, at_best_temperature
from regraft.measure.metrics import classification_report


def by_loop(p, y):
    edges = np.linspace(0, 1, BINS + 1)
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y
    total = 0.0
    for low, high in itertools.pairwise(edges):
        inside = (confidence > low) & (confidence <= high)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return total


@pytest.mark.parametrize(("n", "k"), [(1, 2), (30, 2), (500, 7)])
def test_it_equals_a_plain_loop(n, k):
    draw = np.random.default_rng(n)
    p, y = draw.dirichlet(np.ones(k), n), draw.integers(0, k, n)
    assert classification_report(p, y, list("abcdefg")[:k])["calibration_error"]["value"] == pytest.approx(
        by_loop(p, y)
    )


def test_certainty_falls_into_the_last_bin():
    found = classification_report(np.array([[1.0, 0.0], [1.0, 0.0]]), [0, 1], ["a", "b"])
    assert found["calibration_error"]["value"] == pytest.approx(0.5)


def test_the_interval_of_a_calibrated_classifier_reaches_zero():
    draw = np.random.default_rng(0)
    reached = []
    for _ in range(40):
        p = draw.dirichlet(np.ones(3), 300)
        y = np.array([draw.choice(3, p=row) for row in p])
        figure = classification_report(p, y, ["a", "b", "c"])["calibration_error"]
        reached.append(figure["interval"][0] < 0.01)
        assert figure["value"] > 0.01  # chance alone makes the plain figure positive
    assert np.mean(reached) > 0.9


def test_the_interval_of_an_overconfident_classifier_does_not():
    y = np.arange(200) % 2
    p = np.where(np.arange(200)[:, None] % 4 < 2, np.eye(2)[y] * 0.98 + 0.01, 0.99 - np.eye(2)[y] * 0.98)
    low, high = classification_report(p, y, ["a", "b"])["calibration_error"]["interval"]
    assert 0.35 < low < 0.49 < high


def test_over_and_underconfidence_make_no_difference_at_the_best_temperature():
    draw = np.random.default_rng(0)
    logits = draw.normal(size=(300, 3))
    y = (logits + draw.gumbel(size=(300, 3))).argmax(axis=1)

    def softmax(z):
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def loss(p):
        return -np.log(p[np.arange(300), y]).mean()

    found = [loss(at_best_temperature(softmax(logits * scale), y)) for scale in (0.4, 1.0, 2.5)]
    assert max(found) - min(found) < 1e-3
    assert all(
        value <= loss(softmax(logits * scale)) + 1e-12 for value, scale in zip(found, (0.4, 1.0, 2.5), strict=True)
    )
