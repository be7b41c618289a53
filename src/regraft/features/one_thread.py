"""Arithmetic of torch on one thread, in as many threads of ours as like."""

from __future__ import annotations

import threading
from contextlib import ContextDecorator
from types import TracebackType

import torch


class OneThread(ContextDecorator):
    """Within it torch computes on the calling thread alone.

    torch keeps the number of its threads for each thread and, for what its libraries do, for the process. So it is put
    back when the last thread leaves, not before: the bits of a product of matrices may depend on it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._usual = 1
        self._here = threading.local()

    def __enter__(self) -> None:
        """Enter; threads may do so at once, and again while they are inside."""
        self._here.depth = getattr(self._here, "depth", 0) + 1
        if self._here.depth > 1:
            return
        with self._lock:
            if not self._inside and not getattr(self._here, "left", False):
                self._usual = torch.get_num_threads()
            self._inside += 1
            self._here.left = True  # until it is put back, the number that this thread has is ours
            torch.set_num_threads(1)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Leave."""
        self._here.depth -= 1
        if self._here.depth:
            return
        with self._lock:
            self._inside -= 1
            if not self._inside:
                torch.set_num_threads(self._usual)
                self._here.left = False


ONE_THREAD = OneThread()
"""There is one for the process, as there is one number of threads."""
