"""Run folders of kind "remote": what other programs post, kept on disk before the post is answered.

A post names no run, so it belongs to the run of the same sender (address, path of the post, and the text in ``run``, if
there is one) whose next epoch it is. Of several, those count that have posted since the latest run began, and of these
the one that has waited longest. Epoch 0 begins a new run. A post that repeats the last one of a run, because its sender
got no answer, is not kept twice.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from regraft.disk.atomic import make_folder, write_json
from regraft.monitor.line_file import LineFile
from regraft.monitor.post_body import is_figure
from regraft.monitor.regular_file import parse_json, read_file, read_json, signature
from regraft.monitor.run_events import NOT_FIGURES
from regraft.monitor.watched_runs import run_folders
from regraft.run.folder import FORMAT, RunFolder

MAX_RUNS = 500
"""Maximum number of remote runs below a folder."""

MAX_RUN_BYTES = 256 << 20
"""Maximum size of the events of a remote run."""

MAX_BYTES = 2 << 30
"""Maximum size of the events of all remote runs together."""


class LimitError(Exception):
    """A limit of remote runs is reached; the status and the message are the answer to the sender."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Sender:
    """Where a post comes from.

    Attributes:
        address: IP address.
        path: path of the post.
        run: name of the run, if the sender gave one.
    """

    address: str
    path: str
    run: str = ""


class RemoteRun:
    """A remote run.

    Args:
        folder: its folder, which exists.

    Attributes:
        file: the file of its events.
        epoch: the last epoch; None if the posts have no epochs.
        began: when it began, in nanoseconds since 1970.
        posted: when its last post came.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.file = LineFile(folder.events)
        self.epoch: float | None = None
        self.began, self.posted = (
            facts[2] if (facts := signature(path)) else 0 for path in (folder.config, folder.events)
        )
        self._last: Mapping[str, Any] = {}
        for event in _last_events(folder.events):
            self._remember({name: value for name, value in event.items() if name not in ("event", "time")})

    def repeats(self, event: Mapping[str, Any]) -> bool:
        """Return whether an event is the last one once more."""
        return "epoch" in event and event["epoch"] == self.epoch and event == self._last

    def add(self, event: Mapping[str, Any]) -> None:
        """Append an event.

        Raises:
            OSError: it cannot be written.
        """
        self.file.add(json.dumps({"event": "epoch", "time": round(time.time(), 3), **event}, allow_nan=False))
        self.posted = time.time_ns()
        self._remember(event)

    def _remember(self, event: Mapping[str, Any]) -> None:
        self._last, epoch = event, event.get("epoch")
        self.epoch = epoch if isinstance(epoch, (int, float)) else None


class RemoteRuns:
    """The remote runs below a folder; those of an earlier server are continued.

    Args:
        root: the folder of run folders, created when the first run begins.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._runs: dict[Sender, list[RemoteRun]] = {}
        self._bytes = self._count = 0
        self._dirty: set[LineFile] = set()
        for path in run_folders(root):
            config = read_json(path / "config.json") or {}
            if config.get("kind") == "remote":
                sender = Sender(*(str(config.get(name, "")) for name in ("sender", "path", "run")))
                self._add(sender, RemoteRun(RunFolder(path)))

    def keep(self, sender: Sender, figures: Mapping[str, float | str]) -> None:
        """Write figures to the run that they belong to.

        Raises:
            LimitError: there are too many runs or bytes.
            OSError: the disk is full.
        """
        event = {f"{name}_" if name in NOT_FIGURES - {"epoch"} else name: value for name, value in figures.items()}
        event = {name: value for name, value in event.items() if is_figure(value)}
        run = self._run_of(sender, event)
        if run is None:
            run = self._new_run(sender)
        elif run.repeats(event):
            return
        if run.file.size > MAX_RUN_BYTES or self._bytes > MAX_BYTES:
            raise LimitError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the disk space for remote runs is used up; remove some of them"
            )
        before = run.file.size
        run.add(event)
        self._bytes += run.file.size - before
        self._dirty.add(run.file)

    def flush(self) -> None:
        """Flush to the disk what was written since the last call."""
        dirty, self._dirty = self._dirty, set()
        for file in dirty:
            file.flush()

    def close(self) -> None:
        """Flush and close all files."""
        self.flush()
        for runs in self._runs.values():
            for run in runs:
                run.file.close()

    def _run_of(self, sender: Sender, event: Mapping[str, Any]) -> RemoteRun | None:
        """Return the run that an event continues, or repeats; None if it begins a new one."""
        runs, epoch = sorted(self._runs.get(sender, []), key=lambda run: -run.posted), event.get("epoch")
        for run in runs:
            if run.repeats(event):
                return run
        if not isinstance(epoch, (int, float)):
            return next((run for run in runs if run.epoch is None), None)
        latest = max((run.began for run in runs), default=0)
        waiting = [run for run in runs if run.epoch is not None and run.epoch + 1 == epoch]
        active = [run for run in waiting if run.posted >= latest]
        later = [run for run in runs if run.epoch is not None and run.epoch < epoch]
        resumed = [run for run in runs if run.epoch is not None and 0 < epoch <= run.epoch]
        return next(iter(active[::-1] or waiting or later or resumed), None)

    def _new_run(self, sender: Sender) -> RemoteRun:
        if self._count >= MAX_RUNS:
            text = f"there are {self._count} remote runs; remove some of them to start another one"
            raise LimitError(HTTPStatus.TOO_MANY_REQUESTS, text)
        make_folder(self._root)
        path = _new_folder(self._root, sender)
        folder = RunFolder(path)
        config = {"kind": "remote", "sender": sender.address, "path": sender.path, "run": sender.run}
        write_json(folder.config, {"format": FORMAT, **config})
        run = RemoteRun(folder)
        self._add(sender, run)
        return run

    def _add(self, sender: Sender, run: RemoteRun) -> None:
        self._runs.setdefault(sender, []).append(run)
        self._bytes += run.file.size
        self._count += 1


def _new_folder(root: Path, sender: Sender) -> Path:
    """Create the next free folder for a run of ``sender``, named with letters, digits, ``-`` and ``_``; return it."""
    path = "" if sender.path.strip("/") == "publish/epoch/end" else sender.path
    name = re.sub(r"[^\w-]+", "-", f"remote {sender.run or path}").strip("-")[:40]
    number = 1
    while True:
        folder = root / f"{name}-{number:03}"
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder


def _last_events(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the last whole event of a file, if there is one."""
    facts = signature(path)
    if facts is None:
        return
    tail = read_file(path, most=1 << 16, start=max(0, facts[1] - (1 << 16)))
    for line in reversed(tail[: tail.rfind(b"\n") + 1].splitlines()):
        try:
            event = parse_json(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            yield event
            return
