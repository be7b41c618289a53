"""A monitor of a folder, called in this process or on a port of this machine."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.testclient import TestClient

from chromium import chromium, page
from regraft.monitor import monitor_app
from regraft.monitor.monitor_app import MonitorState
from regraft.monitor.remote_runs import RemoteRuns
from regraft.monitor.watched_runs import WatchedRuns
from regraft.web.access import Access
from regraft.web.server import address_of, listen, serve

__all__ = ["chromium", "page"]

HERE = "http://127.0.0.1:9000"


def state_of(root, **more) -> MonitorState:
    return MonitorState(WatchedRuns(root), RemoteRuns(root), **more)


@pytest.fixture
def client_of():
    """Return a function that returns a client of a monitor."""

    def make(state, *, address=HERE, **access) -> TestClient:
        app = monitor_app.monitor_app(state, Access(**access))
        return TestClient(app, base_url=address, follow_redirects=False, client=("127.0.0.1", 5000))

    return make


@pytest.fixture
def address(tmp_path):
    """The address of a monitor of ``tmp_path/runs`` on a free port, which ends with the test."""
    ended = threading.Event()
    listener = listen("127.0.0.1", 0)
    app = monitor_app.monitor_app(state_of(tmp_path / "runs", allow_stop=True), Access())
    more = {"idle": 0.05, "is_used": lambda: not ended.is_set()}
    thread = threading.Thread(target=serve, args=(app, listener), kwargs=more)
    thread.start()
    yield address_of(listener)
    ended.set()
    thread.join()


def read_stream(state, last_id="", until=lambda messages: True):
    """Return the messages of a stream, each with its id, until they are enough."""

    async def read():
        received = []
        stream = monitor_app._messages(state, last_id)
        async for event in stream:
            lines = dict(line.split(": ", 1) for line in event.strip().split("\n"))
            if "retry" in lines:
                continue
            received.append((lines.get("id"), lines.get("data")))
            if until(received):
                break
        await stream.aclose()
        return received

    with ThreadPoolExecutor(1) as thread:  # in this one, a browser may have a loop
        return thread.submit(asyncio.run, read()).result()
