"""Pairs of near-duplicates as a table of single-precision numbers, which is what a feature store contains.

Single precision has 24 bits, so that it is exact for positions below 16,777,216 alone. Among more photos a position is
stored as two numbers: the part above those bits, and the part below.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regraft.audit.near_duplicates import NearDuplicates

EXACT = 1 << 24
"""Number of positions that single precision tells apart."""

_SHORT, _LONG = 3, 5  # columns: two positions and the fit


def pairs_as_table(near: NearDuplicates, count: int) -> NDArray[np.float32]:
    """Return pairs among ``count`` photos as a table, shape (pairs, 3), or (pairs, 5) from `EXACT` photos on."""
    columns = [near.pairs] if count <= EXACT else [near.pairs // EXACT, near.pairs % EXACT]
    return np.column_stack([*(one.astype(np.float32) for one in columns), near.fit.astype(np.float32)])


def pairs_from_table(table: NDArray[np.float32], count: int) -> NearDuplicates | None:
    """Return the pairs that `pairs_as_table` stored for ``count`` photos; None for any other table."""
    if table.ndim != 2 or table.shape[1] != (_SHORT if count <= EXACT else _LONG):
        return None
    numbers, fit = table[:, :-1].astype(np.int64), table[:, -1].astype(np.float32)
    pairs = numbers if count <= EXACT else numbers[:, :2] * EXACT + numbers[:, 2:]
    return NearDuplicates(pairs, fit)
