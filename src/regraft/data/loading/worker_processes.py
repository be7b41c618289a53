"""Worker processes that decode photos, for devices that threads cannot feed fast enough.

Part of the work on a photo holds Python's global interpreter lock, and so does the loop that feeds a GPU: with threads
alone the device waits. Therefore each decoding thread sends its photos to a worker process. An epoch of 3,452 photos of
128 px through all blocks took 4.7 s on an H200 with 16 cores, and 7.8 s with four threads.

Workers are started as commands, without fork and pickle: a script needs no ``__main__`` guard, and a container no
shared memory. When this process and its forks end for any reason, the input of the workers ends, and they exit. Very
large photos are decoded in this process, whose threads decode them one at a time.
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
from regraft.data.loading.photo_task import PhotoTask
from regraft.data.manifest import Entry
from regraft.errors import DecodeError

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_EXIT_TIMEOUT = 2.0  # seconds for a worker to exit by itself


class WorkerProcesses:
    """Worker processes that run tasks on photos for the threads of this process.

    Args:
        number: number of workers. They start at once; the first result takes about 0.2 s.
    """

    def __init__(self, number: int) -> None:
        self.number, self.owner = number, os.getpid()
        self._all = [_Worker() for _ in range(number)]
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        for process in self._all:
            self._idle.put(process)

    def run(self, task: PhotoTask, entry: Entry) -> NDArray[np.uint8]:
        """Return the result of a task on a photo; if its worker has ended, the task runs in this thread.

        Raises:
            DecodeError: it cannot be decoded, or the file has changed since the scan.
        """
        process = self._idle.get()
        try:
            result = process.request(task, entry)
        finally:
            self._idle.put(process)
        return task(entry) if result is None else result

    def close(self) -> None:
        """Stop all workers."""
        for process in self._all:
            process.close_input()
        until = time.monotonic() + _EXIT_TIMEOUT  # shared by all: a fork of this process may keep their input open
        for process in self._all:
            process.end(until - time.monotonic())


class _Worker:
    """One worker process, which runs one task at a time."""

    def __init__(self) -> None:
        self._requests = 0
        # import the same modules as here, whatever the working directory contains
        places = [str(place) for place in sys.path]
        code = f"import sys; sys.path[:] = {places!r}; from regraft.data.loading.worker_processes import serve; serve()"
        apart: dict[str, Any] = {"start_new_session": True} if os.name == "posix" else {}
        self._process: subprocess.Popen[bytes] | None
        try:
            self._process = subprocess.Popen(  # noqa: S603  (this interpreter and fixed code)
                [sys.executable, "-c", code],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | _ONE_THREAD,
                **apart,
            )
        except OSError:  # the system allows no more processes: threads do the work
            self._process = None

    def request(self, task: PhotoTask, entry: Entry) -> NDArray[np.uint8] | None:
        """Return the worker's result for a photo; None if the worker has ended, or cannot run the task."""
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            return None
        self._requests += 1
        request = {"number": self._requests, "name": entry.name, "path": str(entry.path), "content": entry.content}
        request["task"] = _task_as_json(task)
        try:
            process.stdin.write(json.dumps(request).encode("ascii") + b"\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())
            size = int(np.prod(answer.get("shape", (0,))))
            data = process.stdout.read(size)
        except (OSError, ValueError):  # the worker has ended, or was killed, perhaps for lack of memory
            self.end()
            return None
        except BaseException:  # Ctrl-C: its pending answer must not be read as the next one
            self.end()
            raise
        if answer.get("number") != self._requests or len(data) != size:
            self.end()
            return None
        if "failed" in answer:
            raise DecodeError(answer["failed"])
        return np.frombuffer(data, dtype=np.uint8).reshape(answer["shape"]) if "shape" in answer else None

    def close_input(self) -> None:
        """Close the worker's input, which makes it exit."""
        process = self._process
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()

    def end(self, timeout: float = _EXIT_TIMEOUT) -> None:
        """Wait until the worker exits, and kill it after ``timeout`` seconds."""
        self.close_input()
        process, self._process = self._process, None
        if process is None:
            return
        try:
            process.wait(max(0.0, timeout))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


@functools.lru_cache(maxsize=8)
def _task_as_json(task: PhotoTask) -> str:
    kind = type(task)
    return json.dumps({"module": kind.__module__, "name": kind.__name__, "fields": task.as_dict()})


_RUNNING: list[WorkerProcesses] = []


def start_processes(number: int) -> WorkerProcesses | None:
    """Start ``number`` workers that decode the photos of this process until `stop_processes`, and return them.

    Returns:
        None, without starting anything, if workers are running already or there is no Python executable to start.
    """
    if running_processes() is not None or not sys.executable or getattr(sys, "frozen", False):
        return None
    _RUNNING[:] = [WorkerProcesses(number)]
    return _RUNNING[0]


def running_processes() -> WorkerProcesses | None:
    """Return the running workers of this process, or None."""
    return _RUNNING[0] if _RUNNING and _RUNNING[0].owner == os.getpid() else None


def run_task(task: PhotoTask, entry: Entry) -> NDArray[np.uint8]:
    """Return the result of a task on a photo, from the running workers if there are any, else from this thread.

    Raises:
        DecodeError: it cannot be decoded, or the file has changed since the scan.
    """
    workers = running_processes()
    return task(entry) if workers is None else workers.run(task, entry)


def stop_processes(processes: WorkerProcesses) -> None:
    """Stop the workers that `start_processes` returned; photos are decoded in threads again."""
    if processes in _RUNNING:
        _RUNNING.remove(processes)
    processes.close()


@atexit.register
def _stop_at_exit() -> None:
    processes = running_processes()
    if processes is not None:
        stop_processes(processes)


def serve() -> None:
    """Run tasks from standard input until it ends: the main function of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is handled by the parent process
    refuse_large_photos()
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    for line in iter(requests.readline, b""):
        _serve_one(json.loads(line), answers)


@functools.lru_cache(maxsize=8)
def _task_from_json(text: str) -> PhotoTask:
    description = json.loads(text)
    kind = getattr(importlib.import_module(description["module"]), description["name"])
    task: PhotoTask = kind.from_dict(description["fields"])
    return task


def _serve_one(request: dict[str, Any], answers: IO[bytes]) -> None:
    path = Path(request["path"])
    result: NDArray[np.uint8] | None = None
    answer: dict[str, Any] = {"number": request["number"]}
    try:
        entry = Entry(request["name"], path, request["content"], "")
        result = np.ascontiguousarray(_task_from_json(request["task"])(entry))
        answer["shape"] = result.shape
    except DecodeError as error:
        answer["failed"] = str(error)
    except OSError as error:
        answer["failed"] = why_unreadable(error, path)
    except Exception:  # noqa: BLE001  (the parent runs it again: the photo is too large here, or there is a bug)
        answer["again"] = True
    answers.write(json.dumps(answer).encode("ascii") + b"\n")
    if result is not None:
        answers.write(result.data)
    answers.flush()
