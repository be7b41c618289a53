"""The operating system's process: its cores, memory and start time, and settings that make it faster."""

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
    """Return the number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def resident_memory() -> int | None:
    """Return the memory of this process that is in main memory, in bytes; None if that is unknown."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def keep_freed_memory() -> bool:
    """Let the C library keep freed memory for the next batch instead of handing it back to the system.

    A network allocates and frees the same large blocks for every batch. By default glibc returns each block to the
    system and requests fresh pages for the next one, which costs more than the arithmetic: forward passes on a
    processor run at about half their speed, and training steps at a third. Without glibc this does nothing.

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
    """Return freed memory to the system after a step that needed much of it.

    This is the counterpart of `keep_freed_memory`: keeping freed memory is fast within a step, but adds up over steps.

    Returns:
        Whether the C library was called; only glibc can do this.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        ctypes.CDLL(None).malloc_trim(ctypes.c_size_t(0))
    except (OSError, AttributeError):  # musl has no such call
        return False
    return True


def sleep_while_waiting() -> None:
    """Let OpenMP threads sleep instead of spin while they wait; call this before torch is loaded.

    Decoding threads share the cores with the network's threads, and a spinning thread takes a core from one that has
    work: on two busy cores, a forward pass over all photos took two and a half times as long. A user's own
    ``OMP_WAIT_POLICY`` has priority.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


_CLAIMED: list[bool] = []


def claim_process() -> None:
    """Record that this process runs only the command line, so that all of its objects are regraft's."""
    _CLAIMED.append(True)


@contextmanager
def importing() -> Iterator[None]:
    """Pause garbage collection while large packages are imported, which makes that a quarter faster.

    In a process of the command line (`claim_process`), later collections skip the imported objects too.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            if _CLAIMED:
                gc.freeze()
            gc.enable()


def skip_present_objects(*, recheck: bool = False) -> None:
    """Let later garbage collections skip the objects that exist now.

    It does so in a process of the command line only (`claim_process`). A full collection stops all threads while it
    visits every object, which takes 0.1 s after an export, because that imports half of torch.

    Args:
        recheck: whether to visit the objects that were skipped so far once more, so that garbage among them is freed.
    """
    if not _CLAIMED:
        return
    if recheck:
        gc.unfreeze()
    gc.collect()
    gc.freeze()


_SWITCH_SECONDS = 0.001


@contextmanager
def quick_thread_switches() -> Iterator[None]:
    """Let threads of Python wait for each other less long than the usual 5 ms.

    A thread that calls a library thousands of times, as decoding does for a photo in hundreds of parts, gives others
    no turn before they demand one, which they do after this time. Meanwhile answers wait to be sent, and finished
    photos for the network.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, _SWITCH_SECONDS))
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def process_start_time() -> float:
    """Return the time when this process started, in seconds since 1970; the current time if that is unknown."""
    try:
        ticks = int(Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19])
        up = float(Path("/proc/uptime").read_text(encoding="utf-8").split()[0])
        return time.time() - (up - ticks / os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, IndexError):
        return time.time()
