"""A pass over photos that several processes share: each computes its photos into a store that all of them read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from regraft.distributed.world import current


class _Entry(Protocol):
    @property
    def content(self) -> str: ...


E = TypeVar("E", bound=_Entry)


def fill_together(entries: Sequence[E], fill: Callable[[list[E]], object]) -> None:
    """Let each process compute its share of ``entries`` by their content, and wait for all; one process does nothing.

    Args:
        entries: photos, the same in every process.
        fill: computes photos into the store.
    """
    world = current()
    if world.size > 1:
        fill([entry for entry in entries if int(entry.content[:8] or "0", 16) % world.size == world.rank])
        world.gather(None)
