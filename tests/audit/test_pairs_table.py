"""Tables of near-duplicates: positions stay exact for any number of photos."""

from __future__ import annotations

import numpy as np
import pytest

from regraft.audit.near_duplicates import NO_NEAR_DUPLICATES, NearDuplicates
from regraft.audit.pairs_table import EXACT, pairs_as_table, pairs_from_table


@pytest.mark.parametrize("count", [5, EXACT, EXACT + 1, 10 * EXACT])
def test_pairs_are_read_as_they_were_stored(count: int) -> None:
    pairs = np.array([[0, 1], [2, count - 1], [count - 2, count - 1], [count // 2, count // 2 + 1]])
    near = NearDuplicates(pairs, np.array([0.9, 1.0, 0.95, 0.5], dtype=np.float32))
    table = pairs_as_table(near, count)
    assert table.dtype == np.float32
    again = pairs_from_table(table, count)
    assert again is not None
    np.testing.assert_array_equal(again.pairs, pairs)
    np.testing.assert_array_equal(again.fit, near.fit)


def test_tables_of_fewer_photos_are_those_of_earlier_versions() -> None:
    near = NearDuplicates(np.array([[3, 8]]), np.array([0.75], dtype=np.float32))
    np.testing.assert_array_equal(pairs_as_table(near, 10), np.array([[3, 8, 0.75]], dtype=np.float32))


@pytest.mark.parametrize("count", [5, EXACT + 1])
def test_no_pairs_are_stored_too(count: int) -> None:
    again = pairs_from_table(pairs_as_table(NO_NEAR_DUPLICATES, count), count)
    assert again is not None and again.pairs.shape == (0, 2) and again.fit.shape == (0,)


def test_a_rounded_table_of_an_earlier_version_is_not_used() -> None:
    rounded = np.array([[3, EXACT + 1, 0.75]], dtype=np.float32)
    assert pairs_from_table(rounded, EXACT + 2) is None
    assert pairs_from_table(np.zeros(3, dtype=np.float32), 5) is None
