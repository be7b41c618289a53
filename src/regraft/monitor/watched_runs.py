"""All runs below a folder, read again and again: their status, their curves, and messages about what is new."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from regraft.monitor.event_files import event_files
from regraft.monitor.message_log import MessageLog
from regraft.monitor.regular_file import signature
from regraft.monitor.run_events import RunEvents
from regraft.monitor.run_status import REPORT, read_status
from regraft.monitor.tensorboard_run import TensorBoardRun
from regraft.run.folder import RunFolder
from regraft.run.heartbeat import PROGRESS

MAX_RUNS = 1000
"""Maximum number of runs; of more, those that were changed last are shown."""

_LIST_EVERY = 2.0  # seconds


class WatchedRun:
    """A run folder that is read as it grows.

    Attributes:
        number: its number on the page.
        folder: the folder.
        status: its status when it was last read.
    """

    def __init__(self, number: int, path: Path) -> None:
        self.number = number
        self.folder = RunFolder(path)
        self.status: dict[str, Any] = {}
        self._events = RunEvents(self.folder.events)
        self._inode: int | None = None
        self._seen: tuple[Any, ...] = ()

    def read(self, now: float) -> Iterator[dict[str, Any]]:
        """Yield messages about what has changed since the last call."""
        is_open = self.status.get("state") in (None, "running")
        seen = self._signatures()
        if seen == self._seen and not is_open:
            return
        restarted = self._was_replaced(seen[0])
        if restarted:
            self._events = RunEvents(self.folder.events)
        before = self._events.curves.count
        points = []
        if seen[0] is not None and seen[0][1] > self._events.size:
            try:
                points = self._events.read_new()
            except OSError:  # it was removed just now
                seen = ()
        self._seen, status = seen, read_status(self.folder, self._events, now)
        if restarted:
            self.status = status
            yield self.everything()
            return
        if points and self.status:
            yield {"run": self.number, "from": before, "points": points, "stages": self._events.curves.stages}
        if status != self.status:
            is_new, self.status = not self.status, status
            yield self.everything() if is_new else {"run": self.number, "status": status}

    def everything(self) -> dict[str, Any]:
        """Return a message with the whole run."""
        return {"run": self.number, "status": self.status, "curves": self._events.curves.as_json()}

    def _signatures(self) -> tuple[Any, ...]:
        folder = self.folder
        names = (folder.events, folder.config, folder.metrics, folder.resume / PROGRESS, folder.path / REPORT)
        return tuple(map(signature, names))

    def _was_replaced(self, events: tuple[int, int, int] | None) -> bool:
        """Return whether the file of events is another one than before, or shorter."""
        inode, before = (events[0] if events else None), self._inode
        self._inode = inode
        return before is not None and (inode != before or (events is not None and events[1] < self._events.size))


class WatchedRuns:
    """All runs below a folder.

    Args:
        root: the folder of run folders, or a run folder. It may be missing, and appear later.

    Attributes:
        log: messages about what is new.
        runs: the runs, by their numbers; also folders that TensorBoard's event files are in.
    """

    def __init__(self, root: Path) -> None:
        self.log = MessageLog()
        self.runs: dict[int, WatchedRun | TensorBoardRun] = {}
        self._root = root
        self._numbers: dict[Path, int] = {}
        self._next = 1
        self._listed = float("-inf")
        self._was_read = False

    def read(self, now: float | None = None) -> None:
        """Read what is new in all runs, and add messages about it to the log."""
        now = time.time() if now is None else now
        is_first, self._was_read = not self._was_read, True  # no page is open: the first one gets all runs as a whole
        if time.monotonic() - self._listed >= _LIST_EVERY:
            self._listed = time.monotonic()
            self._list()
        for run in list(self.runs.values()):
            for message in run.read(now):
                if not is_first:
                    self.log.add(message)

    def snapshot(self) -> list[dict[str, Any]]:
        """Return a message with the whole run for each run."""
        return [run.everything() for run in self.runs.values() if run.status]

    def _list(self) -> None:
        """Add new run folders, and remove those that are gone."""
        paths = set(run_folders(self._root))
        logs = set(log_folders(self._root, MAX_RUNS - len(paths)))
        paths |= logs
        for path in paths - self._numbers.keys():
            self._numbers[path] = self._next
            self.runs[self._next] = (TensorBoardRun if path in logs else WatchedRun)(self._next, path)
            self._next += 1
        for path in self._numbers.keys() - paths:
            number = self._numbers.pop(path)
            del self.runs[number]
            self.log.add({"gone": number})


def run_folders(root: Path) -> list[Path]:
    """Return the run folders in a folder, or the folder itself if it is one; links are not followed."""
    if signature(root / "config.json") is not None:
        return [root]
    runs = [(config[2], path) for path in _folders_in(root) if (config := signature(path / "config.json")) is not None]
    return [path for _, path in sorted(runs, reverse=True)[:MAX_RUNS]]


def log_folders(root: Path, most: int) -> list[Path]:
    """Return at most ``most`` folders of TensorBoard's event files that are not in run folders; ``root`` may be one."""
    if signature(root / "config.json") is not None:
        return []
    if event_files(root):
        return [root][:most]
    folders = (path for path in _folders_in(root) if signature(path / "config.json") is None)
    return [path for path in sorted(folders) if event_files(path)][: max(0, most)]


def _folders_in(root: Path) -> list[Path]:
    try:
        with os.scandir(root) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
