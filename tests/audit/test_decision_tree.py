"""The small tree against scikit-learn's, and its splits against every possible one."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regraft.audit.decision_tree import best_split, tree_probabilities

tree = pytest.importorskip("sklearn.tree", reason="scikit-learn is what the tree is compared with")


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("n", "d", "k"), [(40, 1, 2), (300, 3, 4), (1000, 2, 7)])
def test_predictions_are_those_of_scikit_learn(seed, n, d, k):
    draw = np.random.default_rng(seed)
    y = draw.integers(0, k, n)
    X = draw.normal(0, 1, (n, d)) + 0.5 * draw.normal(0, 1, (k, d))[y]
    X_new = draw.normal(0, 1.5, (200, d))
    model = tree.DecisionTreeClassifier(max_depth=4, min_samples_leaf=10, random_state=0).fit(X, y)
    expected = np.zeros((200, k))
    expected[:, model.classes_] = model.predict_proba(X_new)
    assert model.get_depth() >= 1
    assert tree_probabilities(X, y, X_new, k) == pytest.approx(expected)


def test_values_that_repeat_are_split_as_in_scikit_learn():
    draw = np.random.default_rng(0)
    width = draw.choice([640, 800, 1024], 200)
    y = np.where(width == 800, 0, draw.integers(0, 2, 200))
    X = np.log(width)[:, None].astype(float)
    model = tree.DecisionTreeClassifier(max_depth=4, min_samples_leaf=10, random_state=0).fit(X, y)
    assert tree_probabilities(X, y, X, 2) == pytest.approx(model.predict_proba(X))


def impurity(labels):
    return len(labels) - sum(count**2 for count in np.bincount(labels)) / len(labels)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_no_split_is_purer_than_the_best(data):
    n, least = data.draw(st.integers(2, 14)), data.draw(st.integers(1, 3))
    X = np.array(data.draw(st.lists(st.tuples(*[st.integers(0, 6)] * 2), min_size=n, max_size=n)), dtype=np.float32)
    y = np.array(data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)))
    possible = [
        impurity(y[low]) + impurity(y[~low])
        for feature, value in itertools.product(range(2), range(6))
        if min((low := X[:, feature] <= value).sum(), (~low).sum()) >= least
    ]
    split = best_split(X, y, least)
    if len(set(y.tolist())) == 1 or not possible:
        assert split is None
    else:
        low = X[:, split[0]] <= split[1]
        assert min(low.sum(), (~low).sum()) >= least
        assert impurity(y[low]) + impurity(y[~low]) == pytest.approx(min(possible))


def test_a_leaf_has_the_shares_of_its_classes():
    X, y = np.arange(30.0)[:, None], np.repeat([0, 1], [14, 16])
    y[3] = 2
    probabilities = tree_probabilities(X, y, np.array([[-5.0], [99.0]]), 4, max_depth=1)
    assert probabilities.tolist() == [[13 / 14, 0, 1 / 14, 0], [0, 1, 0, 0]]
    assert tree_probabilities(X, y, X[:1], 4, max_depth=0)[0] == pytest.approx([13 / 30, 16 / 30, 1 / 30, 0])
