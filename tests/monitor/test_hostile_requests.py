"""Ten thousand hostile requests: none gets in without the token, none fails, and nothing is written elsewhere."""

from __future__ import annotations

import contextlib
import random
import socket
import threading

import pytest

from making_runs import make_run
from monitor.conftest import state_of
from regraft.monitor.monitor_app import monitor_app
from regraft.web.access import Access
from regraft.web.server import listen, serve

TOKEN = "a-token-of-the-test"
PATHS = (
    *(
        "/",
        "/events",
        "/runs/1/report",
        "/runs/1/stop",
        "/publish/epoch/end/",
        "*",
        "",
        "http://evil/",
        "//evil//",
        "/\x7f",
    ),
)
PARTS = (
    *(
        "..",
        "%2e%2e",
        "%2f",
        "\\..",
        "etc/passwd",
        "%00",
        "runs",
        "1",
        "report",
        "stop",
        "a" * 300,
        "%ff%fe",
        "花",
        "CON",
    ),
    *(";", "?token=", "?run=../../x"),
)
BODIES = (
    *(b"", b"{", b'{"epoch": 0, "loss": 1}', b"data=%7B%22loss%22%3A1%7D", b'{"a":' * 3000, b"[" * 5000, b"\xff" * 999),
    *(b"\x00" * 50, b'{"loss": 1e999, "epoch": -1e308}', b'{"loss": ' + b"9" * 6000 + b"}", b"&" * 500, b"a=1&" * 400),
    b'{"run": "../../../x", "loss": 1}',
)
HEADERS = (
    *("Content-Type: application/json", "Content-Type: multipart/form-data; boundary=x", "Content-Length: -1"),
    *(
        "Content-Length: 1e9",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: x",
    ),
    *("Origin: http://evil", "Origin: null", "Cookie: regraft-token=x", "Cookie: " + "a=b;" * 100, "Cookie: \x01"),
    *("Authorization: Bearer x", "Authorization: " + "x" * 5000, "Host: evil", "X-Run: ../../x", "Upgrade: websocket"),
    *("X-Forwarded-Host: 127.0.0.1", "Range: bytes=0-99999999999", "Connection: upgrade", "Expect: 100-continue"),
    *(
        "Last-Event-ID: " + "9" * 500,
        "Sec-Fetch-Site: cross-site",
        "X: " + "y" * 70_000,
        "no colon",
        ": empty",
        "A: b\r\n c",
    ),
)


def hostile_request(draw, token):
    path = draw.choice(PATHS) + "/".join(draw.choices(PARTS, k=draw.randrange(5)))
    method = draw.choice(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "get", "\x00", ""])
    body, headers = draw.choice(BODIES), draw.sample(HEADERS, k=draw.randrange(5))
    if draw.random() < 0.8:
        headers.append("Host: 127.0.0.1")
    if draw.random() < 0.6:
        headers.append(f"Content-Length: {len(body)}")
    if token is not None:
        headers.append(f"X-Token: {token}")
    head = "\r\n".join([f"{method} {path} HTTP/1.1", *headers, "Connection: close"])
    return draw.choice([head.encode("utf-8") + b"\r\n\r\n" + body] * 9 + [draw.randbytes(200)])


def answer_of(port, request):
    """Return the status of the answer; None if there is none."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        line = connection.recv(100)
        return int(line.split()[1]) if line.startswith(b"HTTP/1.1 ") else None
    return None


@pytest.mark.slow
def test_hostile_requests(tmp_path, capsys):
    run = make_run(tmp_path / "runs" / "a", epochs=2)
    (tmp_path / "secret").write_text("root:x:0", encoding="utf-8")
    ended, listener = threading.Event(), listen("127.0.0.1", 0)
    app = monitor_app(state_of(tmp_path / "runs"), Access(token=TOKEN, posts_per_second=1e6))
    more = {"idle": 0.05, "is_used": lambda: not ended.is_set()}
    server = threading.Thread(target=serve, args=(app, listener), kwargs=more)
    server.start()
    port, draw = listener.getsockname()[1], random.Random(0)
    without = [answer_of(port, hostile_request(draw, None)) for _ in range(8000)]
    before = sorted(path.name for path in (tmp_path / "runs").iterdir())
    answers = [answer_of(port, hostile_request(draw, TOKEN)) for _ in range(2000)]
    assert answer_of(port, f"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: {TOKEN}\r\n\r\n".encode()) == 200
    ended.set()
    server.join()
    assert {status for status in without if status is not None} <= {400, 401, 403, 413, 431}
    assert before == ["a"] and 500 not in answers and {200, 400, 403, 404} <= set(answers)
    assert capsys.readouterr().err == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs", "secret"]
    for folder in (tmp_path / "runs").iterdir():
        assert folder.name == "a" or {path.name for path in folder.iterdir()} == {"config.json", "events.jsonl"}
    assert not (run.resume / "stop-request").exists()
