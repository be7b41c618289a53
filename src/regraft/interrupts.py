"""What asks a process to stop: Ctrl-C, SIGTERM, or a clock; and how work that can be gone on with answers.

The first one asks: whoever is inside `Stops.deferred` finishes the step, keeps its state and ends by
`Stops.raise_asked`. A second one, or one that comes outside of such a block, ends the work at once.
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
    """The system asked this process to end (SIGTERM); work in progress is left as after Ctrl-C."""


class TimeUp(BaseException):
    """The time that this process was given is over."""


class Stops:
    """The requests to stop of this process.

    Attributes:
        asked: the exception that the first request would have raised; None: nobody has asked.
        leave: is called by a second request, and ends the process without waiting for anything; None: the second one
            raises as usual, because the process is not ours alone.
    """

    def __init__(self) -> None:
        self.asked: type[BaseException] | None = None
        self.leave: Callable[[type[BaseException]], None] | None = None
        self._deferred = 0
        self._clock: threading.Timer | None = None
        self._clock_rang = False

    @contextlib.contextmanager
    def heeded(self) -> Iterator[None]:
        """Turn SIGINT and SIGTERM into requests while the block runs; only the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = [signal.SIGINT, signal.SIGTERM]
        before = {number: signal.signal(number, self._handle) for number in numbers if _is_ours(number)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """While the block runs, a first request only sets `asked`."""
        self._deferred += 1
        try:
            with self.heeded():
                yield
                if self._deferred == 1:
                    self.raise_asked()  # the last look was before it came
        finally:
            self._deferred -= 1
            if not self._deferred:
                self.asked = None

    def raise_asked(self) -> None:
        """End what runs, if it was asked for."""
        if self.asked is not None:
            raise self.asked

    @contextlib.contextmanager
    def after(self, seconds: float | None) -> Iterator[None]:
        """Ask to stop when ``seconds`` have passed inside the block; None: never."""
        if seconds is None:
            yield
            return
        self._clock = threading.Timer(seconds, self._ring)
        self._clock.daemon = True
        self._clock.start()
        try:
            yield
        finally:
            self._clock.cancel()

    def _ring(self) -> None:
        self._clock_rang = True
        _thread.interrupt_main(signal.SIGINT)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        kind: type[BaseException] = Terminated if number == signal.SIGTERM else KeyboardInterrupt
        if self._clock_rang:
            self._clock_rang, kind = False, TimeUp
        if self._deferred and self.asked is None:
            self.asked = kind
            return
        if self._deferred and self.leave is not None:
            self.leave(kind)
        raise kind


def _is_ours(number: int) -> bool:
    """Return whether nobody else, such as a notebook or a server, has put a handler of their own."""
    current: Any = signal.getsignal(number)
    return current in (signal.SIG_DFL, signal.default_int_handler) or isinstance(
        getattr(current, "__self__", None), Stops
    )


STOPS = Stops()
"""Those of this process: signals belong to it as a whole."""
