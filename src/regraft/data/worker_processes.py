"""Decoding in other processes, for a device that is faster than threads can feed it.

Part of the work on a photo is done under Python's lock, and the loop that feeds a graphics processor wants that lock
too: with threads alone the device waits. Each thread that decodes then has a process of its own to ask: an epoch of
3,452 photos of 128 px through all blocks took 4.7 s on an H200 beside 16 cores, and 7.8 s with four threads. They are
started as commands, by no fork and without pickle: a script needs no ``__main__`` guard, a container no shared memory.
When this process ends in whatever way, and what it may have forked, their input ends, and so do they. Very large photos
are left to the one who asks, whose threads decode them one at a time.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib
import json
import os
import queue
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from regraft.data.decode import refuse_large_photos
from regraft.data.file_types import why_unreadable
from regraft.data.manifest import Entry
from regraft.data.photo_task import PhotoTask
from regraft.errors import DecodeError

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_EXIT_TIMEOUT = 2.0  # seconds for a process to end by itself


class WorkerProcesses:
    """Processes that work on photos for threads of this one.

    Args:
        number: how many; they begin at once, and take a fifth of a second until the first answers.
    """

    def __init__(self, number: int) -> None:
        self.number, self.owner = number, os.getpid()
        self._all = [_Worker() for _ in range(number)]
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        for process in self._all:
            self._idle.put(process)

    def run(self, work: PhotoTask, entry: Entry) -> NDArray[np.uint8]:
        """Return what ``work`` makes of a photo; it is done in this thread where its process is gone.

        Raises:
            DecodeError: it cannot be decoded, or is no longer the file that was scanned.
        """
        process = self._idle.get()
        try:
            done = process.request(work, entry)
        finally:
            self._idle.put(process)
        return work(entry) if done is None else done

    def close(self) -> None:
        """End the processes."""
        for process in self._all:
            process.close_input()
        until = time.monotonic() + _EXIT_TIMEOUT  # for all of them: a fork of this process may hold their input open
        for process in self._all:
            process.end(until - time.monotonic())


class _Worker:
    """One process, which answers one question at a time."""

    def __init__(self) -> None:
        self._asked = 0
        # the same modules as here, whatever the working directory holds
        places = [str(place) for place in sys.path]
        code = f"import sys; sys.path[:] = {places!r}; from regraft.data.worker_processes import serve; serve()"
        apart: dict[str, Any] = {"start_new_session": True} if os.name == "posix" else {}
        self._process: subprocess.Popen[bytes] | None
        try:
            self._process = subprocess.Popen(  # noqa: S603  (our own interpreter and code)
                [sys.executable, "-c", code],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | _ONE_THREAD,
                **apart,
            )
        except OSError:  # no room for another process: threads do it
            self._process = None

    def request(self, work: PhotoTask, entry: Entry) -> NDArray[np.uint8] | None:
        """Return what the process makes of a photo; None where it is gone, or does not know what to make of it."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            return None
        self._asked += 1
        question = {"number": self._asked, "name": entry.name, "path": str(entry.path), "content": entry.content}
        question["work"] = _task_as_json(work)
        try:
            process.stdin.write(json.dumps(question).encode("ascii") + b"\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            size = int(np.prod(answer.get("shape", (0,))))
            data = process.stdout.read(size)
        except (OSError, ValueError):  # it has ended, perhaps for lack of memory, or was ended
            self.end()
            return None
        except BaseException:  # Ctrl-C: whatever it answers now, nobody has asked
            self.end()
            raise
        if answer.get("number") != self._asked or len(data) != size:
            self.end()
            return None
        if "failed" in answer:
            raise DecodeError(answer["failed"])
        return np.frombuffer(data, dtype=np.uint8).reshape(answer["shape"]) if "shape" in answer else None

    def close_input(self) -> None:
        """Say that there are no more questions."""
        process = self._process
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()

    def end(self, patience: float = _EXIT_TIMEOUT) -> None:
        """See the process end, by force if it takes more seconds than ``patience``."""
        self.close_input()
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.wait(max(0.0, patience))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


@functools.lru_cache(maxsize=8)
def _task_as_json(work: PhotoTask) -> str:
    kind = type(work)
    return json.dumps({"module": kind.__module__, "name": kind.__name__, "fields": work.as_dict()})


_RUNNING: list[WorkerProcesses] = []


def start_processes(number: int) -> WorkerProcesses | None:
    """Have the photos of this process decoded by ``number`` others, until `stop_processes` with what is returned.

    None is returned, and nothing begins, where others do so already, or there is no Python to begin.
    """
    if running_processes() is not None or not sys.executable or getattr(sys, "frozen", False):
        return None
    _RUNNING[:] = [WorkerProcesses(number)]
    return _RUNNING[0]


def running_processes() -> WorkerProcesses | None:
    """Return the processes that have begun, if any."""
    return _RUNNING[0] if _RUNNING and _RUNNING[0].owner == os.getpid() else None


def run_task(work: PhotoTask, entry: Entry) -> NDArray[np.uint8]:
    """Return what ``work`` makes of a photo, by the processes that have begun, else in this thread.

    Raises:
        DecodeError: it cannot be decoded, or is no longer the file that was scanned.
    """
    others = running_processes()
    return work(entry) if others is None else others.run(work, entry)


def stop_processes(processes: WorkerProcesses) -> None:
    """End processes that `start_processes` returned; photos are decoded in threads again."""
    if processes in _RUNNING:
        _RUNNING.remove(processes)
    processes.close()


@atexit.register
def _stop_at_exit() -> None:
    processes = running_processes()
    if processes is not None:
        stop_processes(processes)


def serve() -> None:
    """Answer the questions that come in until there are no more: what one of the processes does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who asks
    refuse_large_photos()
    questions, answers = sys.stdin.buffer, sys.stdout.buffer
    for line in iter(questions.readline, b""):
        _serve_one(json.loads(line), answers)


@functools.lru_cache(maxsize=8)
def _task_from_json(text: str) -> PhotoTask:
    said = json.loads(text)
    kind = getattr(importlib.import_module(said["module"]), said["name"])
    work: PhotoTask = kind.from_dict(said["fields"])
    return work


def _serve_one(question: dict[str, Any], answers: IO[bytes]) -> None:
    path = Path(question["path"])
    done: NDArray[np.uint8] | None = None
    answer: dict[str, Any] = {"number": question["number"]}
    try:
        entry = Entry(question["name"], path, question["content"], "")
        done = np.ascontiguousarray(_task_from_json(question["work"])(entry))
        answer["shape"] = done.shape
    except DecodeError as error:
        answer["failed"] = str(error)
    except OSError as error:
        answer["failed"] = why_unreadable(error, path)
    except Exception:  # noqa: BLE001  (who asks does it again: it is too large here, or a fault)
        answer["again"] = True
    answers.write(json.dumps(answer).encode("ascii") + b"\n")
    if done is not None:
        answers.write(done.data)
    answers.flush()
