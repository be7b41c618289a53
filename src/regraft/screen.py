"""What is said to a person while work goes on: a small protocol that every layer can speak through.

Layers never print. They are handed a `Screen` and say one aligned line per fact, and one progress bar per wait. How
that looks is decided here, once: `TerminalScreen` (colours and live bars), `PlainScreen` (a line now and then, for
files and pipes) or `QuietScreen` (nothing).
"""

from __future__ import annotations

import sys
import time
import unicodedata
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LABEL_WIDTH = 9


class Bar(Protocol):
    """One wait: a count that goes from 0 to a total."""

    def advance(self, n: int = 1) -> None:
        """Say that ``n`` more are done."""

    def note(self, text: str) -> None:
        """Show ``text`` behind the bar, such as ``"val_accuracy 0.906"``."""


class Screen(Protocol):
    """Where a run says what it does."""

    def line(self, label: str, text: str, note: str = "", *, strong: bool = False) -> None:
        """Say one fact: a short label, the text (``strong`` for what matters most), and a quieter note at its end."""

    def warn(self, text: str) -> None:
        """Say something that the person should look at."""

    def progress(self, label: str, total: int, unit: str = "photos") -> AbstractContextManager[Bar]:
        """Open a bar for a wait over ``total`` units; its speed and time left are shown."""


class _NoBar(AbstractContextManager[Bar]):
    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def advance(self, n: int = 1) -> None:
        return None

    def note(self, text: str) -> None:
        return None


class QuietScreen:
    """Says nothing but warnings, and those on standard error."""

    def line(self, label: str, text: str, note: str = "", *, strong: bool = False) -> None:
        """Say nothing."""

    def warn(self, text: str) -> None:
        """Say ``text`` on standard error."""
        print(f"regraft: {printable(text)}", file=sys.stderr)

    def progress(self, label: str, total: int, unit: str = "photos") -> AbstractContextManager[Bar]:
        """Return a bar that shows nothing."""
        return _NoBar()


class _PlainBar(AbstractContextManager[Bar]):
    """Says a line every ten seconds, and one at the end of a wait so long, so that a log stays short."""

    EVERY = 10.0

    def __init__(self, label: str, total: int, unit: str, file: TextIO | None) -> None:
        self._label, self._total, self._unit, self._file = label, total, unit, file
        self._done, self._text, self._begun = 0, "", time.monotonic()
        self._said, self._done_then = self._begun, 0

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        if self._said > self._begun and self._done > self._done_then and kind is None:
            self._say()

    def advance(self, n: int = 1) -> None:
        self._done += n
        if time.monotonic() - self._said >= self.EVERY:
            self._say()

    def note(self, text: str) -> None:
        self._text = text

    def _say(self) -> None:
        self._said, self._done_then = time.monotonic(), self._done
        speed = self._done / max(self._said - self._begun, 1e-9)
        parts = [f"{self._done:,}/{self._total:,}", f"{speed:,.0f} {self._unit}/s"]
        if self._done < self._total and speed > 0:
            parts.append(f"{clock((self._total - self._done) / speed)} left")
        if self._text:
            parts.append(printable(self._text))
        print(f"{_column(printable(self._label))}{' · '.join(parts)}", file=self._file, flush=True)


class PlainScreen:
    """Plain lines without colours or movement.

    Args:
        file: where they are written; None: standard output as it is at that moment, so that a redirection is followed.
    """

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = file

    def line(self, label: str, text: str, note: str = "", *, strong: bool = False) -> None:
        """Print the fact; lines after the first are aligned under the text."""
        body = printable(text).replace("\n", "\n" + " " * LABEL_WIDTH)
        line = f"{_column(label)}{body}{'   ' + printable(note) if note else ''}"
        print(line.rstrip(), file=self._file, flush=True)

    def warn(self, text: str) -> None:
        """Print the warning after an exclamation mark."""
        self.line("!", text)

    def progress(self, label: str, total: int, unit: str = "photos") -> AbstractContextManager[Bar]:
        """Return a bar that prints a line every ten seconds."""
        return _PlainBar(label, total, unit, self._file)


