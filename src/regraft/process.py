"""Settings of the process that make the same arithmetic faster."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -2, -3, -4
_KEEP = 1 << 30


def keep_freed_memory() -> bool:
    """Let the C library keep freed memory for the next batch instead of handing it back to the system.

    A network allocates and frees the same large blocks for every batch. glibc returns each to the system and takes fresh
    pages for the next one, and touching fresh pages costs more than the arithmetic: without this, frozen passes on a
    processor run at about half their speed, and training steps at a third. Only glibc has the switch; elsewhere
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
