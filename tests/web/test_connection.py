"""Connections: their number, the size of a head, slow senders, and bodies that are refused."""

from __future__ import annotations

import contextlib
import json
import socket
import threading

import pytest

from regraft.web.connection import Bounds
from regraft.web.server import listen, serve

QUICK = 0.15  # seconds


async def app(scope, receive, send):
    """Answer with the length of the body; /refuse does not read it."""
    if scope["type"] != "http":
        return
    length, more = 0, scope["path"] != "/refuse"
    while more:
        message = await receive()
        length, more = length + len(message.get("body", b"")), message.get("more_body", False)
    text = str(length).encode()
    headers = [(b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text})


@pytest.fixture
def port_of():
    """Return a function that starts a server with bounds and returns its port."""
    ended = threading.Event()
    with contextlib.ExitStack() as stack:

        def start(**bounds):
            listener = stack.enter_context(listen("127.0.0.1", 0))
            more = {"idle": 0.02, "is_used": lambda: not ended.is_set(), "bounds": Bounds(as_json=True, **bounds)}
            thread = threading.Thread(target=serve, args=(app, listener), kwargs=more)
            thread.start()
            stack.callback(thread.join)
            stack.callback(ended.set)
            return listener.getsockname()[1]

        yield start


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=60)


def all_of(connection):
    """Return what the server sends until it closes the connection."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


def told(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 500,
        b"GET / HTTP/1.1\r\nA: " + b"b" * 3000,
        b"GET /" + b"a" * 3000,
        b"GET / HTTP/1.1\r\nA: " + b"b" * 3000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nA: " + b"b" * 3000,
    ],
)
def test_a_head_that_is_too_large_is_refused(port_of, head):
    with connect(port_of(head=2000)) as connection:
        connection.sendall(head)
        answer = all_of(connection)
        assert answer == b"" or told(answer) == (431, "the head of the request is too large; at most 2,000 bytes")
        assert answer or b"chunked" in head


def test_small_chunks_are_not_a_large_head(port_of):
    with connect(port_of(head=2000)) as connection:
        body = b"".join(b"10\r\n" + b"x" * 16 + b"\r\n" for _ in range(1000))
        connection.sendall(b"POST / HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
        connection.sendall(b"0\r\n\r\n")
        assert all_of(connection).endswith(b"16000")


@pytest.mark.parametrize("sent", [b"", b"GET / HT"])
def test_a_slow_sender_of_a_head_is_disconnected(port_of, sent):
    with connect(port_of(head_seconds=QUICK)) as connection:
        connection.sendall(sent)
        answer = all_of(connection)
        assert (told(answer) == (408, "the head of the request took too long")) if sent else (answer == b"")


def test_a_second_head_on_the_same_connection_must_be_in_time_too(port_of):
    with connect(port_of(head_seconds=QUICK)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert b"200 OK" in connection.recv(1000)
        connection.sendall(b"GET / HT")
        assert told(all_of(connection))[0] == 408


def test_connections_above_the_limit_are_refused(port_of):
    port = port_of(connections=2)
    with connect(port) as first, connect(port) as second:
        for connection in (first, second):
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert b"200 OK" in connection.recv(1000)
        with connect(port) as third:
            assert told(all_of(third)) == (503, "too many connections; try again later")


def test_a_refused_body_may_end_but_not_last(port_of):
    port = port_of(linger_seconds=QUICK)
    head = b"POST /refuse HTTP/1.1\r\nContent-Length: 100\r\n\r\n"
    with connect(port) as connection:
        connection.sendall(head + b"x" * 50)
        assert all_of(connection).endswith(b"0")
    with connect(port) as connection:
        connection.sendall(head + b"x" * 100 + b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
        assert all_of(connection).count(b"200 OK") == 2


def test_other_bytes_are_refused(port_of):
    with connect(port_of()) as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        assert told(all_of(connection)) == (400, "expected a request in HTTP/1.1")


def test_a_sender_that_ends_its_side_reads_the_answer(port_of):
    port = port_of()
    with connect(port) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc")
        connection.shutdown(socket.SHUT_WR)
        assert all_of(connection).endswith(b"3")
    with connect(port) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\na")
        connection.shutdown(socket.SHUT_WR)
        assert all_of(connection) == b""
