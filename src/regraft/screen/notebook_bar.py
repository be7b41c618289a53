"""The progress bar of a notebook: one line of HTML that is replaced, by IPython's own display."""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager
from html import escape
from types import TracebackType
from typing import Any

from regraft.language import translate_word
from regraft.screen.layout import progress_text, time_left
from regraft.screen.line_breaks import printable
from regraft.screen.plain_bar import Bar

EVERY = 0.2
"""Seconds between two updates; more would only fill the connection to the browser."""

WIDTH = 200
"""Characters of the text; a notebook breaks lines itself."""


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    if "ipykernel" not in sys.modules:
        return False
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None) is not None


class NotebookBar(AbstractContextManager[Bar]):
    """A bar that moves in the output of a cell, and goes away at its end: the line that follows gives the result.

    Args:
        label: at most 8 characters.
        total: number of units.
        unit: their name, for the speed.
    """

    def __init__(self, label: str, total: int, unit: str) -> None:
        self._label, self._total, self._unit = label, total, unit
        self._done, self._text, self._started = 0, "", time.monotonic()
        self._shown, self._handle = 0.0, None

    def __enter__(self) -> Bar:
        from IPython.display import HTML, display

        handle: Any = display(HTML(self._html()), display_id=True)
        self._handle = handle
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._update("")

    def advance(self, n: int = 1) -> None:
        """Count ``n`` more units as done."""
        self._done += n
        if time.monotonic() - self._shown >= EVERY:
            self._shown = time.monotonic()
            self._update(self._html())

    def note(self, text: str) -> None:
        """Show ``text`` after the bar."""
        self._text = text

    def _update(self, html: str) -> None:
        from IPython.display import HTML

        handle: Any = self._handle
        if handle is not None:
            handle.update(HTML(html))

    def _html(self) -> str:
        speed = self._done / max(time.monotonic() - self._started, 1e-9)
        text = progress_text(
            f"{self._done:,}/{self._total:,}",
            f"{speed:,.0f} {self._unit}/s" if self._done else "",
            time_left(self._total - self._done, speed),
            printable(self._text),
            WIDTH,
        )
        label = escape(printable(translate_word(self._label)))
        return (
            f'<label>{label} <progress value="{min(self._done, self._total)}" max="{max(self._total, 1)}"></progress> '
            f"{escape(text)}</label>"
        )
