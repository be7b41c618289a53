"""`regraft serve` beside LitServe and plain FastAPI: answers a second, p50 and p99 at 1, 8 and 64 clients.

python benchmarks/serve_load.py RUN PHOTOS [--onnx FILE] [--seconds 2] [--rounds 5] [--clients 1 8 64] [--servers ...]

RUN is the run folder of a finished training on this machine. Its model is exported to ONNX once; the other servers
run that file (`_serve_peers.py`), and regraft serve the run itself, whose network is the same. All servers run, and one
at a time gets a load from a process of its own (`_serve_client.py`), in turn and in short pieces, so that other work of
the machine meets all of them. The figures are of all pieces together; processor time per answer changes least with
other work. The order of the servers turns from round to round.

Needs: pip install 'regraft[serve,bench]'
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from _serve_processes import Server, free_port, running

import regraft as rg

HERE = Path(__file__).resolve().parent
SERVERS = ("regraft", "fastapi", "fastapi-1", "litserve", "litserve-2")


@dataclass
class Figures:
    """The figures of a server with a number of clients."""

    ms: list[float] = field(default_factory=list)
    seconds: float = 0.0
    errors: int = 0
    whole: int = 0
    cpu: float = 0.0
    memory: float = 0.0

    def add(self, piece: dict[str, Any], cpu: float, memory: float) -> None:
        """Add a piece."""
        self.ms += piece["ms"]
        self.seconds += piece["seconds"]
        self.errors += piece["errors"]
        self.whole += piece["whole"]
        self.cpu, self.memory = self.cpu + cpu, max(self.memory, memory)

    def row(self) -> str:
        """Return the cells of the table."""
        p50, p99 = np.percentile(self.ms, [50, 99])
        rate, cpu = len(self.ms) / self.seconds, 1000 * self.cpu / self.whole
        return f"{rate:.1f} | {p50:.1f} | {p99:.1f} | {cpu:.1f} | {self.memory:.0f} | {self.errors} | {len(self.ms)}"


def command(server: str, run: Path, onnx: Path, port: int) -> list[str]:
    """Return the words that start a server."""
    if server.startswith("regraft"):
        workers = server.partition("-")[2] or "1"
        return [sys.executable, "-m", "regraft", "serve", str(run), "--port", str(port), "--workers", workers]
    return [sys.executable, str(HERE / "_serve_peers.py"), server, str(onnx), str(port)]


def load(port: int, clients: int, seconds: float, photos: list[Path]) -> dict[str, Any]:
    """Return the figures of a load."""
    words = [sys.executable, str(HERE / "_serve_client.py"), str(port), str(clients), str(seconds), *map(str, photos)]
    done = subprocess.run(words, capture_output=True, check=True, text=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def measure(
    given: argparse.Namespace, servers: dict[str, Server], photos: list[Path]
) -> dict[tuple[int, str], Figures]:
    """Return the figures by number of clients and server."""
    figures: dict[tuple[int, str], Figures] = defaultdict(Figures)
    for server in servers.values():
        load(server.port, 2, 1.0, photos)
    names = list(servers)
    for number in range(given.rounds):
        for clients in given.clients:
            for name in names[number % len(names) :] + names[: number % len(names)]:
                server, seconds = servers[name], given.seconds * (2 if clients > 16 else 1)
                before = server.cpu()
                piece = load(server.port, clients, seconds, photos)
                figures[clients, name].add(piece, server.cpu() - before, server.memory())
        print(f"round {number + 1}", file=sys.stderr, flush=True)
    return figures


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--onnx", type=Path, help="an earlier export of the run")
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--servers", nargs="+", default=SERVERS)
    given = parser.parse_args()
    photos = sorted(given.photos.rglob("*.jpg"))[::7][:40]
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        onnx = given.onnx or rg.export_model(given.run, Path(folder) / "onnx", photos=given.photos).file
        servers = {}
        for name in given.servers:
            port = free_port()
            words = command(name, given.run, onnx, port)
            servers[name] = stack.enter_context(running(words, port, Path(folder) / f"{name}.log"))
        figures = measure(given, servers, photos)
    print("| clients | server | answers/s | p50 ms | p99 ms | CPU ms per answer | RSS MB | errors | n |")
    print("|---|---|---|---|---|---|---|---|---|")
    for (clients, name), one in sorted(figures.items()):
        print(f"| {clients} | {name} | {one.row()} |")


if __name__ == "__main__":
    main()
