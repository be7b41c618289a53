"""The heartbeat of a run: its progress, written to a file while it trains, and the stop request that it obeys.

A training counts its progress in memory. A thread writes the counts once a second to `progress.json`, for monitors, so
that the training itself never waits for the disk. The same thread looks for a stop request, and interrupts the run as
Ctrl-C does.
"""

from __future__ import annotations

import _thread
import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from regraft.disk.atomic import PART
from regraft.process import resident_memory
from regraft.screen import Bar, Screen

PROGRESS, STOP = "progress.json", "stop-request"
"""Names of the files, in the folder `resume/` of a run."""

EVERY = 1.0
"""Seconds between two writes."""

_SPEED_OVER = 10.0  # seconds over which the speed is averaged


class Progress:
    """The count of one wait, and its speed over the last seconds.

    Args:
        label: the wait, such as ``"features"``.
        total: units to do.
        unit: what is counted, such as ``"photos"``.
    """

    def __init__(self, label: str, total: int, unit: str) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done, self.note = 0, ""
        self._counts = [(time.monotonic(), 0)]

    def facts(self) -> dict[str, Any]:
        """Return the count, the speed in units per second, and the seconds left; None while they are unknown."""
        now = time.monotonic()
        self._counts = [count for count in self._counts if now - count[0] <= _SPEED_OVER] or self._counts[-1:]
        since, before = self._counts[0]
        done = self.done
        self._counts.append((now, done))
        speed = (done - before) / (now - since) if done > before and now - since > EVERY / 2 else None
        left = None if speed is None else round(max(0, self.total - done) / speed, 1)
        rate = None if speed is None else round(speed, 2)
        return {
            "label": self.label,
            "unit": self.unit,
            "done": done,
            "total": self.total,
            "note": self.note,
            "per_second": rate,
            "seconds_left": left,
        }


class Heartbeat:
    """Writes the progress of a run, and obeys a stop request, until the block ends.

    Args:
        folder: the folder of the two files.
        screen: the screen of the run.

    Attributes:
        screen: a screen that shows everything on the screen of the run, and records its progress.
    """

    def __init__(self, folder: Path, screen: Screen) -> None:
        self.screen = _RecordingScreen(self, screen)
        self.waits: list[Progress] = []
        self._folder = folder
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="regraft-heartbeat", daemon=True)
        self._may_interrupt = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> Self:
        """Start the thread; a stop request to an earlier process is removed."""
        self._remove(STOP)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End the thread."""
        self._ended.set()
        self._thread.join()
        self._remove(PROGRESS)
        self._remove(STOP)

    def _beat(self) -> None:
        while not self._ended.wait(EVERY):
            with contextlib.suppress(OSError):  # a full disk; the journal warns of it
                self._write()
            if self._may_interrupt and (self._folder / STOP).exists():
                self._may_interrupt = False  # a second interrupt would end the process before it has saved its state
                self._remove(STOP)
                _thread.interrupt_main(signal.SIGINT)

    def _write(self) -> None:
        waits = self.waits
        facts = {
            "format": 1,
            "time": round(time.time(), 3),
            "memory": resident_memory(),
            "wait": waits[-1].facts() if waits else None,
        }
        part = self._folder / f"{PART}{PROGRESS}"
        part.write_text(json.dumps(facts, ensure_ascii=False) + "\n", encoding="utf-8")
        os.replace(part, self._folder / PROGRESS)

    def _remove(self, name: str) -> None:
        with contextlib.suppress(OSError):
            (self._folder / name).unlink()


class _RecordingScreen:
    """A screen that shows everything on another one, and records progress for the heartbeat."""

    def __init__(self, heartbeat: Heartbeat, screen: Screen) -> None:
        self._heartbeat, self._screen = heartbeat, screen

    def line(self, label: str, text: str, note: str = "", *, strong: bool = False) -> None:
        """Show one fact."""
        self._screen.line(label, text, note, strong=strong)

    def detail(self, label: str, text: str) -> None:
        """Show a fact for experts."""
        self._screen.detail(label, text)

    def table(
        self, label: str, rows: Sequence[Sequence[str]], right: Sequence[int] = (), optional: Sequence[int] = ()
    ) -> None:
        """Show a table."""
        self._screen.table(label, rows, right, optional)

    def warn(self, text: str) -> None:
        """Show something that needs the user's attention."""
        self._screen.warn(text)

    def progress(self, label: str, total: int, unit: str = "photos") -> AbstractContextManager[Bar]:
        """Return a progress bar whose counts are recorded."""
        bar = self._screen.progress(label, total, unit)
        return _RecordingBar(self._heartbeat.waits, Progress(label, total, unit), bar)


class _RecordingBar(AbstractContextManager[Bar]):
    def __init__(self, waits: list[Progress], progress: Progress, bar: AbstractContextManager[Bar]) -> None:
        self._waits, self._progress, self._bar = waits, progress, bar
        self._shown: Bar | None = None

    def __enter__(self) -> Bar:
        self._waits.append(self._progress)
        self._shown = self._bar.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> bool | None:
        self._waits.remove(self._progress)
        return self._bar.__exit__(kind, error, at)

    def advance(self, n: int = 1) -> None:
        self._progress.done += n
        assert self._shown is not None
        self._shown.advance(n)

    def note(self, text: str) -> None:
        self._progress.note = text
        assert self._shown is not None
        self._shown.note(text)


def request_stop(resume_folder: Path) -> None:
    """Ask the process that trains into a run folder to stop, as Ctrl-C would.

    Args:
        resume_folder: the folder `resume/` of the run.

    Raises:
        OSError: no process trains into that run folder, or the file cannot be written.
    """
    if not resume_folder.is_dir():
        raise FileNotFoundError(f"{resume_folder} does not exist: the run is not in progress")
    (resume_folder / STOP).touch()
