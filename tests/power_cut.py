"""Simulated power cuts: what a disk may hold after one, at any instant of a program that ran under a `Recorder`.

A write is safe once its file was flushed (fsync), an entry of a folder (a new file or folder, a rename, a removal) once
the folder was. What was not flushed may be there, partly there, there as zeros, or not at all, each independently of
the others: that is what POSIX leaves open, and worse than what a journalling file system does.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

_recorders: list[Recorder] = []
_hooked: list[bool] = []
EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link")


@dataclass(frozen=True)
class Moment:
    """What is visible at one instant, and what was flushed just before it.

    Attributes:
        folders: entries of each folder, by its number: name to number.
        files: content of each file, by its number.
        flushed: number of the file or folder that was flushed, or None.
    """

    folders: dict[int, dict[str, int]]
    files: dict[int, bytes]
    flushed: int | None


class Recorder:
    """Watches a folder while it is entered in a ``with``; all threads of this process are seen.

    Attributes:
        moments: what was visible before each operation on files, and after each flush.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.moments: list[Moment] = []
        self._lock = threading.Lock()
        self._busy = threading.local()
        self._numbers: dict[int, int] = {}  # a number of our own for each inode, which the system uses again
        self._fresh = 1

    def __enter__(self) -> Self:
        if not _hooked:
            sys.addaudithook(_heard)
            _hooked.append(True)
        self._fsync = os.fsync
        os.fsync = self._flushed
        _recorders.append(self)
        self.note()
        return self

    def __exit__(self, *error: object) -> None:
        self.note()
        _recorders.remove(self)
        os.fsync = self._fsync

    def note(self, flushed: int | None = None) -> None:
        """Take down what is visible now."""
        if getattr(self._busy, "on", False):
            return
        self._busy.on = True
        try:
            with self._lock:
                folders, files, alive = self._look()
                self._numbers = alive
                self.moments.append(Moment(folders, files, None if flushed is None else alive.get(flushed)))
        finally:
            self._busy.on = False

    def _flushed(self, handle: Any) -> None:
        self._fsync(handle)
        self.note(os.fstat(handle if isinstance(handle, int) else handle.fileno()).st_ino)

    def _look(self) -> tuple[dict[int, dict[str, int]], dict[int, bytes], dict[int, int]]:
        folders: dict[int, dict[str, int]] = {}
        files: dict[int, bytes] = {}
        alive = {os.stat(self.root).st_ino: 0}
        before = self.moments[-1] if self.moments else None
        stack = [(self.root, 0)]
        while stack:
            folder, number = stack.pop()
            entries = folders[number] = {}
            for entry in os.scandir(folder):
                inode = entry.inode()
                if inode not in alive:
                    alive[inode] = self._numbers.get(inode) or self._next()
                entries[entry.name] = alive[inode]
                if entry.is_dir():
                    stack.append((Path(entry.path), alive[inode]))
                else:
                    content = Path(entry.path).read_bytes()
                    known = before.files.get(alive[inode]) if before else None
                    files[alive[inode]] = known if known == content and known is not None else content
        return folders, files, alive

    def _next(self) -> int:
        self._fresh += 1
        return self._fresh


def _heard(event: str, arguments: tuple[Any, ...]) -> None:
    if event in EVENTS:
        for recorder in _recorders:
            with contextlib.suppress(FileNotFoundError):  # another thread renamed it just now
                recorder.note()


@dataclass
class Disk:
    """What is safe, and what may or may not have reached the disk."""

    entries: dict[int, dict[str, int]] = field(default_factory=dict)
    pending: dict[int, list[dict[str, int | None]]] = field(default_factory=dict)
    content: dict[int, bytes] = field(default_factory=dict)
    versions: dict[int, list[bytes]] = field(default_factory=dict)
    seen: Moment | None = None

    def go_on(self, moment: Moment) -> None:
        """Take in the next moment."""
        if self.seen is None:
            self.entries, self.content = {n: dict(e) for n, e in moment.folders.items()}, dict(moment.files)
        for number, entries in moment.folders.items():
            before = self.seen.folders.get(number, {}) if self.seen else entries
            changes = _changes(before, entries)
            if changes:
                self.pending.setdefault(number, []).extend(changes)
        for number, content in moment.files.items():
            if self.seen is not None and self.seen.files.get(number) is not content:
                self.versions.setdefault(number, []).append(content)
        if moment.flushed is not None:
            if moment.flushed in moment.folders:
                self.entries[moment.flushed] = dict(moment.folders[moment.flushed])
                self.pending.pop(moment.flushed, None)
            elif moment.flushed in moment.files:
                self.content[moment.flushed] = moment.files[moment.flushed]
                self.versions.pop(moment.flushed, None)
        self.seen = moment

    def write(self, target: Path, draw: random.Random, number: int = 0) -> None:
        """Write one state that the disk may be in into the folder ``target``."""
        target.mkdir()
        entries = dict(self.entries.get(number, {}))
        share = draw.choice((0.0, 0.5, 1.0))
        for change in self.pending.get(number, []):
            if draw.random() < share:
                for name, what in change.items():
                    if what is None:
                        entries.pop(name, None)
                    else:
                        entries[name] = what
        assert self.seen is not None
        for name, what in entries.items():
            if what in self.entries or what in self.seen.folders or what in self.pending:
                self.write(target / name, draw, what)
            else:
                (target / name).write_bytes(self._content(what, draw))

    def _content(self, number: int, draw: random.Random) -> bytes:
        safe, later = self.content.get(number, b""), self.versions.get(number, [])
        if not later:
            return safe
        kept = _shared([safe, *later])  # bytes that nobody wrote to since they were flushed
        now = draw.choice(later)
        cut = kept + draw.randrange(len(now) - kept + 1)
        partly = now[:cut] + safe[cut : len(now)]
        return draw.choice(
            (safe, now, now[:cut], partly, now[:cut] + bytes(len(now) - cut), now[:kept] + bytes(len(now) - kept))
        )


def _shared(texts: list[bytes]) -> int:
    """Return how many bytes all of them begin with."""
    first, last = min(texts), max(texts)
    return next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))


def _changes(before: dict[str, int], after: dict[str, int]) -> list[dict[str, int | None]]:
    """Return what changed in a folder; each change reaches the disk as a whole: a rename takes the old name away."""
    found: list[dict[str, int | None]] = []
    gone = {number: name for name, number in before.items() if after.get(name) != number}
    for name, number in after.items():
        if before.get(name) != number:
            old = gone.get(number)
            found.append({name: number} if old is None or old in after else {name: number, old: None})
            if old is not None:
                gone.pop(number)
    return found + [{name: None} for name in gone.values() if name not in after]


def power_cuts(recorder: Recorder, target: Path, count: int, seed: int = 0) -> Iterator[tuple[int, Path]]:
    """Yield ``count`` folders as a power cut may leave them, each with the number of the moment; instants in order."""
    target.mkdir()
    draw = random.Random(seed)
    instants = sorted(draw.randrange(len(recorder.moments)) for _ in range(count))
    disk, reached = Disk(), -1
    for k, instant in enumerate(instants):
        while reached < instant:
            reached += 1
            disk.go_on(recorder.moments[reached])
        folder = target / f"{k}-{instant}"
        disk.write(folder, draw)
        yield instant, folder
