"""The confusion matrix: classes that look alike stand together."""

from __future__ import annotations

import numpy as np

from regraft.report.sections.confusion import by_similarity


def test_classes_that_are_confused_become_neighbors():
    similarity = np.full((6, 6), 0.01)
    for a, b in ((0, 3), (3, 5), (1, 4)):
        similarity[a, b] = similarity[b, a] = 0.5
    np.fill_diagonal(similarity, -1)
    order = by_similarity(similarity)
    assert sorted(order) == list(range(6))
    place = {c: k for k, c in enumerate(order)}
    assert all(abs(place[a] - place[b]) == 1 for a, b in ((0, 3), (3, 5), (1, 4)))


def test_two_classes_and_classes_that_are_never_confused_keep_their_order():
    assert by_similarity(np.array([[-1.0, 0.2], [0.2, -1.0]])) == [0, 1]
    flat = np.zeros((4, 4))
    np.fill_diagonal(flat, -1)
    assert by_similarity(flat) == [0, 1, 2, 3]
