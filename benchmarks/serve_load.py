"""`regraft serve` beside LitServe and plain FastAPI: answers a second, p50 and p99 at 1, 8 and 64 clients.

python benchmarks/serve_load.py RUN PHOTOS [--onnx FILE] [--seconds 5] [--rounds 3] [--clients 1 8 64] [--servers ...]

RUN is the run folder of a finished training on this machine. Its model is exported to ONNX once; the other servers
run that file (`_serve_peers.py`), and regraft serve the run itself, whose network is the same. One server runs at a
time, in rounds, one after the other; the load comes from a process of its own (`_serve_client.py`). The table has the
median over the rounds, with processor time per answer, which another load of the machine changes least.

Needs: pip install 'regraft[serve,bench]'
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from _serve_processes import free_port, running

HERE = Path(__file__).resolve().parent
SERVERS = ("regraft", "fastapi", "fastapi-1", "litserve", "litserve-2")


def command(server: str, run: Path, onnx: Path, port: int) -> list[str]:
    """Return the words that start a server."""
    if server.startswith("regraft"):
        workers = server.partition("-")[2] or "1"
        return [sys.executable, "-m", "regraft", "serve", str(run), "--port", str(port), "--workers", workers]
    return [sys.executable, str(HERE / "_serve_peers.py"), server, str(onnx), str(port)]


def measure(
    server: str, run: Path, onnx: Path, clients: list[int], seconds: float, photos: list[Path], log: Path
) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield the number of clients and the figures of a server for each of them."""
    port = free_port()
    with running(command(server, run, onnx, port), port, log) as started:
        load(port, 2, 1.0, photos)
        for count in clients:
            before = started.cpu()
            figures = load(port, count, seconds, photos)
            figures["cpu_ms"] = 1000 * (started.cpu() - before) / max(figures["with_warm_up"], 1)
            figures["rss_mb"] = started.memory()
            yield count, figures


def load(port: int, clients: int, seconds: float, photos: list[Path]) -> dict[str, float]:
    """Return the figures of a load."""
    words = [sys.executable, str(HERE / "_serve_client.py"), str(port), str(clients), str(seconds), *map(str, photos)]
    done = subprocess.run(words, capture_output=True, check=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--onnx", type=Path, help="an earlier export of the run")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--servers", nargs="+", default=SERVERS)
    given = parser.parse_args()
    photos = sorted(given.photos.rglob("*.jpg"))[::7][:40]
    with tempfile.TemporaryDirectory() as folder:
        import regraft as rg

        onnx = given.onnx or rg.export_model(given.run, Path(folder) / "onnx", photos=given.photos).file
        found: dict[tuple[int, str], list[dict[str, float]]] = defaultdict(list)
        for number in range(given.rounds):
            for server in given.servers:
                measured = measure(server, given.run, onnx, given.clients, given.seconds, photos, Path(folder) / "log")
                for clients, figures in measured:
                    found[clients, server].append(figures)
                    print(f"round {number + 1} · {server} · {clients} clients · {figures}", file=sys.stderr)
    print("| clients | server | answers/s | p50 ms | p99 ms | CPU ms per answer | RSS MB | errors |")
    print("|---|---|---|---|---|---|---|---|")
    for (clients, server), rounds in sorted(found.items()):
        middle = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
        errors = sum(one["errors"] for one in rounds)
        print(
            f"| {clients} | {server} | {middle['per_second']:.1f} | {middle['p50_ms']:.1f} | {middle['p99_ms']:.1f} | "
            f"{middle['cpu_ms']:.1f} | {middle['rss_mb']:.0f} | {errors:.0f} |"
        )


if __name__ == "__main__":
    main()
