"""Processes that hang: a limit on the time between two exchanges, after which the stack of the process is shown."""

from __future__ import annotations

import faulthandler
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 600.0
"""Seconds that processes wait for each other, if the user chose nothing else."""

VARIABLE = "REGRAFT_WORKER_TIMEOUT"
"""Environment variable with the seconds that processes wait for each other."""

_depth: list[None] = []  # an item for each `watched` block that is running


def seconds_to_wait() -> float:
    """Return the seconds after which a process that does not arrive counts as hanging."""
    return float(os.environ.get(VARIABLE, SECONDS))


@contextmanager
def watched() -> Iterator[None]:
    """Show the stacks of all threads if this process takes too long between two exchanges of the block.

    The timer is a thread of C, which also runs if the interpreter hangs in a function that holds its lock.
    """
    _depth.append(None)
    computing()
    try:
        yield
    finally:
        waiting()
        _depth.pop()


def computing() -> None:
    """Start the timer again inside `watched`: this process computes until its next exchange."""
    if _depth and sys.__stderr__ is not None:
        faulthandler.dump_traceback_later(seconds_to_wait(), file=sys.__stderr__)


def waiting() -> None:
    """Stop the timer: this process has arrived, and waits for others."""
    if _depth:
        faulthandler.cancel_dump_traceback_later()
