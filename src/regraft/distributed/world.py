"""The world of a process: the processes that train together, and the ways in which they exchange values.

A process that `torchrun` started knows its number (``RANK``) and the number of all (``WORLD_SIZE``). Any other process
is `Alone`: it exchanges nothing, and does not load torch.distributed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from regraft.interrupts import INTERRUPTS

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")

ENVIRONMENT = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Variables that `torchrun` sets in each process that it starts."""


class World(Protocol):
    """The processes that train together. Every process calls the same methods in the same order."""

    @property
    def rank(self) -> int:
        """Number of this process, counted from 0. Process 0 leads: it runs callbacks and writes files."""

    @property
    def size(self) -> int:
        """Number of processes."""

    @property
    def interrupt(self) -> type[BaseException] | None:
        """The interrupt of any process, as all processes know it since the last `gather`; None if there is none."""

    def broadcast(self, value: T) -> T:
        """Return the ``value`` of process 0."""

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes, in their order."""

    def exchange(self, sent: Tensor, sent_sizes: Sequence[int], received_sizes: Sequence[int]) -> Tensor:
        """Send a piece of ``sent`` (one dimension) to each process; return the pieces that they send to this one."""

    def join(self, piece: Tensor) -> Tensor:
        """Return the pieces of all processes, which have the same length, behind one another."""

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum over all processes, in any order of additions."""


@dataclass(frozen=True)
class Alone:
    """The world of a single process.

    Attributes:
        rank: 0.
        size: 1.
    """

    rank: int = 0
    size: int = 1

    @property
    def interrupt(self) -> type[BaseException] | None:
        """The deferred interrupt of this process."""
        return INTERRUPTS.pending

    def broadcast(self, value: T) -> T:
        """Return ``value``."""
        return value

    def gather(self, value: T) -> list[T]:
        """Return ``value`` in a list."""
        return [value]

    def exchange(self, sent: Tensor, sent_sizes: Sequence[int], received_sizes: Sequence[int]) -> Tensor:
        """Return ``sent``."""
        return sent

    def join(self, piece: Tensor) -> Tensor:
        """Return ``piece``."""
        return piece

    def sum(self, values: Tensor) -> Tensor:
        """Return ``values``."""
        return values


ALONE = Alone()

_worlds: list[World] = []


def is_launched() -> bool:
    """Return whether `torchrun`, or a process group of the user, makes this process one of several (or one of one)."""
    if all(name in os.environ for name in ENVIRONMENT):
        return True
    distributed = sys.modules.get("torch.distributed")
    return distributed is not None and distributed.is_available() and bool(distributed.is_initialized())


def leads() -> bool:
    """Return whether this process is the only one or process 0; no other process prints or writes."""
    return not is_launched() or int(os.environ.get("RANK", "0")) == 0


def first_to_fail() -> bool:
    """Return whether this process is the first one that ends with an error, so that one message is printed."""
    if not is_launched():
        return True
    group = sys.modules.get("regraft.distributed.process_group")
    if group is None or not group.joined_world.cache_info().currsize:
        return leads()  # the others have the same options, and the same error
    return bool(group.claim("failed"))


def current() -> World:
    """Return the world that the running code works in: that of the innermost `together` or `alone`, else `ALONE`."""
    return _worlds[-1] if _worlds else ALONE


def decided_by_first(make: Callable[[], T]) -> T:
    """Return what ``make`` returns in process 0; the other processes do not call it."""
    world = current()
    value: Any = make() if world.rank == 0 else None
    decided: T = world.broadcast(value)
    return decided


@contextmanager
def together() -> Iterator[World]:
    """Run a block with the other processes, if `torchrun` started any; inside `alone` it stays alone.

    Raises:
        WorkersError: the other processes cannot be reached.
    """
    if _worlds or not is_launched():
        yield current()
        return
    from regraft.distributed.process_group import joined_world  # imports torch.distributed

    _worlds.append(joined_world())
    try:
        yield _worlds[-1]
    finally:
        _worlds.pop()


@contextmanager
def alone() -> Iterator[None]:
    """Run a block without the other processes, which may be somewhere else."""
    _worlds.append(ALONE)
    try:
        yield
    finally:
        _worlds.pop()
