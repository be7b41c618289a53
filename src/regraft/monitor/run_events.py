"""The events of a run, read from `events.jsonl` as it grows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from regraft.monitor.curves import Curves, Point
from regraft.monitor.post_body import is_figure
from regraft.monitor.regular_file import parse_json, read_file
from regraft.run.journal import PROCESSES

BLOCK = 4 << 20
"""Maximum bytes that are read at once."""

NOT_FIGURES = frozenset({"event", "time", "stage", "epoch", "run"})
"""Keys of an epoch's event that are not figures."""


class RunEvents:
    """State of a run according to its events so far.

    Attributes:
        curves: the figures of the epochs.
        latest: the last event of each kind, such as ``"start"``, ``"probe"`` or ``"end"``.
        last: time and kind of the last event.
        size: bytes of the file that have been read.
    """

    def __init__(self, path: Path) -> None:
        self.curves = Curves()
        self.latest: dict[str, dict[str, Any]] = {}
        self.last: tuple[float, str] = (0.0, "")
        self.size = 0
        self._path = path
        self._spent = self._process_start = 0.0

    def read_new(self) -> list[Point]:
        """Read the lines that were added, and return the new points; a line is read when it is whole.

        Raises:
            OSError: the file cannot be read.
        """
        points: list[Point] = []
        while lines := self._whole_lines():
            for line in lines.split(b"\n"):
                event = _event(line)
                if event is not None:
                    points.extend(self._take(event))
        return points

    def budget_end(self, budget: float | None) -> float | None:
        """Return when a budget in seconds ends (seconds since 1970), if the process that runs now continues."""
        return None if budget is None or not self._process_start else self._process_start + budget - self._spent

    def _whole_lines(self) -> bytes:
        block = read_file(self._path, most=BLOCK, start=self.size)
        whole = block.rfind(b"\n") + 1
        if not whole and len(block) == BLOCK:  # no event is that long: leave the block out
            whole = BLOCK
        self.size += whole
        return block[:whole]

    def _take(self, event: dict[str, Any]) -> Iterator[Point]:
        kind, time = str(event.get("event")), _number(event.get("time"), self.last[0])
        if kind in PROCESSES:
            if self._process_start:
                self._spent += max(0.0, self.last[0] - self._process_start)
            self._process_start = time - _number(event.get("running_for"), 0.0)
        self.last = (max(time, self.last[0]), kind)
        if kind == "epoch":
            epoch = event.get("epoch")
            position = _number(epoch, math.nan)
            figures = figures_of(event)
            yield self.curves.add(str(event.get("stage", "")), position if math.isfinite(position) else None, figures)
        elif kind != "choice":
            self.latest[kind] = event


def figures_of(event: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures of an epoch's event; NaN for a text such as ``"Infinity"``, and for null."""
    figures = {}
    for name, value in event.items():
        if name not in NOT_FIGURES and (value is None or isinstance(value, (int, float, str))):
            figures[str(name)] = _number(value, math.nan)
    return {name: value for name, value in figures.items() if math.isfinite(value) or is_figure(event[name])}


def _event(line: bytes) -> dict[str, Any] | None:
    """Return the event of a line; None for one that was cut by a kill, or is not an event."""
    try:
        event = parse_json(line) if line.strip() else None
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _number(value: Any, default: float) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return default
