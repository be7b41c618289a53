"""The places of all keys of a shared store in memory: 20 bytes per entry, searched by bisection."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from regraft.features.stores.shared.arrow_file import KEY_BYTES

_PREFIX = 8  # bytes of a key that are compared; with 100 million entries, a wrong match has a chance of 5e-12


class KeyIndex:
    """The file, record batch and row of every key.

    A key may be in several files, because two processes may have computed it. Only the first eight bytes of a key are
    compared; the digest of an entry detects a wrong match.
    """

    def __init__(self) -> None:
        self._names: list[str] = []
        self._number: dict[str, int] = {}
        self._prefix = np.zeros(0, np.uint64)
        self._place = np.zeros((0, 3), np.int32)  # file, batch, row
        self._added: list[tuple[NDArray[np.uint64], NDArray[np.int32]]] = []

    @property
    def names(self) -> set[str]:
        """Names of the files whose keys are in the index."""
        return set(self._number)

    def add(self, name: str, batches: Sequence[NDArray[np.uint8]]) -> None:
        """Add the keys of a file: for each record batch, shape (n, 32), uint8."""
        number = self._number.setdefault(name, len(self._names))
        if number == len(self._names):
            self._names.append(name)
        for batch, keys in enumerate(batches):
            rows = np.arange(len(keys), dtype=np.int32)
            place = np.stack([np.full_like(rows, number), np.full_like(rows, batch), rows], axis=1)
            self._added.append((_prefixes(keys), place))

    def forget(self, names: Iterable[str]) -> None:
        """Remove the keys of files that no longer exist."""
        gone = [self._number.pop(name) for name in names if name in self._number]
        if gone:
            self._sort()
            left = ~np.isin(self._place[:, 0], gone)
            self._prefix, self._place = self._prefix[left], self._place[left]

    def places(self, keys: Sequence[bytes]) -> list[list[tuple[str, int, int]]]:
        """Return for each key the places that may have it, as (file, record batch, row)."""
        first, last = self._ranges(keys)
        return [
            [(self._names[file], batch, row) for file, batch, row in self._place[low:high].tolist()]
            for low, high in zip(first.tolist(), last.tolist(), strict=True)
        ]

    def contains(self, keys: Sequence[bytes]) -> NDArray[np.bool_]:
        """Return whether each key is in the index, shape (len(keys),)."""
        first, last = self._ranges(keys)
        return last > first

    def _ranges(self, keys: Sequence[bytes]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        self._sort()
        wanted = _prefixes(np.frombuffer(b"".join(keys), np.uint8).reshape(-1, KEY_BYTES))
        first, last = (np.searchsorted(self._prefix, wanted, side=side) for side in ("left", "right"))
        return first, last

    def _sort(self) -> None:
        if self._added:
            prefix = np.concatenate([self._prefix, *(prefix for prefix, _ in self._added)])
            place = np.concatenate([self._place, *(place for _, place in self._added)])
            order = np.argsort(prefix, kind="stable")
            self._prefix, self._place, self._added = prefix[order], place[order], []


def _prefixes(keys: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return the first eight bytes of keys as numbers: (n, 32) -> (n,), uint64."""
    if not len(keys):
        return np.zeros(0, np.uint64)
    return np.ascontiguousarray(keys[:, :_PREFIX]).view(">u8")[:, 0].astype(np.uint64)
