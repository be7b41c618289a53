"""`events.jsonl`: what happened in a run, one JSON object a line, in order, each flushed before its act."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any


class Journal:
    """Appends events to a file; one line is written with one call, so that lines of it never mix."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, event: str, **facts: Any) -> None:
        """Write down ``event`` with its ``facts`` and the time (UTC, seconds since 1970)."""
        line = json.dumps({"event": event, "time": round(time.time(), 3), **facts}, ensure_ascii=False, default=str)
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            os.write(handle, (line + "\n").encode("utf-8", "surrogateescape"))
            os.fsync(handle)
        finally:
            os.close(handle)

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

    def chosen(self) -> dict[str, Any]:
        """Return what was chosen so far: the last value of each choice, by its name."""
        return {e["what"]: e["value"] for e in self.events() if e.get("event") == "choice"}
