"""Units of a split: photos that must share a side because they are duplicates, near-duplicates or of one group."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from regraft.data.manifest import Entry
from regraft.randomness import Part, fraction, fractions

_Node: TypeAlias = tuple[str, str]


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
    ties = _Ties.of(entries, groups)
    draw = fractions(*key)
    units = []
    for contents in ties.sets():
        named = sorted(name for content in contents for name in ties.names.get(content, ()))
        labels = ties.labels[contents[0]]
        for content in contents[1:]:
            labels |= ties.labels[content]
        units.append(Unit(contents, labels, fraction(*key, "group", named[0]) if named else draw(contents[0])))
    return units


def unit_ids(entries: Iterable[Entry], groups: Mapping[str, str]) -> dict[str, str]:
    """Return the id of the unit of each content that shares its unit with others: the smallest content hash in it.

    The id of any other content is the content itself.

    Args:
        entries: photos.
        groups: content hash to the id of a group of near-duplicates.
    """
    sets = _Ties.of(entries, groups).sets()
    return {content: contents[0] for contents in sets if len(contents) > 1 for content in contents}


@dataclass(frozen=True)
class _Ties:
    """The labels of every content, and the sets that tie contents together; a content in no set is not in them.

    Millions of photos are tied to no other. They share one set of labels for each class.

    Attributes:
        labels: content to its labels.
        names: content to the user's groups, for contents in one.
        tied: sets of contents and groups.
    """

    labels: dict[str, frozenset[str]]
    names: dict[str, set[str]]
    tied: DisjointSets[_Node]

    @classmethod
    def of(cls, entries: Iterable[Entry], groups: Mapping[str, str]) -> _Ties:
        labels: dict[str, frozenset[str]] = {}
        of_class: dict[str, frozenset[str]] = {}
        names: dict[str, set[str]] = defaultdict(set)
        tied = DisjointSets[_Node]()
        for entry in entries:
            own = of_class.setdefault(entry.label, frozenset((entry.label,)))
            labels[entry.content] = labels[entry.content] | own if entry.content in labels else own
            if entry.group is not None:
                names[entry.content].add(entry.group)
                tied.join(("content", entry.content), ("group", entry.group))
            if entry.content in groups:
                tied.join(("content", entry.content), ("near", groups[entry.content]))
        return cls(labels, dict(names), tied)

    def sets(self) -> Iterator[tuple[str, ...]]:
        """Yield the contents that belong together, sorted; the sets are in the order of their smallest contents."""
        members: dict[_Node, list[str]] = defaultdict(list)
        ordered = sorted(self.labels)
        for content in ordered:
            if ("content", content) in self.tied:
                members[self.tied.root(("content", content))].append(content)
        first = {contents[0]: contents for contents in members.values()}
        others = {content for contents in members.values() for content in contents[1:]}
        for content in ordered:
            if content in first:
                yield tuple(first[content])
            elif content not in others:
                yield (content,)


T = TypeVar("T")


class DisjointSets(Generic[T]):
    """Disjoint sets of hashable items, with path halving (Tarjan, 1975)."""

    def __init__(self) -> None:
        self._parent: dict[T, T] = {}

    def add(self, node: T) -> None:
        """Add an item as its own set, if it is missing."""
        self._parent.setdefault(node, node)

    def __contains__(self, node: T) -> bool:
        """Return whether an item was added."""
        return node in self._parent

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
