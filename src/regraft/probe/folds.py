"""Folds of a cross-validation: stratified by class, never splitting a group, independent of the order of the rows."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regraft.probe.feature_matrix import Float
from regraft.randomness import derive

FOLDS = 5


@dataclass(frozen=True)
class Folds:
    """The fold of each row.

    Attributes:
        fold_of_row: shape (n,), int64, in ``range(count)``; every fold has rows.
        group_of_row: number of the group of each row, shape (n,), int64. A row without a group is its own group.
        rank_of_row: position of the row's group in a shuffled order, shape (n,), int64.
        count: number of folds; with fewer than two, no row can be held out.
    """

    fold_of_row: NDArray[np.int64]
    group_of_row: NDArray[np.int64]
    rank_of_row: NDArray[np.int64]
    count: int

    def subset(self, rows: NDArray[np.int64]) -> Folds:
        """Return the folds of ``rows`` only."""
        return Folds(self.fold_of_row[rows], self.group_of_row[rows], self.rank_of_row[rows], self.count)


def row_keys(X: Float, y: NDArray[np.int64]) -> list[str]:
    """Return a key for each row: a hash of its bytes and its class, for callers without a content hash."""
    return [
        hashlib.blake2b(np.ascontiguousarray(row).tobytes() + int(c).to_bytes(8, "little"), digest_size=16).hexdigest()
        for row, c in zip(X, y, strict=True)
    ]


def make_folds(
    y: NDArray[np.int64],
    keys: Sequence[str],
    groups: Sequence[Hashable] | None = None,
    *,
    count: int = FOLDS,
    seed: int = 0,
) -> Folds:
    """Return folds in which every class has its share.

    Rows with the same group or the same key stay in one fold. The result depends on ``seed``, the keys, the classes
    and the groups. It does not depend on the order of the rows, nor on the names of the groups. Groups of several rows
    are assigned first, the largest first, each to the fold that has the smallest share of its classes. Single rows
    follow, class by class, each to the fold with the fewest rows of its class.

    Args:
        y: class of each row, shape (n,).
        keys: identifier of each row, such as the hash of a photo's content.
        groups: group of each row, or None for no groups.
        count: number of folds wanted; the result has fewer if there are fewer groups.
        seed: another seed gives other folds.
    """
    group = _merge_groups(keys, groups)
    group_count = int(group.max()) + 1
    shuffled = _shuffled_groups(group, group_count, keys, seed)
    count = min(count, group_count)
    fold_of_group = _assign_folds(y, group, shuffled, max(1, count))
    rank = np.empty(group_count, dtype=np.int64)
    rank[shuffled] = np.arange(group_count)
    return Folds(fold_of_group[group], group, rank[group], count)


def _merge_groups(keys: Sequence[str], groups: Sequence[Hashable] | None) -> NDArray[np.int64]:
    """Return a group number for each row; rows that share a key or a group, directly or through others, have one."""
    parent = list(range(len(keys)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    columns: list[Sequence[Hashable]] = [keys] if groups is None else [keys, groups]
    for column in columns:
        first_row: dict[Hashable, int] = {}
        for i, name in enumerate(column):
            a, b = root(i), root(first_row.setdefault(name, i))
            parent[max(a, b)] = min(a, b)
    _, group = np.unique([root(i) for i in range(len(keys))], return_inverse=True)
    return group.astype(np.int64)


def _shuffled_groups(group: NDArray[np.int64], group_count: int, keys: Sequence[str], seed: int) -> NDArray[np.int64]:
    """Return the groups in an order that depends on the seed and on the smallest key in each group."""
    smallest = [""] * group_count
    for g, key in zip(group.tolist(), keys, strict=True):
        if not smallest[g] or key < smallest[g]:
            smallest[g] = key
    draws = [(derive("fold", seed, key), key) for key in smallest]
    return np.array(sorted(range(group_count), key=draws.__getitem__), dtype=np.int64)


def _assign_folds(
    y: NDArray[np.int64], group: NDArray[np.int64], shuffled: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """Return the fold of each group."""
    size = np.bincount(group)
    class_total = np.bincount(y)
    fold_of_group = np.zeros(len(size), dtype=np.int64)
    in_fold = np.zeros((count, len(class_total)))  # rows of each class in each fold
    class_counts = _class_counts(y, group)
    several_rows = [g for g in shuffled if size[g] > 1]
    for g in sorted(several_rows, key=lambda g: -size[g]):
        counts = class_counts[g]
        fullness = sum(n * in_fold[:, c] / class_total[c] for c, n in counts.items())
        fold_of_group[g] = min(range(count), key=lambda f: (fullness[f], in_fold[f].sum(), f))
        for c, n in counts.items():
            in_fold[fold_of_group[g], c] += n
    rows = in_fold.sum(axis=1)
    for c in range(len(class_total)):
        for g in (g for g in shuffled if size[g] == 1 and c in class_counts[g]):
            fold_of_group[g] = min(range(count), key=lambda f: (in_fold[f, c], rows[f], f))
            in_fold[fold_of_group[g], c] += 1
            rows[fold_of_group[g]] += 1
    return fold_of_group


def _class_counts(y: NDArray[np.int64], group: NDArray[np.int64]) -> list[Counter[int]]:
    """Return the number of rows of each class in each group."""
    counts: list[Counter[int]] = [Counter() for _ in range(int(group.max()) + 1)]
    for g, c in zip(group.tolist(), y.tolist(), strict=True):
        counts[g][c] += 1
    return counts
