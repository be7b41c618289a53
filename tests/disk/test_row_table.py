"""Tables with a row for each photo read alike in memory and in a file."""

from __future__ import annotations

import numpy as np
import pytest

from regraft.disk import row_table


def test_a_large_table_is_a_file_and_reads_as_an_array_does(tmp_path, monkeypatch):
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path))
    monkeypatch.setattr(row_table, "LARGE", 1000)
    monkeypatch.setattr(row_table, "_RELEASE_AFTER", 1 << 12)
    expected = np.random.default_rng(0).standard_normal((300, 64)).astype(np.float32)
    rows = row_table.new_table(300, 64)
    assert isinstance(rows, row_table.FileRows) and list(tmp_path.iterdir()) == []
    for i in range(300):
        rows[i] = expected[i]
    order = np.random.default_rng(1).permutation(300)
    assert np.array_equal(rows[order], expected[order]) and np.array_equal(rows[-order], expected[-order])
    assert np.array_equal(rows[20:170], expected[20:170]) and np.array_equal(np.asarray(rows), expected)
    assert np.array_equal(rows[20:][order[:5] % 200], expected[20:][order[:5] % 200])
    assert row_table.take(rows, np.arange(300)) is rows
    some = row_table.take(rows, order[:200])
    assert isinstance(some, row_table.FileRows) and np.array_equal(some, expected[order[:200]])
    assert rows[order[:0]].shape == (0, 64)
    with pytest.raises(IndexError):
        rows[np.array([300])]


def test_a_table_of_another_dtype_is_a_file_too(tmp_path, monkeypatch):
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path))
    monkeypatch.setattr(row_table, "LARGE", 1000)
    expected = np.random.default_rng(0).standard_normal((300, 5))
    rows = row_table.new_table(300, 5, np.float64)
    rows[:] = expected
    order = np.random.default_rng(1).permutation(300)
    assert isinstance(rows, row_table.FileRows) and rows.dtype == np.float64
    assert np.array_equal(rows[order], expected[order]) and np.array_equal(row_table.take(rows, order), expected[order])


def test_tables_are_stacked_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path))
    monkeypatch.setattr(row_table, "LARGE", 1000)
    monkeypatch.setattr(row_table, "_BLOCK", 7)
    parts = [np.random.default_rng(i).standard_normal((n, 5)).astype(np.float32) for i, n in enumerate((30, 1, 200))]
    found = row_table.stacked(parts)
    assert isinstance(found, row_table.FileRows) and np.array_equal(found, np.concatenate(parts))
    assert row_table.stacked(parts[:1]) is parts[0]


@pytest.mark.parametrize("large", [1, 1 << 30])
def test_tables_stand_side_by_side(tmp_path, monkeypatch, large):
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path))
    first, second = (np.arange(2500 * width, dtype=np.float32).reshape(2500, width) for width in (3, 5))
    monkeypatch.setattr(row_table, "LARGE", large)
    joined = row_table.side_by_side([first, second])
    assert isinstance(joined, row_table.FileRows) == (large == 1)
    assert np.array_equal(joined, np.concatenate([first, second], axis=1))
    assert row_table.side_by_side([first]) is first
