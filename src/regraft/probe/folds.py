"""Folds of a cross-validation: stratified, never through a group, and the same whatever order the rows come in."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regraft.probe.feature_matrix import Float
from regraft.randomness import derive

FOLDS = 5


@dataclass(frozen=True)
class Folds:
    """Which fold each row is in.

    Attributes:
        of: fold of each row, shape (n,), int64, in ``range(number)``; every fold has rows.
        unit: number of the group of each row, shape (n,), int64. A row without group is a group of its own.
        rank: a shuffled place for each row, shape (n,), int64, the same for the rows of a group.
        number: number of folds; fewer than two mean that nothing can be held out.
    """

    of: NDArray[np.int64]
    unit: NDArray[np.int64]
    rank: NDArray[np.int64]
    number: int


def row_keys(X: Float, y: NDArray[np.int64]) -> list[str]:
    """Return a key for each row made of its bytes and class, for callers that have no content hash at hand."""
    return [
        hashlib.blake2b(np.ascontiguousarray(row).tobytes() + int(c).to_bytes(8, "little"), digest_size=16).hexdigest()
        for row, c in zip(X, y, strict=True)
    ]


def make_folds(
    y: NDArray[np.int64],
    keys: Sequence[str],
    groups: Sequence[Hashable] | None = None,
    *,
    number: int = FOLDS,
    seed: int = 0,
) -> Folds:
    """Deal rows into folds so that each fold has its share of every class.

    Rows of one group, and rows of one key, stay together. What goes where depends on ``seed``, the keys, the classes
    and the groups; not on the order of the rows, and not on how groups are called. Groups of several rows are dealt
    first, the largest first, each to the fold that lacks its classes most; then single rows, class by class, in turn.

    Args:
        y: class of each row, shape (n,).
        keys: what identifies each row, such as the hash of a photo's content.
        groups: group of each row, or None for none.
        number: folds that are wanted; there are fewer where there are fewer groups.
        seed: another seed deals other folds.
    """
    unit = _units(keys, groups)
    count = int(unit.max()) + 1
    shuffled = _shuffled(unit, count, keys, seed)
    number = min(number, count)
    fold_of_unit = _deal(y, unit, shuffled, max(1, number))
    rank = np.empty(count, dtype=np.int64)
    rank[shuffled] = np.arange(count)
    return Folds(fold_of_unit[unit], unit, rank[unit], number)


def _units(keys: Sequence[str], groups: Sequence[Hashable] | None) -> NDArray[np.int64]:
    """Number the sets of rows that share a key or a group, directly or through others."""
    parent = list(range(len(keys)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    names: list[Sequence[Hashable]] = [keys] if groups is None else [keys, groups]
    for kind in names:
        first: dict[Hashable, int] = {}
        for i, name in enumerate(kind):
            a, b = root(i), root(first.setdefault(name, i))
            parent[max(a, b)] = min(a, b)
    _, unit = np.unique([root(i) for i in range(len(keys))], return_inverse=True)
    return unit.astype(np.int64)


def _shuffled(unit: NDArray[np.int64], count: int, keys: Sequence[str], seed: int) -> NDArray[np.int64]:
    """Return the units in an order that depends on the seed and on the smallest key in each."""
    smallest = [""] * count
    for u, key in zip(unit.tolist(), keys, strict=True):
        if not smallest[u] or key < smallest[u]:
            smallest[u] = key
    draws = [(derive("fold", seed, key), key) for key in smallest]
    return np.array(sorted(range(count), key=draws.__getitem__), dtype=np.int64)


def _deal(y: NDArray[np.int64], unit: NDArray[np.int64], shuffled: NDArray[np.int64], number: int) -> NDArray[np.int64]:
    """Return the fold of each unit."""
    classes = int(y.max()) + 1
    size = np.bincount(unit)
    fold = np.zeros(len(size), dtype=np.int64)
    held = np.zeros((number, classes))  # rows of each class in each fold
    members = _members(y, unit)
    total = np.bincount(y, minlength=classes)
    several = [u for u in shuffled if size[u] > 1]
    for u in sorted(several, key=lambda u: -size[u]):
        counts = members[u]
        lack = sum(n * held[:, c] / total[c] for c, n in counts.items())
        fold[u] = min(range(number), key=lambda f: (lack[f], held[f].sum(), f))
        for c, n in counts.items():
            held[fold[u], c] += n
    rows = held.sum(axis=1)
    for c in range(classes):
        for u in (u for u in shuffled if size[u] == 1 and c in members[u]):
            fold[u] = min(range(number), key=lambda f: (held[f, c], rows[f], f))
            held[fold[u], c] += 1
            rows[fold[u]] += 1
    return fold


def _members(y: NDArray[np.int64], unit: NDArray[np.int64]) -> list[dict[int, int]]:
    """Return how many rows of which class are in each unit."""
    out: list[dict[int, int]] = [{} for _ in range(int(unit.max()) + 1)]
    for u, c in zip(unit.tolist(), y.tolist(), strict=True):
        out[u][c] = out[u].get(c, 0) + 1
    return out
