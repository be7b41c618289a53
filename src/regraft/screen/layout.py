"""The layout of a screen: facts under their labels, tables, and the line of a progress bar, for any width."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import NamedTuple

from regraft.language import translate
from regraft.screen.line_breaks import MIN_WIDTH, broken, cells, is_command, longest_word

LABEL_WIDTH = 9
"""Columns of a label, with the space after it: a label has at most 8 characters."""

NOTE_GAP = "   "
MIN_FLEXIBLE = 24
"""Minimum columns of the last column of a table; a narrower terminal shows it below its row."""


class FactLine(NamedTuple):
    """One line on the screen: the label or its blank, the text, and the note with the gap before it."""

    label: str
    text: str
    note: str = ""


def terminal_width() -> int:
    """Return the columns of the terminal, from ``COLUMNS`` or from standard output; 80 for files and pipes."""
    return shutil.get_terminal_size().columns


def fact_lines(label: str, text: str, note: str, width: int) -> list[FactLine]:
    """Return a fact as lines of at most ``width`` columns, all texts aligned after the label.

    A label of more than 8 columns gets a line of its own. The note follows the text, or begins a line if it does not
    fit.
    """
    room = max(width - LABEL_WIDTH, MIN_WIDTH)
    blank = " " * LABEL_WIDTH
    if is_command(text) and longest_word(text) > room - 4:  # a cut word continues only at the beginning of a line
        return [
            *(FactLine(label_column(label) if label else "", "", part) for part in broken(note, room)),
            *(FactLine("", part) for part in broken(text, width)),
        ]
    bodies = [part for line in text.split("\n") for part in broken(line, room)] if text or not note else []
    lines = [FactLine(blank, body) for body in bodies]
    if note and lines and cells(lines[-1].text + NOTE_GAP + note) <= room:
        lines[-1] = lines[-1]._replace(note=NOTE_GAP + note)
    elif note:
        lines += [FactLine(blank, "", part) for line in note.split("\n") for part in broken(line, room)]
    if cells(label) < LABEL_WIDTH:
        return [lines[0]._replace(label=label_column(label)), *lines[1:]]
    return [*(FactLine(part, "") for part in broken(label, width)), *lines]


def message_lines(text: str, width: int) -> list[str]:
    """Return a message as lines of at most ``width`` columns; all but its first line are indented."""
    first, *rest = text.split("\n")
    return [*broken(first, width, hang=2), *(part for line in rest for part in broken(line, width, hang=2))]


def table_lines(
    rows: Sequence[Sequence[str]], width: int, right: Sequence[int] = (), optional: Sequence[int] = ()
) -> list[str]:
    """Return a table as lines of at most ``width`` columns.

    Columns that are not needed are left out, then the last column is wrapped under its own heading, or below its row.

    Args:
        rows: cells, the same number in each row; the first row is the heading.
        width: columns of a line.
        right: numbers of the columns that are aligned at their right.
        optional: numbers of the columns that may be left out, the least needed first.
    """
    shown = list(range(len(rows[0])))
    for column in optional:
        if _width(rows, shown) > width:
            shown.remove(column)
    widths = {k: max(cells(row[k]) for row in rows) for k in shown}
    last = shown[-1]
    before = sum(widths[k] + 2 for k in shown[:-1])
    if before + widths[last] <= width:
        return [_row(row, shown, widths, right) for row in rows]
    if width - before >= MIN_FLEXIBLE and last not in right:
        widths[last] = 0
        lines = []
        for row in rows:
            parts = broken(row[last], width - before)
            lines += [_row([*row[:last], parts[0], *row[last + 1 :]], shown, widths, right)]
            lines += [" " * before + part for part in parts[1:]]
        return lines
    return _stacked(rows, shown, widths, right, width)


def _stacked(
    rows: Sequence[Sequence[str]], shown: Sequence[int], widths: dict[int, int], right: Sequence[int], width: int
) -> list[str]:
    """Return the rows with their last cell on lines of its own; columns stay aligned if the others fit."""
    lines, last = [], shown[-1]
    for row in rows:
        head = _row(row, shown[:-1], widths, right)
        lines += broken(" ".join(head.split()), width, hang=2) if cells(head) > width else [head]
        lines += [f"  {part}" for part in broken(row[last], width - 2)] if row[last] else []
    return lines


def _width(rows: Sequence[Sequence[str]], shown: Sequence[int]) -> int:
    return sum(max(cells(row[k]) for row in rows) for k in shown) + 2 * (len(shown) - 1)


def _row(row: Sequence[str], shown: Sequence[int], widths: dict[int, int], right: Sequence[int]) -> str:
    filled = []
    for k in shown:
        gap = " " * (widths[k] - cells(row[k]))
        filled.append(gap + row[k] if k in right else row[k] + gap)
    return "  ".join(filled).rstrip()


def progress_text(count: str, speed: str, left: str, note: str, width: int) -> str:
    """Return the facts of a progress bar in at most ``width`` columns: the speed is dropped first, then the note."""
    speed, left, note = translate(speed), translate(left), translate(note)
    for facts in ((count, speed, left, note), (count, left, note), (count, note), (count, left)):
        text = " · ".join(fact for fact in facts if fact)
        if cells(text) <= width:
            return text
    return count if cells(count) <= width else ""


def time_left(remaining: float, speed: float) -> str:
    """Return the time that ``remaining`` units take at ``speed`` units per second, or "" if it is not known."""
    return f"{clock(remaining / speed)} left" if remaining > 0 and speed > 0 else ""


def clock(seconds: float) -> str:
    """Return a duration in seconds as ``0:22``, ``4:30`` or ``1:02:03``."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def label_column(label: str) -> str:
    """Return a label filled up to its column, with at least one space after it."""
    return label + " " * max(1, LABEL_WIDTH - cells(label))
