"""The `Screen` protocol: the only way in which a layer below the command line shows anything to the user.

Layers never print. They are handed a `Screen` and give it one aligned line per fact, and one progress bar per wait.
The three screens decide how that looks: `TerminalScreen` (colors and live bars), `PlainScreen` (an occasional line, for
files and pipes) and `QuietScreen` (warnings only).
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
"""Columns of a label, with the space after it: a label has at most 8 characters."""


class Bar(Protocol):
    """The progress of one wait: a count from 0 to a total."""

    def advance(self, n: int = 1) -> None:
        """Count ``n`` more units as done."""

    def note(self, text: str) -> None:
        """Show ``text`` after the bar, such as ``"val_accuracy 0.906"``."""


class Screen(Protocol):
    """Output for the user: facts, warnings and progress."""

    def line(self, label: str, text: str, note: str = "", *, strong: bool = False) -> None:
        """Show one fact: a label of at most 8 characters, the text (bold if ``strong``), and a dimmed note after it."""

    def warn(self, text: str) -> None:
        """Show something that needs the user's attention."""

    def progress(self, label: str, total: int, unit: str = "photos") -> AbstractContextManager[Bar]:
        """Return a progress bar over ``total`` units; it shows its speed and the time left."""


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
    """Shows only warnings, on standard error."""

    def line(self, label: str, text: str, note: str = "", *, strong: bool = False) -> None:
        """Show nothing."""

    def warn(self, text: str) -> None:
        """Print ``text`` on standard error."""
        print(f"regraft: {printable(text)}", file=sys.stderr)

    def progress(self, label: str, total: int, unit: str = "photos") -> AbstractContextManager[Bar]:
        """Return a bar that shows nothing."""
        return _NoBar()


class _PlainBar(AbstractContextManager[Bar]):
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
        self._done += n
        if time.monotonic() - self._printed >= self.EVERY:
            self._print()

    def note(self, text: str) -> None:
        self._text = text

    def _print(self) -> None:
        self._printed, self._printed_done = time.monotonic(), self._done
        speed = self._done / max(self._printed - self._started, 1e-9)
        parts = [f"{self._done:,}/{self._total:,}", f"{speed:,.0f} {self._unit}/s"]
        if self._done < self._total and speed > 0:
            parts.append(f"{clock((self._total - self._done) / speed)} left")
        if self._text:
            parts.append(printable(self._text))
        print(f"{_column(printable(self._label))}{' · '.join(parts)}", file=self._file, flush=True)


class PlainScreen:
    """Plain lines without colors or movement.

    Args:
        file: where to write; None: the current standard output at each write, so that a redirection takes effect.
    """

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = file

    def line(self, label: str, text: str, note: str = "", *, strong: bool = False) -> None:
        """Print the fact; further lines of the text are aligned under its first."""
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
    """Colors and live bars, by rich. Text is never read as markup: a class may be named ``[red]``."""

    def __init__(self, file: TextIO | None = None) -> None:
        from rich.console import Console

        self.console = Console(file=file, highlight=False, markup=False, emoji=False, soft_wrap=True)

    def line(self, label: str, text: str, note: str = "", *, strong: bool = False) -> None:
        """Print the fact with a colored label and a dimmed note."""
        from rich.text import Text

        body = printable(text).replace("\n", "\n" + " " * LABEL_WIDTH)
        line = Text.assemble((_column(label), "cyan"), (body, "bold" if strong else ""))
        if note:
            line.append("   " + printable(note), style="dim")
        self.console.print(line)

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
            transient=True,  # the line that follows gives the result
        )
        return _LiveBar(progress, printable(label), total, unit)


def clock(seconds: float) -> str:
    """Return a duration in seconds as ``0:22``, ``4:30`` or ``1:02:03``."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def _column(label: str) -> str:
    return f"{label:<{LABEL_WIDTH - 1}} "


def printable(text: str) -> str:
    """Return ``text`` with control characters made visible, so that a file name cannot drive the terminal."""
    return "".join(c if c == "\n" or c.isprintable() or _is_joiner_or_space(c) else f"\\x{ord(c):02x}" for c in text)


def _is_joiner_or_space(c: str) -> bool:
    joiners_of_emoji_and_scripts = "\u200d\u200c\ufe0f\ufe0e"
    return c in joiners_of_emoji_and_scripts or unicodedata.category(c) == "Zs"


def screen_for(stream: TextIO | None = None, *, quiet: bool = False) -> Screen:
    """Return the screen for ``stream``: a live one on a terminal, a plain one elsewhere.

    With None it writes to the current standard output at each write, so that a redirection takes effect.
    """
    if quiet:
        return QuietScreen()
    target = stream if stream is not None else sys.stdout
    if target is None:  # a program without a console
        return QuietScreen()
    live = getattr(target, "isatty", lambda: False)()  # a substitute may only have write and flush
    return TerminalScreen(stream) if live else PlainScreen(stream)
