"""`events.jsonl`: the journal of a run, one JSON object per line; each event is on disk before it takes effect."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from regraft.disk.atomic import flush_folder

PROCESSES = ("start", "resume")
"""Events that a process writes first."""


class Journal:
    """Appends events to a file. Each line is one write, so that lines of several processes never mix."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, event: str, **facts: Any) -> None:
        """Append ``event`` with its ``facts`` and the time (UTC, seconds since 1970)."""
        line = json.dumps({"event": event, "time": round(time.time(), 3), **facts}, ensure_ascii=False, default=str)
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            new = not os.fstat(handle).st_size
            torn = not new and _last_line_is_torn(handle)  # by a kill or a full disk
            rest = (("\n" if torn else "") + line + "\n").encode("utf-8", "surrogateescape")
            while rest:
                rest = rest[os.write(handle, rest) :]
            os.fsync(handle)
        finally:
            os.close(handle)
        if new:
            flush_folder(self.path.parent)

    def choice(self, what: str, value: Any, why: str) -> None:
        """Append a choice that depends on a clock or a measurement, before it takes effect."""
        self.add("choice", what=what, value=value, why=why)

    def events(self) -> list[dict[str, Any]]:
        """Return all complete events, the oldest first."""
        if not self.path.exists():
            return []
        events = []
        for line in self.path.read_bytes().decode("utf-8", "surrogateescape").split("\n"):  # names may have U+2028
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):  # the last line of a run that was killed while writing it
                continue
            if isinstance(event, dict):
                events.append(event)
        return events

    def times(self) -> tuple[float, float]:
        """Return the seconds that processes have spent on this run, and the time of the last event (since 1970).

        The time of a process is that from its first event to its last one.
        """
        spent = started = last = 0.0
        for event in self.events():
            now = float(event.get("time", last))
            if event.get("event") in PROCESSES:
                spent, started = spent + last - started, now - float(event.get("running_for", 0.0))
            last = max(last, now)
        return spent + last - started, last

    def chosen(self) -> dict[str, Any]:
        """Return the latest value of each choice, by its name."""
        return {e["what"]: e["value"] for e in self.events() if e.get("event") == "choice"}


def _last_line_is_torn(handle: int) -> bool:
    """Return whether the last line of a non-empty file is incomplete."""
    os.lseek(handle, -1, os.SEEK_END)
    return os.read(handle, 1) != b"\n"
