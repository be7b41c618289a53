"""Several processes that answer requests on one port; the system gives each connection to one of them."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import FrameType

from regraft.errors import RegraftError, ServerError
from regraft.process import claim_process
from regraft.serve.run_server import ServeOptions, report, serve_in_process
from regraft.web.server import address_of, listen

_READY = ""
_RESTART_AFTER = 1.0  # seconds
_END_WITHIN = 5.0  # more seconds than a server needs to stop
_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True, eq=False)
class _Worker:
    """A process that answers requests, and the pipe to it, which tells it when this process has ended."""

    number: int
    process: SpawnProcess
    pipe: Connection


def run_workers(options: ServeOptions, opened: Callable[[str], None]) -> None:
    """Answer requests with several processes until Ctrl-C or SIGTERM; a process that dies is replaced.

    Args:
        options: the options, with their token.
        opened: called once with the address of the server, when all processes answer.

    Raises:
        ServerError: the port is in use or cannot be shared here, or the model cannot be used.
    """
    if not hasattr(socket, "SO_REUSEPORT"):
        raise ServerError("--workers: this system cannot share a port among processes; expected 1")
    listen(options.host, options.port).close()  # fails if another server has the port
    place = socket.socket(socket.AF_INET6 if ":" in options.host else socket.AF_INET)
    with place, _stop_requests() as stops:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        place.bind((options.host, options.port))  # keeps the port; it does not listen
        port = place.getsockname()[1]
        workers = [_started(options, port, 0)]
        try:
            _wait_until_ready(workers[0])  # it may compare engines; the others find its choice
            workers += [_started(options, port, number) for number in range(1, options.workers)]
            for worker in workers[1:]:
                _wait_until_ready(worker)
            opened(address_of(place))
            _keep_alive(workers, stops, lambda number: _started(options, port, number))
        finally:
            _end(workers, stops, options.limits.stop_seconds + _END_WITHIN)


def _started(options: ServeOptions, port: int, number: int) -> _Worker:
    here, there = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_work, args=(options, port, number, there))
    process.start()
    there.close()
    return _Worker(number, process, here)


def _work(options: ServeOptions, port: int, number: int, pipe: Connection) -> None:
    """Answer requests in this process, until SIGTERM or until the process that started it has ended."""
    with contextlib.suppress(OSError):
        os.setpgid(0, 0)  # Ctrl-C reaches the first process only, which ends this one
    claim_process()  # otherwise each full garbage collection visits all imported objects, and requests wait for it
    threading.Thread(target=_end_with_parent, args=(pipe,), daemon=True).start()
    try:
        with listen(options.host, port, shared=True) as listener:
            serve_in_process(options, listener, number, lambda: pipe.send(_READY))
    except RegraftError as error:
        with contextlib.suppress(OSError):
            pipe.send(str(error))


def _end_with_parent(pipe: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        pipe.recv()
    signal.raise_signal(signal.SIGTERM)


def _wait_until_ready(worker: _Worker) -> None:
    try:
        text = worker.pipe.recv()
    except (EOFError, OSError):
        text = "a process of the server ended before it was ready"
    if text != _READY:
        raise ServerError(text)


def _keep_alive(workers: list[_Worker], stops: list[int], start: Callable[[int], _Worker]) -> None:
    """Replace processes that die, until a stop is requested."""
    while not stops:
        wait([worker.process.sentinel for worker in workers], timeout=0.2)
        for place, worker in enumerate(workers):
            if stops or worker.process.is_alive():
                continue
            code = worker.process.exitcode
            report(f"process {worker.number} ended with exit code {code}; another one takes its place")
            time.sleep(_RESTART_AFTER)
            worker.pipe.close()
            workers[place] = start(worker.number)


def _end(workers: list[_Worker], stops: list[int], seconds: float) -> None:
    """End all processes: SIGTERM lets them finish, a second request ends them at once, SIGKILL those that remain."""
    by, sent = time.monotonic() + seconds, 0
    while any(worker.process.is_alive() for worker in workers) and time.monotonic() < by:
        while sent < max(len(stops), 1):
            for worker in workers:
                worker.process.terminate()
            sent += 1
        wait([worker.process.sentinel for worker in workers if worker.process.is_alive()], timeout=0.1)
    for worker in workers:
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()


@contextlib.contextmanager
def _stop_requests() -> Iterator[list[int]]:
    """Yield a list to which SIGINT and SIGTERM are added; other threads than the main one get an empty list."""
    stops: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield stops
        return

    def note(number: int, frame: FrameType | None) -> None:
        stops.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stops
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
