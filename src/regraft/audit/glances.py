"""Glances of many photos, packed: in a table that is a file where they are many."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median_low
from typing import overload

import numpy as np
from numpy.typing import NDArray

from regraft.audit.glance import GREY, PACKED, Glance
from regraft.disk.table import new_table


class Glances(Sequence[Glance]):
    """Glances of ``count`` photos; each is unpacked when it is asked for.

    One that is not there yet raises `LookupError`.
    """

    def __init__(self, count: int) -> None:
        self._rows: NDArray[np.float32] = new_table(count, PACKED)
        self._there = np.zeros(count, dtype=bool)

    @classmethod
    def of(cls, glances: Sequence[Glance]) -> Glances:
        """Return ``glances`` packed, or themselves where they are."""
        if isinstance(glances, cls):
            return glances
        out = cls(len(glances))
        for position, glance in enumerate(glances):
            out.put(position, glance.pack())
        return out

    @property
    def median_side(self) -> int:
        """Median of the photos' shorter sides in pixels."""
        return median_low(min(glance.width, glance.height) for glance in self)

    def put(self, position: int, row: NDArray[np.floating]) -> None:
        """Take what `Glance.pack` gave for one photo; anything else is left."""
        if row.shape == (PACKED,) and row.dtype == np.float32:
            self._rows[position] = row
            self._there[position] = True

    @property
    def missing(self) -> list[int]:
        """Positions of those that are not there, ascending."""
        return [int(i) for i in np.flatnonzero(~self._there)]

    def grey(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return small grey versions of the photos at ``positions``, shape (len, 64, 64), uint8."""
        packed = np.ascontiguousarray(self._rows[positions]).view(np.uint8)
        return packed[:, -GREY * GREY :].reshape(-1, GREY, GREY)

    def __len__(self) -> int:
        return len(self._there)

    @overload
    def __getitem__(self, index: int) -> Glance: ...
    @overload
    def __getitem__(self, index: slice) -> list[Glance]: ...
    def __getitem__(self, index: int | slice) -> Glance | list[Glance]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        position = range(len(self))[index]
        row = self._rows[np.array([position])][0]  # read, not mapped: the system maps many pages around one
        glance = Glance.unpack(row) if self._there[position] else None
        if glance is None:
            raise LookupError(f"there is no glance of photo {position}")
        return glance


class SomeGreys:
    """Small grey versions of the photos at ``rows``, read as an array of shape (len, 64, 64), uint8, is."""

    def __init__(self, glances: Glances, rows: NDArray[np.int64]) -> None:
        self._glances, self._rows = glances, rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        return self._glances.grey(self._rows[positions])
