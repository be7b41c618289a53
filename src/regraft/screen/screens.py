"""The `Screen` protocol, and the screens that follow it.

Layers never print. They are handed a `Screen` and give it one aligned line per fact, and one progress bar per wait.
The three screens decide how that looks: `TerminalScreen` (colors and live bars), `PlainScreen` (an occasional line, for
files and pipes) and `QuietScreen` (nothing). They also fit everything into the width of the terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TextIO

from regraft.language import translate, translate_cell, translate_heading, translate_word
from regraft.screen.layout import (
    LABEL_WIDTH,
    FactLine,
    fact_lines,
    label_column,
    table_lines,
    terminal_width,
)
from regraft.screen.line_breaks import printable
from regraft.screen.plain_bar import Bar, NoBar, PlainBar


class Screen(Protocol):
    """Output for the user: facts, warnings and progress."""

    def line(self, label: str, text: str, note: str = "", *, strong: bool = False) -> None:
        """Show one fact: a label of at most 8 characters, the text (bold if ``strong``), and a dimmed note after it."""

    def detail(self, label: str, text: str) -> None:
        """Show a fact for experts, only with ``--verbose``."""

    def table(
        self, label: str, rows: Sequence[Sequence[str]], right: Sequence[int] = (), optional: Sequence[int] = ()
    ) -> None:
        """Show a table; its last column is wrapped if the terminal is too narrow.

        Args:
            label: at most 8 characters.
            rows: cells, the same number in each row; the first row is the heading.
            right: numbers of the columns that are aligned at their right.
            optional: numbers of the columns that a narrow terminal leaves out, the least needed first.
        """

    def warn(self, text: str) -> None:
        """Show something that needs the user's attention."""

    def progress(self, label: str, total: int, unit: str = "photos") -> AbstractContextManager[Bar]:
        """Return a progress bar over ``total`` units; it shows its speed and the time left."""


def translated_rows(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return a table in the language of the user; the first row is the heading."""
    return [[(translate_cell if k else translate_heading)(cell) for cell in row] for k, row in enumerate(rows)]


class QuietScreen:
    """Shows nothing: no fact, no warning, no progress."""

    def line(self, label: str, text: str, note: str = "", *, strong: bool = False) -> None:
        """Show nothing."""

    def detail(self, label: str, text: str) -> None:
        """Show nothing."""

    def table(
        self, label: str, rows: Sequence[Sequence[str]], right: Sequence[int] = (), optional: Sequence[int] = ()
    ) -> None:
        """Show nothing."""

    def warn(self, text: str) -> None:
        """Show nothing."""

    def progress(self, label: str, total: int, unit: str = "photos") -> AbstractContextManager[Bar]:
        """Return a bar that shows nothing."""
        return NoBar()


class _FittingScreen:
    """A screen whose lines fit a width; its subclasses write them."""

    verbose: bool

    def _width(self) -> int:
        raise NotImplementedError

    def _write(self, lines: Sequence[FactLine], *, strong: bool = False, warning: bool = False) -> None:
        raise NotImplementedError

    def line(self, label: str, text: str, note: str = "", *, strong: bool = False) -> None:
        """Print the fact; further lines of the text are aligned under its first."""
        fact = (printable(translate_word(label)), printable(translate(text)), printable(translate(note)))
        self._write(fact_lines(*fact, self._width()), strong=strong)

    def detail(self, label: str, text: str) -> None:
        """Print the fact dimmed, if the screen is verbose."""
        if self.verbose:
            self.line(label, "", text)

    def table(
        self, label: str, rows: Sequence[Sequence[str]], right: Sequence[int] = (), optional: Sequence[int] = ()
    ) -> None:
        """Print the table with the label before its heading."""
        cells = [[printable(cell) for cell in row] for row in translated_rows(rows)]
        label = translate_word(label)
        lines = table_lines(cells, self._width() - LABEL_WIDTH, right, optional)
        self._write([FactLine(label_column(label if k == 0 else ""), line) for k, line in enumerate(lines)])

    def warn(self, text: str) -> None:
        """Print the warning after an exclamation mark."""
        self._write(fact_lines("!", printable(translate(text)), "", self._width()), warning=True)


class PlainScreen(_FittingScreen):
    """Plain lines without colors or movement.

    Args:
        file: where to write; None: the current standard output at each write, so that a redirection takes effect.
        verbose: whether to show the details for experts too.
    """

    def __init__(self, file: TextIO | None = None, *, verbose: bool = False) -> None:
        self._file, self.verbose = file, verbose

    def _width(self) -> int:
        return terminal_width()

    def _write(self, lines: Sequence[FactLine], *, strong: bool = False, warning: bool = False) -> None:
        text = "\n".join("".join(line).rstrip() for line in lines)
        print(text, file=self._file, flush=True)

    def progress(self, label: str, total: int, unit: str = "photos") -> AbstractContextManager[Bar]:
        """Return a bar that prints a line every ten seconds."""
        return PlainBar(label, total, unit, self._file)


class TerminalScreen(_FittingScreen):
    """Colors and live bars, by rich. Text is never read as markup: a class may be named ``[red]``.

    Args:
        file: where to write; None for standard output.
        verbose: whether to show the details for experts too.
    """

    def __init__(self, file: TextIO | None = None, *, verbose: bool = False) -> None:
        from rich.console import Console

        self.console = Console(file=file, highlight=False, markup=False, emoji=False, soft_wrap=True)
        self.verbose = verbose

    def _width(self) -> int:
        return self.console.width

    def _write(self, lines: Sequence[FactLine], *, strong: bool = False, warning: bool = False) -> None:
        from rich.text import Text

        for line in lines:
            parts = Text.assemble((line.label, "cyan"), (line.text, "bold" if strong else ""), (line.note, "dim"))
            parts.rstrip()
            self.console.print(Text(parts.plain, style="yellow") if warning else parts)

    def progress(self, label: str, total: int, unit: str = "photos") -> AbstractContextManager[Bar]:
        """Return a live bar of one line with the speed and the time left."""
        from regraft.screen.live_bar import LiveBar  # imports the progress bars of rich

        return LiveBar(self.console, label, total, unit)


class NotebookScreen(PlainScreen):
    """Plain lines, and live bars in the output of a notebook's cell."""

    def progress(self, label: str, total: int, unit: str = "photos") -> AbstractContextManager[Bar]:
        """Return a live bar with the speed and the time left."""
        from regraft.screen.notebook_bar import NotebookBar

        return NotebookBar(label, total, unit)


def screen_for(stream: TextIO | None = None, *, quiet: bool = False, verbose: bool = False) -> Screen:
    """Return the screen for ``stream``: a live one on a terminal or in a notebook, a plain one elsewhere.

    With None it writes to the current standard output at each write, so that a redirection takes effect.
    """
    if quiet:
        return QuietScreen()
    target = stream if stream is not None else sys.stdout
    if target is None:  # a program without a console
        return QuietScreen()
    live = getattr(target, "isatty", lambda: False)()  # a substitute may only have write and flush
    if stream is None and not live and "ipykernel" in sys.modules:
        from regraft.screen.notebook_bar import in_notebook

        if in_notebook():
            return NotebookScreen(verbose=verbose)
    kind = TerminalScreen if live else PlainScreen
    return kind(stream, verbose=verbose)
