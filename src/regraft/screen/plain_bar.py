"""Progress bars for files and pipes, and the protocol that all progress bars follow."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol, TextIO

from regraft.language import translate_word
from regraft.screen.layout import LABEL_WIDTH, label_column, progress_text, terminal_width, time_left
from regraft.screen.line_breaks import printable


class Bar(Protocol):
    """The progress of one wait: a count from 0 to a total."""

    def advance(self, n: int = 1) -> None:
        """Count ``n`` more units as done."""

    def note(self, text: str) -> None:
        """Show ``text`` after the bar, such as ``"val_accuracy 0.906"``."""


class NoBar(AbstractContextManager[Bar]):
    """Shows nothing."""

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def advance(self, n: int = 1) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Show nothing."""


class PlainBar(AbstractContextManager[Bar]):
    """Prints a line every ten seconds, and a last one if it has printed any, so that a log stays short."""

    EVERY = 10.0

    def __init__(self, label: str, total: int, unit: str, file: TextIO | None) -> None:
        self._label, self._total, self._unit, self._file = label, total, unit, file
        self._done, self._text, self._started = 0, "", time.monotonic()
        self._printed, self._printed_done = self._started, 0

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        if self._printed > self._started and self._done > self._printed_done and kind is None:
            self._print()

    def advance(self, n: int = 1) -> None:
        """Count ``n`` more units as done, and print a line if the last one is ten seconds old."""
        self._done += n
        if time.monotonic() - self._printed >= self.EVERY:
            self._print()

    def note(self, text: str) -> None:
        """Show ``text`` in the next line."""
        self._text = text

    def _print(self) -> None:
        self._printed, self._printed_done = time.monotonic(), self._done
        speed = self._done / max(self._printed - self._started, 1e-9)
        text = progress_text(
            f"{self._done:,}/{self._total:,}",
            f"{speed:,.0f} {self._unit}/s",
            time_left(self._total - self._done, speed),
            printable(self._text),
            terminal_width() - LABEL_WIDTH,
        )
        print(f"{label_column(printable(translate_word(self._label)))}{text}", file=self._file, flush=True)
