"""A fixed tree of additions over the shards of a batch.

Floating-point sums depend on the order of additions. Here the order is a function of the number of shards alone: a node
is the sum of its two halves. A process adds up the nodes that lie within its own shards, so that only these are sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

Node = tuple[int, int]
"""A range of shards: the first, and the one after the last."""


def share(shards: int, rank: int, size: int) -> Node:
    """Return the shards of process ``rank`` of ``size``; process 0 has at least one.

    Example:
        >>> [share(8, rank, 3) for rank in range(3)]
        [(0, 3), (3, 6), (6, 8)]
    """
    return -(-rank * shards // size), -(-(rank + 1) * shards // size)


def halves(node: Node) -> tuple[Node, Node]:
    """Return the two nodes whose sum ``node`` is; it covers at least two shards."""
    first, end = node
    middle = (first + end + 1) // 2
    return (first, middle), (middle, end)


def cover(node: Node, part: Node) -> list[Node]:
    """Return the largest nodes at or below ``node`` that together cover exactly the shards in ``part``.

    Example:
        >>> cover((0, 8), (0, 3))
        [(0, 2), (2, 3)]
    """
    first, end = max(node[0], part[0]), min(node[1], part[1])
    if first >= end:
        return []
    if (first, end) == node:
        return [node]
    left, right = halves(node)
    return cover(left, part) + cover(right, part)


def fold(node: Node, value_of: Callable[[Node], T | None], add: Callable[[T, T], T]) -> T:
    """Return the sum at ``node``.

    Args:
        node: the node.
        value_of: returns the value of a node that is known, and None for one that its halves make. It knows single
            shards.
        add: returns the sum of two values; it may change the first.
    """
    value = value_of(node)
    if value is not None:
        return value
    left, right = halves(node)
    return add(fold(left, value_of, add), fold(right, value_of, add))
