"""`RemoteMonitor` against a real server on this machine that answers, refuses, hangs and dies."""

from __future__ import annotations

import json
import socket
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from regraft.callbacks import LambdaCallback, RemoteMonitor
from regraft.errors import TrainingError


class Server:
    """A server on a free port of the loopback interface. ``answer`` decides what it does with a request."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.answer: int | str = 200
        self.released = threading.Event()
        self.arrived = threading.Semaphore(0)
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if owner.answer == "hang":
                    owner.released.wait(30)
                    return
                if owner.answer == "garbage":
                    self.wfile.write(b"hello\r\n")
                    return
                owner.requests.append((self.path, dict(self.headers), body))
                owner.arrived.release()
                self.send_response(int(owner.answer))
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.root = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def server(monkeypatch: Any) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as one:
        yield one


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    left = [t for t in threading.enumerate() if t.name == "RemoteMonitor"]
    for thread in left:
        thread.join(60)
    assert not [t for t in left if t.is_alive()]


@pytest.fixture(autouse=True)
def patient(monkeypatch: Any) -> None:
    """A busy machine may take seconds for a request; nobody waits as long unless the server hangs."""
    monkeypatch.setattr(RemoteMonitor, "timeout", 60.0)


def quick(**arguments: Any) -> RemoteMonitor:
    class Quick(RemoteMonitor):
        queue_size = 3

    return Quick(**arguments)


@pytest.mark.parametrize("as_json", [False, True])
def test_it_posts_what_keras_posts(keras: Any, server: Server, as_json: bool, make_trainer: Any, points: Any) -> None:
    pytest.importorskip("requests", reason="Keras's RemoteMonitor needs requests")
    headers = {"X-Token": "secret"}
    logs = {"loss": 0.5, "accuracy": 0.25, "val_loss": 1e-9}
    sent = []
    for callback in (
        keras.callbacks.RemoteMonitor(server.root, "/here/", "figures", headers, as_json),
        RemoteMonitor(server.root, "/here/", "figures", headers, as_json),
    ):
        server.requests.clear()
        callback.set_model(make_trainer())
        callback.on_train_begin({})
        for epoch in range(3):
            callback.on_epoch_end(epoch, logs)
        callback.on_train_end({})
        for path, given, body in server.requests:
            assert path == "/here/"
            assert given["X-Token"] == "secret"
            kind = given["Content-Type"]
            form = None if as_json else urllib.parse.parse_qs(body.decode())
            sent.append((kind, json.loads(body) if form is None else {k: json.loads(v[0]) for k, v in form.items()}))
    assert len(sent) == 6
    assert sent[3:] == sent[:3]


def test_it_posts_every_epoch_in_order(server: Server, make_trainer: Any, points: Any, said: Any) -> None:
    callback = RemoteMonitor(server.root)
    make_trainer().fit(*points, epochs=5, verbose=0, callbacks=[callback])
    figures = [json.loads(urllib.parse.parse_qs(body.decode())["data"][0]) for _, _, body in server.requests]
    assert [f["epoch"] for f in figures] == [0, 1, 2, 3, 4]
    assert [path for path, _, _ in server.requests] == ["/publish/epoch/end/"] * 5
    assert (callback.sent, callback.dropped, said.warnings) == (5, 0, [])


def test_figures_that_json_has_not(server: Server, make_trainer: Any) -> None:
    callback = RemoteMonitor(server.root, send_as_json=True)
    callback.set_model(make_trainer())
    callback.on_epoch_end(0, {"loss": float("nan"), "accuracy": float("inf")})
    callback.on_train_end()
    assert json.loads(server.requests[0][2]) == {"epoch": 0, "loss": None, "accuracy": None}


@pytest.mark.parametrize("answer", [500, 404, "garbage"])
def test_a_server_that_answers_with_an_error(
    server: Server, answer: Any, make_trainer: Any, points: Any, said: Any
) -> None:
    server.answer = answer
    callback = quick(root=server.root)
    make_trainer().fit(*points, epochs=3, verbose=0, callbacks=[callback])
    assert (callback.sent, callback.dropped) == (0, 3)
    first, last = said.warnings
    assert first.startswith(f"Quick: could not reach {server.root}: ")
    assert first.endswith("training continues")
    assert last == f"Quick: 3 of 3 epochs did not reach {server.root}"


def test_a_server_that_refuses(make_trainer: Any, points: Any, said: Any) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        root = f"http://127.0.0.1:{unused.getsockname()[1]}"
    callback = quick(root=root)
    history = make_trainer().fit(*points, epochs=3, verbose=0, callbacks=[callback])
    assert len(history.epoch) == 3
    assert (callback.sent, callback.dropped) == (0, 3)
    assert "refused" in said.warnings[0]
    assert len(said.warnings) == 2


def test_no_epoch_and_no_end_of_training_waits_for_a_request(
    make_trainer: Any, points: Any, said: Any, monkeypatch: Any
) -> None:
    trained, ended_before = threading.Event(), []

    def hang(self: Any, body: bytes) -> str:
        ended_before.append(not trained.wait(60))
        return "no answer"

    monkeypatch.setattr("regraft.callbacks.remote_monitor._Sender._post", hang)
    callback = quick(root="http://localhost:9")
    callback.timeout = 0.1  # type: ignore[misc]
    make_trainer().fit(*points, epochs=10, verbose=0, callbacks=[callback])
    assert ended_before == []  # the first request still hangs
    trained.set()
    assert callback.dropped == 10
    assert said.warnings[-1] == "Quick: 10 of 10 epochs did not reach http://localhost:9"


def test_a_server_that_hangs_is_given_up(server: Server, make_trainer: Any, points: Any, said: Any) -> None:
    server.answer = "hang"
    callback = quick(root=server.root)
    callback.timeout = 0.1  # type: ignore[misc]
    make_trainer().fit(*points, epochs=2, verbose=0, callbacks=[callback])
    assert callback.dropped == 2
    assert said.warnings[-1] == f"Quick: 2 of 2 epochs did not reach {server.root}"


def test_a_server_that_dies(server: Server, make_trainer: Any, points: Any, said: Any) -> None:
    callback = quick(root=server.root)

    def die(epoch: int, logs: Any) -> None:
        if epoch == 2:
            assert all(server.arrived.acquire(timeout=60) for _ in range(3))
            server.server.shutdown()
            server.server.server_close()

    history = make_trainer().fit(*points, epochs=6, verbose=0, callbacks=[callback, LambdaCallback(on_epoch_end=die)])
    assert len(history.epoch) == 6
    assert (callback.sent, callback.dropped) == (3, 3)
    assert len(said.warnings) == 2


def test_a_training_that_fails_leaves_no_thread(server: Server, make_trainer: Any, points: Any) -> None:
    def fail(epoch: int, logs: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        callbacks = [RemoteMonitor(server.root), LambdaCallback(on_epoch_end=fail)]
        make_trainer().fit(*points, verbose=0, callbacks=callbacks)
    assert len(server.requests) == 1


@pytest.mark.parametrize("root", ["file:///etc", "localhost:9000", "ftp://host"])
def test_a_root_that_is_no_web_server(root: str) -> None:
    with pytest.raises(TrainingError, match="expected an address that begins with http:// or https://"):
        RemoteMonitor(root)
