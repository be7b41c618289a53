"""A screen in one process that is shown in another: what process 0 shows appears where the training was started."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Any, NamedTuple

from regraft.screen import Bar, Screen


class Message(NamedTuple):
    """A call of a screen, or of a bar.

    Attributes:
        bar: number of the bar; None for a call of the screen itself.
        name: name of the method; ``open`` and ``close`` begin and end a bar.
        arguments: arguments of the call.
    """

    bar: int | None
    name: str
    arguments: dict[str, Any]


Send = Callable[[Message], None]


class SentScreen:
    """A screen that sends every call as a `Message`.

    Args:
        send: sends a message; their order is kept.
    """

    def __init__(self, send: Send) -> None:
        self._send, self._bars = send, itertools.count()

    def line(self, label: str, text: str, note: str = "", *, strong: bool = False) -> None:
        """Send a fact."""
        self._send(Message(None, "line", {"label": label, "text": text, "note": note, "strong": strong}))

    def detail(self, label: str, text: str) -> None:
        """Send a fact for experts."""
        self._send(Message(None, "detail", {"label": label, "text": text}))

    def table(
        self, label: str, rows: Sequence[Sequence[str]], right: Sequence[int] = (), optional: Sequence[int] = ()
    ) -> None:
        """Send a table."""
        table = {"label": label, "rows": [list(row) for row in rows], "right": list(right), "optional": list(optional)}
        self._send(Message(None, "table", table))

    def warn(self, text: str) -> None:
        """Send a warning."""
        self._send(Message(None, "warn", {"text": text}))

    def progress(self, label: str, total: int, unit: str = "photos") -> AbstractContextManager[Bar]:
        """Return a bar whose progress is sent."""
        return _SentBar(self._send, next(self._bars), {"label": label, "total": total, "unit": unit})


class _SentBar(AbstractContextManager[Bar]):
    """A bar that sends its progress, a few times per second at most."""

    EVERY = 0.3

    def __init__(self, send: Send, number: int, bar: dict[str, Any]) -> None:
        self._send, self._number, self._bar = send, number, bar
        self._waiting, self._sent = 0, time.monotonic()

    def __enter__(self) -> Bar:
        self._send(Message(self._number, "open", self._bar))
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._flush()
        self._send(Message(self._number, "close", {}))

    def advance(self, n: int = 1) -> None:
        """Count ``n`` more units as done."""
        self._waiting += n
        if time.monotonic() - self._sent >= self.EVERY:
            self._flush()

    def note(self, text: str) -> None:
        """Send the text after the bar."""
        self._send(Message(self._number, "note", {"text": text}))

    def _flush(self) -> None:
        if self._waiting:
            self._send(Message(self._number, "advance", {"n": self._waiting}))
        self._waiting, self._sent = 0, time.monotonic()


class ShownMessages:
    """Shows the messages of a `SentScreen` on another screen.

    Args:
        screen: where to show them.
    """

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._bars: dict[int, tuple[ExitStack, Bar]] = {}

    def show(self, messages: Iterable[Message]) -> None:
        """Show some messages."""
        for bar, name, arguments in messages:
            if bar is None:
                getattr(self._screen, name)(**arguments)
            elif name == "open":
                stack = ExitStack()
                self._bars[bar] = stack, stack.enter_context(self._screen.progress(**arguments))
            elif bar in self._bars:
                stack, shown = self._bars[bar]
                if name == "close":
                    stack.close()
                    del self._bars[bar]
                else:
                    getattr(shown, name)(**arguments)

    def close(self) -> None:
        """End the bars of a process that died."""
        for stack, _ in self._bars.values():
            stack.close()
        self._bars.clear()
