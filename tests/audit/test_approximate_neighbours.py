"""Beyond a number of photos, an index finds the near-duplicates that the exact search finds."""

from __future__ import annotations

import numpy as np
import pytest

from regraft.audit import approximate_neighbours
from regraft.audit.approximate_neighbours import exact_search_warning, is_approximate
from regraft.audit.neighbours import nearest_neighbours


def rows_with_copies(n=3000, d=24, seed=0):
    draw = np.random.default_rng(seed)
    rows = (draw.standard_normal((40, d))[draw.integers(0, 40, n)] + draw.standard_normal((n, d))).astype(np.float32)
    pairs = draw.permutation(n)[:300].reshape(-1, 2)
    rows[pairs[:, 1]] = rows[pairs[:, 0]] + 0.2 * draw.standard_normal((150, d)).astype(np.float32)
    return rows, pairs


@pytest.fixture
def index(monkeypatch):
    pytest.importorskip("faiss", reason="the extra scale is not installed")
    monkeypatch.setattr(approximate_neighbours, "EXACT_ROWS", 1000)


def test_the_index_finds_known_copies_and_most_neighbors(index, monkeypatch):
    rows, pairs = rows_with_copies()
    found = nearest_neighbours(rows, 10)
    monkeypatch.setattr(approximate_neighbours, "EXACT_ROWS", 10**6)
    exact = nearest_neighbours(rows, 10)
    known = {tuple(sorted(pair)) for pair in pairs.tolist()}
    assert len(known & {tuple(pair) for pair in found.pairs().tolist()}) >= 0.99 * len(known)
    assert found.index.shape == exact.index.shape == (3000, 10) and not (found.index == np.arange(3000)[:, None]).any()
    same = (found.index[:, 0] == exact.index[:, 0]) & np.isclose(found.cosine[:, 0], exact.cosine[:, 0], atol=1e-5)
    assert same.mean() > 0.95
    assert nearest_neighbours(rows[:900], 10).index.shape == (900, 10)


def test_any_number_of_threads_gives_the_same_neighbors(index, monkeypatch):
    rows, _ = rows_with_copies()
    results = []
    for threads in (1, 2):
        monkeypatch.setattr(approximate_neighbours, "cores", lambda threads=threads: threads)
        results.append(nearest_neighbours(rows, 5))
    assert (results[0].index == results[1].index).all() and (results[0].cosine == results[1].cosine).all()


def test_identical_rows_and_lonely_rows_have_valid_neighbors(index):
    rows, _ = rows_with_copies()
    rows[:1500] = rows[0]
    rows[-1] = 1000
    found = nearest_neighbours(rows, 10).index
    assert found.min() >= 0 and found.max() < 3000 and not (found == np.arange(3000)[:, None]).any()


def test_without_the_index_the_search_stays_exact_and_says_how_long_it_takes(monkeypatch):
    monkeypatch.setattr(approximate_neighbours, "is_installed", lambda: False)
    monkeypatch.setattr(approximate_neighbours, "cores", lambda: 2)
    assert not is_approximate(10**6) and exact_search_warning(100_000) is None
    assert exact_search_warning(10**6) == (
        "comparing 1,000,000 photos with each other takes about 147 min; an index takes a small part of that: "
        "pip install 'regraft[scale]'"
    )
    monkeypatch.setattr(approximate_neighbours, "is_installed", lambda: True)
    assert is_approximate(10**6) and exact_search_warning(10**6) is None
