"""What this process may use, and settings of it that make the same arithmetic faster."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -2, -3, -4
_KEEP = 1 << 30


def cores() -> int:
    """Return how many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def keep_freed_memory() -> bool:
    """Let the C library keep freed memory for the next batch instead of handing it back to the system.

    A network allocates and frees the same large blocks for every batch. glibc returns each to the system and takes
    fresh pages for the next one, and touching fresh pages costs more than the arithmetic: without this, frozen passes
    on a processor run at about half their speed, and training steps at a third. Only glibc has the switch; elsewhere
    nothing happens.

    Returns:
        Whether the setting was applied.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # musl has no such switch
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _KEEP), (_M_TOP_PAD, 64 << 20))
    return all(mallopt(ctypes.c_int(name), ctypes.c_int(value)) == 1 for name, value in settings)


def release_freed_memory() -> bool:
    """Give freed memory back to the system, now that a step which needed much of it is done.

    It is the other side of `keep_freed_memory`: within a step freed memory is kept, between steps it would add up.

    Returns:
        Whether the C library was asked to; only glibc can.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(0))
    except (OSError, AttributeError):  # musl has no such call
        return False
    return True


def sleep_while_waiting() -> None:
    """Let threads of OpenMP that wait for one another sleep instead of spinning; call it before torch is loaded.

    Decoding threads share the cores with the network's. A thread that spins while it waits keeps a core from whoever
    has work: on two cores that others used too, a frozen pass took two and a half times as long with spinning. Where
    the user has set ``OMP_WAIT_POLICY``, that holds.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


_OWN: list[bool] = []


def claim_process() -> None:
    """Say that this process is the command line's: nobody else's objects are in it."""
    _OWN.append(True)


@contextmanager
def importing() -> Iterator[None]:
    """Import much within it: nothing is garbage then, and looking for it takes a quarter of the time.

    In a process of our own, what is there at the end is not looked at by later collections either.
    """
    usual = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if usual:
            if _OWN:
                gc.freeze()
            gc.enable()


def process_start_time() -> float:
    """Return when this process began, in seconds since 1970; now, where the system does not say."""
    try:
        ticks = int(Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19])
        up = float(Path("/proc/uptime").read_text(encoding="utf-8").split()[0])
        return time.time() - (up - ticks / os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, IndexError):
        return time.time()
