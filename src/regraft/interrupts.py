"""Interrupt handling: Ctrl-C, SIGTERM and ``--stop-after``, deferred until resumable work has saved its state.

The first interrupt is only recorded inside `Interrupts.deferred`: the work finishes its step, saves its state, and ends
through `Interrupts.raise_pending`. A second interrupt, or one outside such a block, ends the work immediately.
"""

from __future__ import annotations

import _thread
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any


class Terminated(BaseException):
    """The system asked this process to end (SIGTERM); work in progress is treated as after Ctrl-C."""


class TimeUp(BaseException):
    """The time limit of ``--stop-after`` has been reached."""


class Interrupts:
    """The interrupts of this process.

    Attributes:
        pending: the exception that the deferred interrupt will raise, or None if there was none.
        force_exit: called on a second interrupt; it ends the process without waiting for anything. None: the second
            interrupt raises as usual, because other code may be running in this process.
    """

    def __init__(self) -> None:
        self.pending: type[BaseException] | None = None
        self.force_exit: Callable[[type[BaseException]], None] | None = None
        self._deferred = 0
        self._timer: threading.Timer | None = None
        self._timer_fired = False

    @contextlib.contextmanager
    def handled(self) -> Iterator[None]:
        """Handle SIGINT and SIGTERM inside the block; in a thread other than the main one, do nothing."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = [signal.SIGINT, signal.SIGTERM]
        before = {number: signal.signal(number, self._handle) for number in numbers if _is_replaceable(number)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Record the first interrupt inside the block in `pending` instead of raising it."""
        self._deferred += 1
        try:
            with self.handled():
                yield
                if self._deferred == 1:
                    self.raise_pending()  # it may have come after the last check of the block
        finally:
            self._deferred -= 1
            if not self._deferred:
                self.pending = None

    def raise_pending(self) -> None:
        """Raise the deferred interrupt, if there is one."""
        if self.pending is not None:
            raise self.pending

    @contextlib.contextmanager
    def after(self, seconds: float | None) -> Iterator[None]:
        """Interrupt the block with `TimeUp` after ``seconds``; None: never."""
        if seconds is None:
            yield
            return
        self._timer = threading.Timer(seconds, self._on_timer)
        self._timer.daemon = True
        self._timer.start()
        try:
            yield
        finally:
            self._timer.cancel()

    def _on_timer(self) -> None:
        self._timer_fired = True
        _thread.interrupt_main(signal.SIGINT)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        kind: type[BaseException] = Terminated if number == signal.SIGTERM else KeyboardInterrupt
        if self._timer_fired:
            self._timer_fired, kind = False, TimeUp
        if self._deferred and self.pending is None:
            self.pending = kind
            return
        if self._deferred and self.force_exit is not None:
            self.force_exit(kind)
        raise kind


def _is_replaceable(number: int) -> bool:
    """Return whether a signal has its default handler or one of ours, and not one of a notebook or a server."""
    current: Any = signal.getsignal(number)
    return current in (signal.SIG_DFL, signal.default_int_handler) or isinstance(
        getattr(current, "__self__", None), Interrupts
    )


INTERRUPTS = Interrupts()
"""The one instance: signals belong to the process as a whole."""
