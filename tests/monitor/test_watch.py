"""`regraft train --watch`: a monitor in a process of its own, which ends by itself."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from making_runs import make_run
from recorded_screen import RecordedScreen
from regraft.errors import MissingExtraError
from regraft.monitor import watch as watching
from regraft.monitor.watch import start_monitor, watch
from regraft.web.server import listen


def test_the_monitor_is_started_on_a_free_port_and_ends_when_it_is_not_used(tmp_path, monkeypatch):
    make_run(tmp_path / "a").journal.add("end", chosen="linear-probe", seconds=1)
    with listen("127.0.0.1", 0) as taken:
        monkeypatch.setattr(watching, "PORTS", (taken.getsockname()[1], 0))
        address = start_monitor(tmp_path, idle=0.5)
    with urllib.request.urlopen(address) as answer:
        assert b"regraft monitor" in answer.read()
    while True:
        try:
            urllib.request.urlopen(address).close()
        except (urllib.error.URLError, ConnectionError):
            break


def test_the_address_is_shown_and_the_page_opened(tmp_path, monkeypatch):
    opened, screen = [], RecordedScreen()
    monkeypatch.setattr(watching, "start_monitor", lambda root: "http://127.0.0.1:1/")
    monkeypatch.setattr(watching.webbrowser, "open", opened.append)
    monkeypatch.setenv("DISPLAY", ":0")
    watch(tmp_path, screen).join()
    assert screen.texts == ["http://127.0.0.1:1/"] == opened
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(watching.sys, "platform", "linux")
    watch(tmp_path, screen).join()
    assert len(opened) == 1


def test_a_monitor_that_does_not_start_is_a_warning(tmp_path, monkeypatch):
    screen = RecordedScreen()
    monkeypatch.setattr(watching, "start_monitor", lambda root: None)
    watch(tmp_path, screen).join()
    assert screen.texts == [f"--watch: the monitor did not start; see: regraft monitor {tmp_path}"]


def test_without_the_extra_the_error_names_it(tmp_path, monkeypatch):
    monkeypatch.setattr(watching.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        MissingExtraError, match=r"live pages need an optional package: pip install 'regraft\[monitor\]'"
    ):
        watch(tmp_path, RecordedScreen())
