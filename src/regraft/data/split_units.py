"""Units of a split: photos that must share a side because they are duplicates, near-duplicates or of one group."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from regraft.data.manifest import Entry
from regraft.randomness import Part, fraction


@dataclass(frozen=True, slots=True)
class Unit:
    """Photos that share a side.

    Attributes:
        contents: their content hashes, sorted.
        labels: their classes; more than one if duplicates have different labels.
        draw: random number in [0, 1) that determines the side.
    """

    contents: tuple[str, ...]
    labels: frozenset[str]
    draw: float


def make_units(entries: Iterable[Entry], groups: Mapping[str, str], key: tuple[Part, ...]) -> list[Unit]:
    """Return the units of ``entries``; their order and draws depend only on contents, groups and ``key``.

    Args:
        entries: photos.
        groups: content hash to the id of a group of near-duplicates.
        key: key of the draws, such as ``("split", seed)``.
    """
    labels: dict[str, set[str]] = defaultdict(set)
    names: dict[str, set[str]] = defaultdict(set)
    sets = DisjointSets[_Node]()
    for entry in entries:
        labels[entry.content].add(entry.label)
        sets.add(("content", entry.content))
        if entry.group is not None:
            names[entry.content].add(entry.group)
            sets.join(("content", entry.content), ("group", entry.group))
        if entry.content in groups:
            sets.join(("content", entry.content), ("near", groups[entry.content]))
    members: dict[_Node, list[str]] = defaultdict(list)
    for content in sorted(labels):
        members[sets.root(("content", content))].append(content)
    return [
        Unit(tuple(contents), frozenset().union(*(labels[c] for c in contents)), _random_fraction(contents, names, key))
        for contents in members.values()
    ]


def _random_fraction(contents: list[str], names: Mapping[str, set[str]], key: tuple[Part, ...]) -> float:
    groups = sorted(name for content in contents if content in names for name in names[content])
    return fraction(*key, "group", groups[0]) if groups else fraction(*key, contents[0])


_Node = tuple[str, str]

T = TypeVar("T")


class DisjointSets(Generic[T]):
    """Disjoint sets of hashable items, with path halving (Tarjan, 1975)."""

    def __init__(self) -> None:
        self._parent: dict[T, T] = {}

    def add(self, node: T) -> None:
        """Add an item as its own set, if it is missing."""
        self._parent.setdefault(node, node)

    def root(self, node: T) -> T:
        """Return the representative of the set of an item."""
        while self._parent[node] != node:
            self._parent[node] = self._parent[self._parent[node]]
            node = self._parent[node]
        return node

    def join(self, a: T, b: T) -> None:
        """Merge the sets of two items, which are added if needed."""
        self.add(a)
        self.add(b)
        self._parent[self.root(a)] = self.root(b)
