"""A server on a port of this machine, until Ctrl-C, or until it has been unused for some time."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from regraft.errors import ServerError
from regraft.web.connection import USUAL_BOUNDS, Bounds, bounded_connection

BACKLOG = 1024
"""Connections that wait for the server to accept them."""

_CHECK_IDLE_EVERY = 1.0  # seconds
_CHECK_FINISHED_EVERY = 0.02


@dataclass(frozen=True)
class GracefulStop:
    """The end of a server that finishes the requests in progress.

    Attributes:
        begin: called when the server should end; from then on the application refuses new requests.
        is_finished: returns whether no request is in progress.
        seconds: maximum time until the server ends.
    """

    begin: Callable[[], None]
    is_finished: Callable[[], bool]
    seconds: float


class _Server(uvicorn.Server):
    """A server that ends quietly at Ctrl-C and SIGTERM, and leaves the handlers of the process as they were."""

    def __init__(self, config: uvicorn.Config, stop: GracefulStop | None, opened: Callable[[], None]) -> None:
        super().__init__(config)
        self._stop, self._opened = stop, opened
        self._stop_by: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to answer."""
        await super().startup(sockets)
        self._opened()

    def end(self, number: int | None = None, frame: FrameType | None = None) -> None:
        """End when the requests in progress are finished; a second call ends the server now."""
        if self._stop is None or self._stop_by is not None:
            self.should_exit = True
            return
        self._stop.begin()
        self._stop_by = time.monotonic() + self._stop.seconds

    async def end_when_finished(self) -> None:
        """Wait for the call of `end`, then for the requests in progress, and let the server end."""
        while self._stop is not None:
            await asyncio.sleep(_CHECK_FINISHED_EVERY)
            if self._stop_by is not None and (self._stop.is_finished() or time.monotonic() > self._stop_by):
                self.should_exit = True
                return

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        before = {number: signal.signal(number, self.end) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Return a socket that listens on a port; 0 is any free one.

    Args:
        host: the address.
        port: the port.
        shared: whether other processes of the same user may listen on it too; the system gives each connection to one.

    Raises:
        ServerError: the port is in use, or the host is not an address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio sets TCP_NODELAY only with it
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ServerError(
            f"cannot listen on {host}, port {port}: {error.strerror or error}\n  {_other_place(error)}"
        ) from error
    except OverflowError as error:
        listener.close()
        raise ServerError(f"port {port}: expected a number from 0 to 65535") from error
    return listener


def _other_place(error: OSError) -> str:
    """Return what to do about an address on which a socket cannot listen."""
    if error.errno == errno.EADDRINUSE:
        return "another program uses this port: choose another one with --port; 0 is any free one"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "choose a port above 1023 with --port; 0 is any free one"
    return "--host is an address of this machine: 127.0.0.1 for this machine only, 0.0.0.0 for others too"


def address_of(listener: socket.socket) -> str:
    """Return the address of a socket for a browser, such as ``"http://127.0.0.1:9000"``."""
    host, port = listener.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104  (every address of this machine: name one that others can reach)
        host = own_address()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def own_address() -> str:
    """Return an address of this machine that others can reach, if its name has one; otherwise ``"127.0.0.1"``."""
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return "127.0.0.1"


def serve(
    app: ASGIApp,
    listener: socket.socket,
    *,
    bounds: Bounds = USUAL_BOUNDS,
    idle: float | None = None,
    is_used: Callable[[], bool] = lambda: True,
    stop: GracefulStop | None = None,
    opened: Callable[[], None] = lambda: None,
) -> None:
    """Serve until Ctrl-C or SIGTERM, and then close the socket.

    Args:
        app: the application.
        listener: the socket.
        bounds: bounds of its connections.
        idle: seconds without use after which the server ends by itself; None: it does not.
        is_used: returns whether the server is in use now.
        stop: the end of the server; None ends it within a second.
        opened: called when the server answers, and ends at a signal as described.
    """
    server = _Server(_config(app, bounds), stop, opened)

    async def run() -> None:
        watching = [asyncio.create_task(server.end_when_finished())]
        watching.append(asyncio.create_task(_end_when_idle(server, idle, is_used)))
        try:
            await server.serve(sockets=[listener])
        finally:
            for task in watching:
                task.cancel()

    try:
        asyncio.run(run())
    finally:
        listener.close()


def _config(app: ASGIApp, bounds: Bounds) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        http=bounded_connection(bounds),
        ws="none",
        backlog=BACKLOG,
        timeout_graceful_shutdown=1,
    )


async def _end_when_idle(server: uvicorn.Server, idle: float | None, is_used: Callable[[], bool]) -> None:
    unused = 0.0
    while idle is not None:
        await asyncio.sleep(min(_CHECK_IDLE_EVERY, idle))
        unused = 0.0 if is_used() else unused + min(_CHECK_IDLE_EVERY, idle)
        if unused >= idle:
            server.should_exit = True
