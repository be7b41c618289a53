"""The status of a run: everything about it on the page except its curves."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import Any

from regraft.language import translate
from regraft.monitor.curves import Point
from regraft.monitor.regular_file import read_file, read_json, signature
from regraft.monitor.run_events import RunEvents
from regraft.run.folder import FORMAT, RunFolder
from regraft.run.heartbeat import PROGRESS

REPORT = "report.html"

SILENT_AFTER = 120.0
"""Seconds without a post after which a remote run counts as silent."""

_BEAT_IS_OLD = 10.0  # seconds; the heartbeat of a run comes once a second
_BEAT_IS_DEAD = 600.0


def read_status(folder: RunFolder, events: RunEvents, now: float | None = None) -> dict[str, Any]:
    """Return the status of a run as JSON values.

    A damaged file, or one of a newer format, is named in ``problem``; everything else is shown as far as it goes.

    Args:
        folder: the run folder.
        events: its events so far.
        now: seconds since 1970; None for the current time.
    """
    now = time.time() if now is None else now
    config = read_json(folder.config)
    problem = _problem(config)
    config = config or {}
    metrics = read_json(folder.metrics) if signature(folder.metrics) else None
    progress = read_json(folder.resume / PROGRESS, most=1 << 16) or {}
    remote = config.get("kind") == "remote"
    finished = metrics is not None or "end" in events.latest
    state = "finished" if finished and not remote else _remote_state(events, now) if remote else ""
    state = state or _training_state(folder, events, progress, now)
    running = state == "running" and not remote
    probe = events.latest.get("probe", {}).get("accuracy")
    return {
        "name": folder.path.name,
        "kind": "remote" if remote else "training",
        "recipe": str(config.get("recipe") or config.get("sender") or ""),
        "state": state,
        "problem": translate(problem) if problem else problem,
        "count": events.curves.count,
        "started": _time_of(events, "start"),
        "last": events.last[0] or None,
        "wait": _wait(progress.get("wait")) if running else None,
        "memory": _number(progress.get("memory")) if running else None,
        "budget_end": events.budget_end(_number(config.get("budget"))) if running else None,
        "probe": probe if isinstance(probe, float) else None,
        "now": _if_it_stopped_now(events),
        "headline": _headline(metrics),
        "report": signature(folder.path / REPORT) is not None,
    }


def _wait(value: Any) -> dict[str, Any] | None:
    """Return what a run waits for, or None if a value of it is damaged."""
    if not isinstance(value, dict) or not all(isinstance(value.get(name), str) for name in ("label", "unit", "note")):
        return None
    counts = all(_number(value.get(name)) is not None for name in ("done", "total"))
    speeds = (value.get(name) for name in ("per_second", "seconds_left"))
    return value if counts and all(one is None or _number(one) is not None for one in speeds) else None


def _problem(config: dict[str, Any] | None) -> str | None:
    if config is None:
        return "config.json cannot be read: the run is damaged"
    if not isinstance(config.get("format"), int):
        return "config.json has no format number: it was not written by regraft"
    if config["format"] > FORMAT:
        return f"config.json has format {config['format']}; this regraft reads up to {FORMAT}: upgrade it"
    return None


def _remote_state(events: RunEvents, now: float) -> str:
    return "running" if now - events.last[0] < SILENT_AFTER else "silent"


def _training_state(folder: RunFolder, events: RunEvents, progress: dict[str, Any], now: float) -> str:
    """Return the state of a run that is not finished: running, stopped (by the user) or interrupted (killed)."""
    beat = _number(progress.get("time")) or events.last[0]
    age = abs(now - beat)
    if age < _BEAT_IS_OLD and events.last[1] != "stopped":
        return "running"
    if events.last[1] == "stopped":
        return "stopped"
    return "running" if age < _BEAT_IS_DEAD and _owner_is_alive(folder.resume / "owner") else "interrupted"


def _owner_is_alive(file: Path) -> bool:
    try:
        owner = int(read_file(file, most=20))
        if os.name == "posix":  # elsewhere signal 0 is not harmless
            os.kill(owner, 0)
    except PermissionError:
        return True
    except (OSError, ValueError, OverflowError):
        return False
    return os.name == "posix"


def _if_it_stopped_now(events: RunEvents) -> dict[str, Any] | None:
    """Return the epoch whose weights the run would keep: that of the lowest val_loss; otherwise the last one."""
    best: Point | None = events.curves.best("val_loss") or events.curves.last()
    return None if best is None else {"epoch": best[0], "figures": best[1]}


def _headline(metrics: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the headline accuracy of a finished run: value, 95 % interval, n and photos."""
    try:
        entry = (metrics or {})["measured"][(metrics or {})["headline"]]
        accuracy = entry["figures"]["accuracy"]
        if not isinstance(accuracy["value"], (int, float)):
            return None  # no photo was measured
        figures = {name: accuracy[name] for name in ("value", "interval", "n")}
        return {**figures, "photos": str(entry["photos"]), "optimistic": bool(entry["used_for_choosing"])}
    except (KeyError, TypeError):
        return None


def _time_of(events: RunEvents, kind: str) -> float | None:
    return _number(events.latest.get(kind, {}).get("time"))


def _number(value: Any) -> float | None:
    return value if isinstance(value, (int, float)) and math.isfinite(value) else None
