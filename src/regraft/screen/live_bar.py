"""The live progress bar of a terminal, by rich: always one line, whatever its width."""

from __future__ import annotations

from contextlib import AbstractContextManager

from rich.console import Console
from rich.progress import Progress, ProgressColumn, Task
from rich.progress_bar import ProgressBar
from rich.table import Column, Table
from rich.text import Text

from regraft.language import translate_word
from regraft.screen.layout import LABEL_WIDTH, label_column, progress_text, time_left
from regraft.screen.line_breaks import cells, printable
from regraft.screen.plain_bar import Bar

MIN_BAR, MAX_BAR = 8, 34
"""Columns of the bar itself."""


class LiveBar(AbstractContextManager[Bar]):
    """A bar that moves, and goes away at its end: the line that follows gives the result.

    Args:
        console: where it is shown.
        label: at most 8 characters.
        total: number of units.
        unit: their name, for the speed.
    """

    def __init__(self, console: Console, label: str, total: int, unit: str) -> None:
        self._progress = Progress(_Line(console, unit), console=console, transient=True)
        self._task = self._progress.add_task(printable(translate_word(label))[: LABEL_WIDTH - 1], total=total, note="")

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()

    def advance(self, n: int = 1) -> None:
        """Count ``n`` more units as done."""
        self._progress.advance(self._task, n)

    def note(self, text: str) -> None:
        """Show ``text`` after the bar."""
        self._progress.update(self._task, note=printable(text).replace("\n", " "))


class _Line(ProgressColumn):
    """The whole line in one column, because its parts share the width of the terminal."""

    max_refresh = 0.1

    def __init__(self, console: Console, unit: str) -> None:
        super().__init__()
        self._console, self._unit = console, unit

    def render(self, task: Task) -> Table:
        speed = task.finished_speed or task.speed or 0.0
        room = self._console.width - 1 - LABEL_WIDTH  # some terminals wrap a full line
        text = progress_text(
            f"{int(task.completed):,}/{int(task.total or 0):,}",
            f"{speed:,.0f} {self._unit}/s" if speed else "",
            time_left(task.remaining or 0, speed),
            task.fields["note"],
            room - MIN_BAR - 1,
        )
        width = max(min(MAX_BAR, room - cells(text) - 1), 1)
        bar = ProgressBar(task.total or 1, task.completed, width, complete_style="cyan", finished_style="cyan")
        line = Table.grid(*(Column(no_wrap=True, overflow="crop") for _ in range(3)))
        line.add_row(Text(label_column(task.description), style="cyan"), bar, Text(f" {text}", style="dim"))
        return line
