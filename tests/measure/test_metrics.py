"""Figures against scikit-learn's, and the reasons for undefined ones."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regraft.measure.metrics import classification_report

sklearn_metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is what the figures are compared with")


def drawn(n, k, seed=0, only=None):
    draw = np.random.default_rng(seed)
    p = draw.dirichlet(np.full(k, 0.7), n)
    y = np.array([draw.choice(k, p=row) for row in p], dtype=np.int64) if only is None else draw.choice(only, n)
    return p, y


def names(k):
    return [f"class {i}" for i in range(k)]


def figures(node, path=""):
    if isinstance(node, dict) and "interval" in node:
        yield path, node
    elif isinstance(node, dict):
        for key, value in node.items():
            yield from figures(value, f"{path}/{key}")
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from figures(value, f"{path}/{i}")


@pytest.mark.parametrize(("n", "k"), [(1, 2), (7, 3), (129, 5), (400, 12)])
def test_figures_equal_those_of_scikit_learn(n, k):
    p, y = drawn(n, k, seed=n)
    found, predicted, every = classification_report(p, y, names(k)), p.argmax(1), np.arange(k)
    assert found["accuracy"]["value"] == pytest.approx(sklearn_metrics.accuracy_score(y, predicted))
    assert found["log_loss"]["value"] == pytest.approx(sklearn_metrics.log_loss(y, p, labels=every))
    assert found["confusion"]["counts"] == sklearn_metrics.confusion_matrix(y, predicted, labels=every).tolist()
    recalls = sklearn_metrics.recall_score(y, predicted, labels=np.unique(y), average=None)
    assert found["balanced_accuracy"]["value"] == pytest.approx(recalls.mean())
    for size, figure in found["top_k"].items():
        if k > int(size):
            assert figure["value"] == pytest.approx(
                sklearn_metrics.top_k_accuracy_score(y, p, k=int(size), labels=every)
            )
    expected = sklearn_metrics.precision_recall_fscore_support(y, predicted, labels=every, zero_division=np.nan)
    for i, row in enumerate(found["per_class"]):
        assert row["support"] == expected[3][i]
        for name, values in zip(("precision", "recall", "f1"), expected, strict=False):
            value = row[name]["value"]
            assert (math.nan if value is None else value) == pytest.approx(values[i], nan_ok=True)


def test_top_5_is_there_for_more_than_five_classes():
    assert list(classification_report(*drawn(20, 5), names(5))["top_k"]) == ["2"]
    assert list(classification_report(*drawn(20, 6), names(6))["top_k"]) == ["2", "5"]


@given(st.integers(0, 40), st.integers(2, 7), st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_every_figure_lies_in_its_interval_and_is_plain_json(n, k, seed):
    p, y = drawn(n, k, seed)
    found = classification_report(p, y, names(k))
    json.dumps(found, allow_nan=False)
    seen = list(figures(found))
    assert len(seen) == 6 + (k > 5) + 3 * k + len(found["weakest"])
    for path, figure in seen:
        assert (figure["value"] is None) <= (figure["interval"] is None), path
        assert (figure["interval"] is None) == ("why" in figure), path
        if figure["interval"] is not None:
            low, high = figure["interval"]
            assert low <= figure["value"] + 1e-12, path
            assert high >= figure["value"] - 1e-12, path
            assert low >= 0, path
            assert high <= 1 or "log_loss" in path, path


def test_without_photos_every_figure_is_null_with_a_reason():
    found = classification_report(np.zeros((0, 3)), [], names(3))
    for path, figure in figures(found):
        assert figure["value"] is None, path
        assert figure["why"], path
    assert found["weakest"] == found["most_confused"] == []


def test_one_photo_leaves_wide_intervals():
    found = classification_report(np.array([[0.9, 0.1]]), [0], names(2))
    assert found["accuracy"]["value"] == 1
    assert found["accuracy"]["interval"][0] < 0.25
    assert found["log_loss"]["interval"] is None
    assert found["log_loss"]["why"] == "an interval needs at least two photos"


def test_a_class_never_predicted_has_no_precision_and_one_without_photos_no_recall():
    p = np.array([[0.6, 0.4, 0.0], [0.7, 0.3, 0.0], [0.1, 0.0, 0.9]])
    rows = classification_report(p, [0, 1, 0], names(3))["per_class"]
    assert rows[1]["precision"] == {
        "value": None, "n": 0, "interval": None, "why": "no photo was predicted as this class"
    }  # fmt: skip
    assert rows[2]["recall"]["why"] == "there are no photos of this class"
    assert rows[2]["precision"]["value"] == 0
    assert rows[1]["f1"]["value"] == rows[2]["f1"]["value"] == 0


def test_pairs_and_weakest_classes_are_listed_worst_first():
    y = [0] * 10 + [1] * 10 + [2] * 10
    said = [0] * 10 + [2] * 6 + [1] * 4 + [2] * 8 + [0] * 2
    found = classification_report(np.eye(3)[said], y, ["daisy", "rose", "tulip"])
    assert found["most_confused"] == [
        {"true": "rose", "predicted": "tulip", "count": 6, "n": 10},
        {"true": "tulip", "predicted": "daisy", "count": 2, "n": 10},
    ]
    assert [row["label"] for row in found["weakest"]] == ["rose", "tulip", "daisy"]


def test_the_largest_class_is_that_of_the_training_photos_where_it_is_given():
    p, y = np.full((4, 2), 0.5), [1, 1, 1, 0]
    assert classification_report(p, y, ["a", "b"])["largest_class"]["accuracy"]["value"] == 0.75
    found = classification_report(p, y, ["a", "b"], largest="a")["largest_class"]
    assert (found["label"], found["accuracy"]["value"]) == ("a", 0.25)


def test_the_same_photos_give_the_same_report():
    p, y = drawn(300, 4)
    assert classification_report(p, y, names(4)) == classification_report(p, y, names(4))


def test_a_certain_mistake_costs_a_finite_loss():
    found = classification_report(np.array([[1.0, 0.0], [1.0, 0.0]]), [1, 0], names(2))
    assert found["log_loss"]["value"] == pytest.approx(36.04 / 2, abs=0.01)


@pytest.mark.parametrize(
    ("p", "y", "message"),
    [
        ([[0.5, 0.5]], [0, 1], r"y must be integer and of shape \(1,\)"),
        ([[0.5, 0.5]], [2], "y must be in 0 to 1, but contains 2 to 2"),
        ([[0.5, 0.5]], [0.0], "y must be integer"),
        ([[0.5, 0.4]], [0], "sum to 1, but row 0"),
        ([[np.nan, 1.0]], [0], "finite"),
        ([[1.5, -0.5]], [0], "not negative"),
        ([0.5, 0.5], [0], r"of shape \(n, 2\), not \(2,\)"),
    ],
)
def test_impossible_input_is_refused(p, y, message):
    with pytest.raises(ValueError, match=message):
        classification_report(np.array(p), np.array(y), names(2))
