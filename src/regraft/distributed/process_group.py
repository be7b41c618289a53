"""The world of several processes, on torch.distributed; the only module that imports it."""

from __future__ import annotations

import datetime as dt
import functools
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.functional import pad

from regraft.distributed.hangs import computing, seconds_to_wait, waiting
from regraft.distributed.meeting import meet
from regraft.distributed.messages import FIRST, length_of, packed, unpacked
from regraft.errors import WorkersError
from regraft.interrupts import INTERRUPTS

T = TypeVar("T")

_ADVICE = "its stack is above if it was still running; --worker-timeout 30m waits longer"

GRACE = 3.0
"""Seconds in which processes whose wait has timed out report that they have arrived."""

_all_gather = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor  # the name before torch 2.13


@functools.cache
def joined_world() -> Processes:
    """Return the world of this process, after joining the group of all processes that were started with it.

    Raises:
        WorkersError: the other processes cannot be reached.
    """
    limit = dt.timedelta(seconds=seconds_to_wait())
    try:
        if not dist.is_initialized():
            if torch.cuda.is_available():
                torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
            store = meet(seconds_to_wait())
            rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
            dist.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=limit)
        control = dist.new_group(backend="gloo", timeout=limit)
        cuda = torch.cuda.is_available() and dist.is_nccl_available()
        fast = dist.new_group(backend="nccl", timeout=limit) if cuda else control
    except (RuntimeError, ValueError, TimeoutError) as error:
        raise WorkersError(
            f"the processes of this training cannot reach each other; expected {os.environ.get('WORLD_SIZE')} of them "
            f"at {os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}, found: {_first_line(error)}\n"
            "  start all of them with one torchrun command per machine, with the same --nnodes and --rdzv-endpoint",
            lost=True,
        ) from error
    return Processes(control, fast)


def claim(what: str) -> bool:
    """Return whether this process is the first of all that claims ``what``; yes, if they cannot be asked."""
    try:
        return int(dist.distributed_c10d._get_default_store().add(f"claim/{what}", 1)) == 1
    except RuntimeError:
        return True


class Processes:
    """The world of several processes.

    Attributes:
        rank: number of this process.
        size: number of processes.

    Args:
        control: group for values in main memory.
        fast: group for tensors on the device of the training.
    """

    def __init__(self, control: Any, fast: Any) -> None:
        self._control, self._fast = control, fast
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self._interrupts: list[type[BaseException]] = []

    @property
    def interrupt(self) -> type[BaseException] | None:
        """The interrupt of any process, as of the last `gather`."""
        return self._interrupts[0] if self._interrupts else None

    def broadcast(self, value: T) -> T:
        """Return the ``value`` of process 0."""
        message = packed(value if self.rank == 0 else None)
        with _together(self):
            first = message[:FIRST].clone()
            dist.broadcast(first, 0, group=self._control)
            length = length_of(first)
            if length > FIRST:
                message = message if self.rank == 0 else first.new_empty(length)
                dist.broadcast(message, 0, group=self._control)
        received: T = value if self.rank == 0 else unpacked(message if length > FIRST else first)
        return received

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes, and learn of their interrupts."""
        message = packed((value, INTERRUPTS.pending))
        with _together(self):
            messages = self._all(message[:FIRST])
            longest = max(map(length_of, messages))
            if longest > FIRST:
                messages = self._all(pad(message, (0, longest - len(message))))
        values = [unpacked(each) for each in messages]
        self._interrupts[:] = [pending for _, pending in values if pending is not None]
        return [one for one, _ in values]

    def exchange(self, sent: Tensor, sent_sizes: Sequence[int], received_sizes: Sequence[int]) -> Tensor:
        """Send a piece of ``sent`` to each process; return the pieces that they send to this one."""
        received = sent.new_empty(sum(received_sizes))
        with _together(self):
            dist.all_to_all_single(received, sent, list(received_sizes), list(sent_sizes), group=self._of(sent))
        return received

    def join(self, piece: Tensor) -> Tensor:
        """Return the pieces of all processes behind one another."""
        whole = piece.new_empty(self.size * len(piece))
        with _together(self):
            _all_gather(whole, piece.contiguous(), group=self._of(piece))
        return whole

    def sum(self, values: Tensor) -> Tensor:
        """Return the sum over all processes, in any order of additions."""
        total = values.clone()
        with _together(self):
            dist.all_reduce(total, group=self._of(total))
        return total

    def _all(self, message: Tensor) -> list[Tensor]:
        """Return the messages of all processes, which have the same length."""
        whole = message.new_empty(self.size * len(message))
        _all_gather(whole, message.contiguous(), group=self._control)
        return list(whole.view(self.size, -1))

    def _of(self, tensor: Tensor) -> Any:
        return self._fast if tensor.is_cuda else self._control


@contextmanager
def _together(world: Processes) -> Iterator[None]:
    """Wait for the other processes in this block, and explain its errors.

    Raises:
        WorkersError: a process ended, or did not arrive in time.
    """
    waiting()
    try:
        yield
    except RuntimeError as error:
        raise WorkersError(_explanation(world, error), lost=True) from error
    finally:
        computing()


def _explanation(world: Processes, error: RuntimeError) -> str:
    """Return the message for a failed exchange: the processes that did not arrive, or that one has ended."""
    text = str(error)
    if "imed out" not in text and "imeout" not in text:
        return (
            f"another process of this training has ended (process {world.rank} was told: {_first_line(error)})\n"
            "  torchrun --max-restarts 3 starts all of them again; the training resumes from its last snapshot"
        )
    missing, limit = _missing(world), f"{seconds_to_wait():.0f}"
    if len(missing) == 1:
        late = f"process {missing[0]} did not arrive within {limit} s"
    else:
        late = f"processes {', '.join(map(str, missing))} did not arrive within {limit} s"
    return f"{late if missing else f'a process did not arrive within {limit} s'}\n  {_ADVICE}"


def _missing(world: Processes) -> list[int]:
    """Return the processes that do not report within seconds that they are waiting, too."""
    store: Any = dist.distributed_c10d._get_default_store()

    def key(rank: int) -> str:
        return f"waiting/{rank}"

    store.set(key(world.rank), "yes")
    end = time.monotonic() + GRACE
    while time.monotonic() < end and not all(store.check([key(rank)]) for rank in range(world.size)):
        time.sleep(0.1)
    return [rank for rank in range(world.size) if not store.check([key(rank)])]


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", maxsplit=1)[0][:200]
