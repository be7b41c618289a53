"""Units of a split: photos that must share a side because they are copies, near-duplicates or of one group."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from regraft.data.manifest import Entry
from regraft.randomness import Part, fraction


@dataclass(frozen=True, slots=True)
class Unit:
    """Photos that share a side.

    Attributes:
        contents: their content hashes, sorted.
        labels: their classes; more than one where copies carry two labels.
        draw: in [0, 1), what decides.
    """

    contents: tuple[str, ...]
    labels: frozenset[str]
    draw: float


def make_units(entries: Iterable[Entry], groups: Mapping[str, str], key: tuple[Part, ...]) -> list[Unit]:
    """Return the units of ``entries``, in an order and with draws that depend on nothing but what they hold.

    Args:
        entries: photos.
        groups: content hash to the id of a group of near-duplicates.
        key: what the draws are for, such as ``("split", seed)``.
    """
    labels: dict[str, set[str]] = defaultdict(set)
    names: dict[str, set[str]] = defaultdict(set)
    together = _Forest()
    for entry in entries:
        labels[entry.content].add(entry.label)
        together.add(("content", entry.content))
        if entry.group is not None:
            names[entry.content].add(entry.group)
            together.join(("content", entry.content), ("group", entry.group))
        if entry.content in groups:
            together.join(("content", entry.content), ("near", groups[entry.content]))
    members: dict[_Node, list[str]] = defaultdict(list)
    for content in sorted(labels):
        members[together.top(("content", content))].append(content)
    return [
        Unit(tuple(contents), frozenset().union(*(labels[c] for c in contents)), _draw(contents, names, key))
        for contents in members.values()
    ]


def _draw(contents: list[str], names: Mapping[str, set[str]], key: tuple[Part, ...]) -> float:
    groups = sorted(name for content in contents if content in names for name in names[content])
    return fraction(*key, "group", groups[0]) if groups else fraction(*key, contents[0])


_Node = tuple[str, str]


class _Forest:
    """Disjoint sets with path halving (Tarjan, 1975)."""

    def __init__(self) -> None:
        self._above: dict[_Node, _Node] = {}

    def add(self, node: _Node) -> None:
        self._above.setdefault(node, node)

    def top(self, node: _Node) -> _Node:
        while self._above[node] != node:
            self._above[node] = self._above[self._above[node]]
            node = self._above[node]
        return node

    def join(self, a: _Node, b: _Node) -> None:
        self.add(a)
        self.add(b)
        self._above[self.top(a)] = self.top(b)
