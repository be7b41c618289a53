"""Connections of a server with bounds: their number, the size of a request's head, and the time to send it.

uvicorn bounds none of them with httptools: a sender could fill the memory with headers, or hold connections by sending
one byte a minute.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from regraft.web.short_answers import whole_response


@dataclass(frozen=True)
class Bounds:
    """Bounds of the connections of a server.

    Attributes:
        connections: maximum number of connections.
        head: maximum bytes of a request's head: its first line and its headers.
        head_seconds: maximum time from the first byte of a head, or from the connection, to its end.
        linger_seconds: time that a sender has to finish a body whose request was refused.
        as_json: whether a refusal is a line of JSON; otherwise it is a line of text.
    """

    connections: int = 512
    head: int = 1 << 16
    head_seconds: float = 20.0
    linger_seconds: float = 2.0
    as_json: bool = False


USUAL_BOUNDS = Bounds()


class _BoundedConnection(HttpToolsProtocol):
    """An HTTP connection that is closed when it exceeds a bound."""

    bounds: ClassVar[Bounds]

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._deadline: asyncio.TimerHandle | None = None
        self._in_head, self._in_body = True, False
        self._overhead = 0  # bytes since the last request that are not part of a body
        self._body = 0
        self._is_half_closed = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.bounds.connections:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections; try again later")
        else:
            self._wait(self.bounds.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_waiting()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Return whether the connection stays open: a sender that has ended its side still reads the answer."""
        self._is_half_closed = True
        return self._in_head and self._answers()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._in_head and self._deadline is None:
            self._wait(self.bounds.head_seconds)
        self._overhead += len(data)
        super().data_received(data)
        if self._overhead > self.bounds.head + self._body and not self.transport.is_closing():
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, self._too_large())

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._body = 0

    def on_headers_complete(self) -> None:
        self._in_head, self._in_body = False, True
        self._end_waiting()
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > self.bounds.head:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, self._too_large())
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._overhead -= len(body)
        self._body += len(body)
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_head, self._in_body, self._overhead = True, False, 0
        self._end_waiting()
        if not self.transport.is_closing():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._is_half_closed and not self.pipeline:
            self.transport.close()
        if self._in_body and not self.transport.is_closing():  # refused: the sender may finish, but not for long
            self._wait(self.bounds.linger_seconds)

    def send_400_response(self, msg: str) -> None:
        if not self.transport.is_closing():
            self._refuse(HTTPStatus.BAD_REQUEST, "expected a request in HTTP/1.1")

    def _answers(self) -> bool:
        """Return whether an answer is under way."""
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request
        return cycle is not None and not cycle.response_complete

    def _too_large(self) -> str:
        return f"the head of the request is too large; at most {self.bounds.head:,} bytes"

    def _wait(self, seconds: float) -> None:
        self._end_waiting()
        self._deadline = self.loop.call_later(seconds, self._time_over)

    def _end_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _time_over(self) -> None:
        if self._in_head and self._overhead and not self.transport.is_closing():
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, "the head of the request took too long")
        else:
            self.transport.close()

    def _refuse(self, status: HTTPStatus, text: str) -> None:
        self._end_waiting()
        if not self._answers():
            self.transport.write(whole_response(status, text, as_json=self.bounds.as_json))
        self.transport.close()


def bounded_connection(bounds: Bounds) -> type[asyncio.Protocol]:
    """Return the class of connections with these bounds, for uvicorn."""
    return type("BoundedConnection", (_BoundedConnection,), {"bounds": bounds})