class _LiveBar(AbstractContextManager[Bar]):
    def __init__(self, progress: Progress, label: str, total: int, unit: str) -> None:
        self._progress = progress
        self._task: TaskID = progress.add_task(label, total=total, unit=unit, note="")

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()

    def advance(self, n: int = 1) -> None:
        self._progress.advance(self._task, n)

    def note(self, text: str) -> None:
        self._progress.update(self._task, note=text)


class TerminalScreen:
    """Colours and live bars, by rich. Text is never read as markup: a class may be called ``[red]``."""

    def __init__(self, file: TextIO | None = None) -> None:
        from rich.console import Console

        self.console = Console(file=file, highlight=False, markup=False, emoji=False, soft_wrap=True)

    def line(self, label: str, text: str, note: str = "", *, strong: bool = False) -> None:
        """Print the fact with a coloured label and a dimmed note."""
        from rich.text import Text

        body = printable(text).replace("\n", "\n" + " " * LABEL_WIDTH)
        shown = Text.assemble((_column(label), "cyan"), (body, "bold" if strong else ""))
        if note:
            shown.append("   " + printable(note), style="dim")
        self.console.print(shown)

    def warn(self, text: str) -> None:
        """Print the warning in yellow."""
        from rich.text import Text

        body = text.replace("\n", "\n" + " " * LABEL_WIDTH)
        self.console.print(Text(f"{'!':<{LABEL_WIDTH}}{printable(body)}", style="yellow"))

    def progress(self, label: str, total: int, unit: str = "photos") -> AbstractContextManager[Bar]:
        """Return a live bar with the speed and the time left."""
        from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
        from rich.text import Text

        class Count(ProgressColumn):
            def render(self, task: Task) -> Text:
                return Text(f"{int(task.completed):,}/{int(task.total or 0):,}")

        class Speed(ProgressColumn):
            def render(self, task: Task) -> Text:
                speed = task.finished_speed or task.speed
                parts = [f"{speed:,.0f} {task.fields['unit']}/s"] if speed else []
                if speed and task.remaining:
                    parts.append(f"{clock(task.remaining / speed)} left")
                if task.fields["note"]:
                    parts.append(printable(task.fields["note"]))
                return Text("· " + " · ".join(parts) if parts else "", style="dim")

        progress = Progress(
            TextColumn("{task.description:<8}", style="cyan", markup=False),
            BarColumn(bar_width=34, complete_style="cyan", finished_style="cyan"),
            Count(),
            Speed(),
            console=self.console,
            transient=True,  # what came of a wait is said by the line after it
        )
        return _LiveBar(progress, printable(label), total, unit)


def clock(seconds: float) -> str:
    """Return a duration as a person says it: ``0:22``, ``4:30`` or ``1:02:03``."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def _column(label: str) -> str:
    return f"{label:<{LABEL_WIDTH - 1}} "


def printable(text: str) -> str:
    """Return ``text`` with control characters made visible, so that a file name cannot drive the terminal."""
    return "".join(c if c == "\n" or c.isprintable() or _joins(c) else f"\\x{ord(c):02x}" for c in text)


def _joins(c: str) -> bool:
    return (
        c in "\u200d\u200c\ufe0f\ufe0e" or unicodedata.category(c) == "Zs"
    )  # joiners of emoji and scripts; wide spaces


def screen_for(stream: TextIO | None = None, *, quiet: bool = False) -> Screen:
    """Return the screen that suits ``stream``: live on a terminal, plain elsewhere.

    With None it writes to standard output as it is at the moment of writing, so that a redirection is followed.
    """
    if quiet:
        return QuietScreen()
    target = stream if stream is not None else sys.stdout
    if target is None:  # a program without a console
        return QuietScreen()
    live = getattr(target, "isatty", lambda: False)()  # a stand-in may have write and flush alone
    return TerminalScreen(stream) if live else PlainScreen(stream)
