"""The server: its port, its address, and what it imports."""

from __future__ import annotations

import asyncio
import errno
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from regraft.errors import ServerError
from regraft.web import server
from regraft.web.server import address_of, listen


def test_a_port_in_use_and_a_foreign_address_are_errors():
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        assert address_of(first) == f"http://127.0.0.1:{port}"
        with pytest.raises(ServerError, match=rf"cannot listen on 127.0.0.1, port {port}: .*\n  another program uses"):
            listen("127.0.0.1", port)
    for host in ("192.0.2.1", "no host"):
        with pytest.raises(ServerError, match=rf"cannot listen on {host}, port 0: .*\n  --host is an address of this"):
            listen(host, 0)


def test_a_port_without_permission_has_another_hint(monkeypatch):
    def bind(listener, address):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(server.socket.socket, "bind", bind)
    with pytest.raises(ServerError, match=r"port 80: Permission denied\n  choose a port above 1023 with --port"):
        listen("127.0.0.1", 80)


def test_an_answer_in_two_packets_is_not_held_back():
    """Without TCP_NODELAY, the body of an answer waits 40 ms for the receipt of its head."""

    async def accepted_without_delay() -> int:
        found = asyncio.get_running_loop().create_future()
        with listen("127.0.0.1", 0) as listener:
            answering = await asyncio.start_server(lambda _, writer: found.set_result(writer), sock=listener)
            async with answering:
                _, asking = await asyncio.open_connection(*listener.getsockname())
                accepted = await found
                option = accepted.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                for writer in (asking, accepted):
                    writer.close()
        return option

    with ThreadPoolExecutor(1) as thread:  # the loop of a browser may run in this one
        assert thread.submit(lambda: asyncio.run(accepted_without_delay())).result()


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
