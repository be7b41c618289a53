"""`events.jsonl`: what happened in a run, one JSON object a line, in order, each flushed before its act."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from regraft.disk.atomic import flush_folder

PROCESSES = ("start", "resume")
"""Events that a process begins its work with."""


class Journal:
    """Appends events to a file; one line is written with one call, so that lines of it never mix."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, event: str, **facts: Any) -> None:
        """Write down ``event`` with its ``facts`` and the time (UTC, seconds since 1970)."""
        line = json.dumps({"event": event, "time": round(time.time(), 3), **facts}, ensure_ascii=False, default=str)
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            new = not os.fstat(handle).st_size
            torn = not new and _torn(handle)  # by a process that was killed, or a disk that was full
            rest = (("\n" if torn else "") + line + "\n").encode("utf-8", "surrogateescape")
            while rest:
                rest = rest[os.write(handle, rest) :]
            os.fsync(handle)
        finally:
            os.close(handle)
        if new:
            flush_folder(self.path.parent)

    def choice(self, what: str, value: Any, why: str) -> None:
        """Write down a choice that a clock or a measurement made, before it acts."""
        self.add("choice", what=what, value=value, why=why)

    def events(self) -> list[dict[str, Any]]:
        """Return all events that were written whole, oldest first."""
        if not self.path.exists():
            return []
        found = []
        for line in self.path.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            try:
                found.append(json.loads(line))
            except json.JSONDecodeError:  # the last line of a run that was killed while writing it
                continue
        return found

    def times(self) -> tuple[float, float]:
        """Return the seconds that processes spent on this run so far, and when (since 1970) the last event was.

        A process is taken to have worked from its first event to its last one.
        """
        spent = begun = last = 0.0
        for event in self.events():
            now = float(event.get("time", last))
            if event.get("event") in PROCESSES:
                spent, begun = spent + last - begun, now - float(event.get("running_for", 0.0))
            last = max(last, now)
        return spent + last - begun, last

    def chosen(self) -> dict[str, Any]:
        """Return what was chosen so far: the last value of each choice, by its name."""
        return {e["what"]: e["value"] for e in self.events() if e.get("event") == "choice"}


def _torn(handle: int) -> bool:
    """Return whether the last line of a file, which is not empty, was not written whole."""
    os.lseek(handle, -1, os.SEEK_END)
    return os.read(handle, 1) != b"\n"
