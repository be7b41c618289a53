"""Servers as processes, and what the system knows of them: processor time and memory, with all their children."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        process: its first process, which leads a process group.
        port: its port.
    """

    process: subprocess.Popen[bytes]
    port: int

    def processes(self) -> list[int]:
        """Return its process and all descendants."""
        parents = {int(path.name): _fields(path) for path in Path("/proc").iterdir() if path.name.isdigit()}
        found = [self.process.pid]
        for pid in found:
            found += [child for child, fields in parents.items() if fields and int(fields[1]) == pid]
        return found

    def cpu(self) -> float:
        """Return the processor time of all its processes in seconds."""
        fields = [fields for pid in self.processes() if (fields := _fields(Path(f"/proc/{pid}")))]
        return sum(int(one[11]) + int(one[12]) for one in fields) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """Return the resident memory of all its processes in megabytes; shared pages count in each."""
        pages = 0
        for pid in self.processes():
            try:
                pages += int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
            except OSError:
                continue
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _fields(folder: Path) -> list[str]:
    try:
        return (folder / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


@contextmanager
def running(words: Sequence[str], port: int, log: Path) -> Iterator[Server]:
    """Yield a server that answers on ``port``; it is stopped at the end of the block."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the end of the block stops the server
    with log.open("ab") as out:
        process = subprocess.Popen(list(words), stdout=out, stderr=out, start_new_session=True)
    try:
        _wait_for(port, process, log)
        yield Server(process, port)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    by = time.monotonic() + 180
    while time.monotonic() < by:
        if process.poll() is not None:
            raise RuntimeError(
                f"the server ended with {process.returncode}:\n{log.read_text(errors='replace')[-2000:]}"
            )
        try:
            with socket.create_connection((HOST, port), timeout=60) as connection:
                connection.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                if connection.recv(1):
                    return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the server does not answer")
