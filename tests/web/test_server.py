"""The server: its port, its address, and what it imports."""

from __future__ import annotations

import subprocess
import sys

import pytest

from regraft.errors import ServerError
from regraft.web import server
from regraft.web.server import address_of, listen


def test_a_port_in_use_and_a_foreign_address_are_errors():
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        assert address_of(first) == f"http://127.0.0.1:{port}"
        with pytest.raises(ServerError, match=rf"cannot listen on 127.0.0.1, port {port}: .*\n  choose another port"):
            listen("127.0.0.1", port)
    with pytest.raises(ServerError, match=r"cannot listen on 192.0.2.1, port 0"):
        listen("192.0.2.1", 0)


def test_the_address_of_a_server_for_all_machines_is_one_that_they_can_reach(monkeypatch):
    monkeypatch.setattr(server.socket, "gethostbyname", lambda name: "192.0.2.7")
    with listen("0.0.0.0", 0) as listener:
        assert address_of(listener) == f"http://192.0.2.7:{listener.getsockname()[1]}"


def test_a_monitor_loads_no_torch_and_no_training():
    code = (
        "import sys, regraft.monitor.run_monitor, regraft.monitor.live_page as page; page.live_page();"
        "print(*(name for name in ('torch', 'timm', 'numpy', 'PIL') if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", timeout=60, check=True)
    assert done.stdout.split() == []
