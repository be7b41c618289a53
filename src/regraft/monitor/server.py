"""A server on a port of this machine, until Ctrl-C, or until it has been unused for some time."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from regraft.errors import ServerError

MAX_CONNECTIONS = 512

_CHECK_IDLE_EVERY = 1.0  # seconds


class _Server(uvicorn.Server):
    """A server that ends quietly at Ctrl-C and SIGTERM, and leaves the handlers of the process as they were."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def end(number: int, frame: FrameType | None) -> None:
            self.should_exit = True

        before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on a port; 0 is any free one.

    Raises:
        ServerError: the port is in use, or the host is not an address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise ServerError(
            f"cannot listen on {host}, port {port}: {error.strerror or error}\n"
            "  choose another port with --port; 0 takes any free one"
        ) from error
    except OverflowError as error:
        listener.close()
        raise ServerError(f"port {port}: expected a number from 0 to 65535") from error
    return listener


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
    app: ASGIApp, listener: socket.socket, *, idle: float | None = None, is_used: Callable[[], bool] = lambda: True
) -> None:
    """Serve until Ctrl-C or SIGTERM, and then close the socket.

    Args:
        app: the application.
        listener: the socket.
        idle: seconds without use after which the server ends by itself; None: it does not.
        is_used: returns whether the server is in use now.
    """
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        ws="none",
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=1,
        h11_max_incomplete_event_size=1 << 16,
    )
    server = _Server(config)

    async def run() -> None:
        watching = asyncio.create_task(_end_when_idle(server, idle, is_used))
        try:
            await server.serve(sockets=[listener])
        finally:
            watching.cancel()

    try:
        asyncio.run(run())
    finally:
        listener.close()


async def _end_when_idle(server: uvicorn.Server, idle: float | None, is_used: Callable[[], bool]) -> None:
    unused = 0.0
    while idle is not None:
        await asyncio.sleep(min(_CHECK_IDLE_EVERY, idle))
        unused = 0.0 if is_used() else unused + min(_CHECK_IDLE_EVERY, idle)
        if unused >= idle:
            server.should_exit = True
