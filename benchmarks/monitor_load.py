"""The monitor under load: posts in a second, memory, bytes of an update, first paint, processor time of an idle page.

python benchmarks/monitor_load.py [--seconds 60] [--rate 1000] [--senders 10] [--runs 50] [--points 2000] [--paint]

1. `--rate` posts a second for `--seconds`, from `--senders` trainings on connections of their own. Every post
   that was answered must be in the run folders once; the memory of the server is printed after a quarter of the time,
   and at the end.
2. A page is open on `--runs` runs of `--points` points, and one run grows: bytes that the page receives for new points.
3. With `--paint`, Chromium opens that page: milliseconds until the first paint, and until all curves are there.
4. Processor time of the server in a second while a page is open and one run is in progress.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOST = "127.0.0.1"


class Server:
    """A monitor in a process of its own."""

    def __init__(self, root: Path) -> None:
        words = ["-m", "regraft", "monitor", str(root), "--port", "0", "--idle", "600", "--quiet"]
        self.process = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        self.port = int(self.address.rstrip("/").rsplit(":", 1)[1])

    def memory(self) -> float:
        """Return its resident memory in megabytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def cpu(self) -> float:
        """Return its processor time in seconds."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(root: Path) -> Iterator[Server]:
    """Yield a monitor of ``root`` that ends with the block."""
    server = Server(root)
    try:
        yield server
    finally:
        server.process.terminate()
        server.process.wait()


async def send(port: int, name: str, count: int, pause: float) -> list[float]:
    """Post ``count`` epochs, one each ``pause`` seconds; return the seconds that each answer took."""
    reader, writer = await asyncio.open_connection(HOST, port)
    taken, begun = [], time.perf_counter()
    for epoch in range(count):
        await asyncio.sleep(max(0.0, begun + epoch * pause - time.perf_counter()))
        body = json.dumps({"epoch": epoch, "loss": 1 / (1 + epoch), "val_loss": 0.5, "accuracy": 0.75}).encode()
        head = (
            f"POST /publish/epoch/end/ HTTP/1.1\r\nHost: {HOST}\r\nX-Run: {name}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        asked = time.perf_counter()
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200"), answer
        await reader.readexactly(int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
        taken.append(time.perf_counter() - asked)
    writer.close()
    return taken


async def post(server: Server, seconds: float, rate: float, senders: int) -> None:
    """Post, and print what was answered and what it cost."""
    count = int(seconds * rate / senders)
    memory: list[float] = []

    async def watch() -> None:
        await asyncio.sleep(seconds / 4)
        memory.append(server.memory())

    watching, cpu, begun = asyncio.create_task(watch()), server.cpu(), time.perf_counter()
    answers = await asyncio.gather(*(send(server.port, f"s{k}", count, senders / rate) for k in range(senders)))
    taken = [seconds for of_sender in answers for seconds in of_sender]
    wall = time.perf_counter() - begun
    await watching
    taken.sort()
    print(f"posts      {len(taken):,} answered in {wall:.1f} s: {len(taken) / wall:,.0f} a second")
    print(
        f"answers    median {1e3 * taken[len(taken) // 2]:.1f} ms, 99 % in {1e3 * taken[int(0.99 * len(taken))]:.1f} ms"
    )
    print(f"processor  {1e6 * (server.cpu() - cpu) / len(taken):.0f} µs of the server for a post")
    print(f"memory     {memory[0]:.1f} MB at a quarter of the time, {server.memory():.1f} MB at the end")


def check_kept(root: Path, expected: int) -> None:
    """Print how many posts are in the run folders, each once."""
    kept = []
    for path in sorted(root.iterdir()):
        lines = (path / "events.jsonl").read_text(encoding="utf-8").splitlines()
        kept.append([json.loads(line)["epoch"] for line in lines])
    lost = expected - sum(map(len, kept))
    doubled = sum(len(epochs) - len(set(epochs)) for epochs in kept)
    print(f"kept       {sum(map(len, kept)):,} in {len(kept)} runs; lost {lost}, doubled {doubled}")


def make_runs(root: Path, runs: int, points: int) -> None:
    """Write finished runs with ``points`` epochs, and one in progress."""
    for k in range(runs):
        path = root / f"run-{k:03}"
        path.mkdir(parents=True)
        (path / "config.json").write_text('{"format": 1, "recipe": "auto"}', encoding="utf-8")
        now = time.time()
        events = [{"event": "start", "time": now - points, "running_for": 0}]
        for n in range(points):
            figures = {
                "loss": 1 / (n + 1),
                "accuracy": 0.9,
                "val_loss": 2 / (n + 1),
                "val_accuracy": 0.8,
                "learning_rate": 1e-3,
            }
            events.append(
                {"event": "epoch", "time": now - points + n, "stage": "all blocks", "epoch": n + 1, **figures}
            )
        if k:
            events.append({"event": "end", "time": now})
        (path / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")


async def updates(server: Server, root: Path, points: int) -> None:
    """Open a page without a browser, let one run grow, and print the bytes of an update."""
    reader, writer = await asyncio.open_connection(HOST, server.port, limit=1 << 27)
    begun = time.perf_counter()
    writer.write(f"GET /events HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    first = len(await reader.readuntil(b'"complete"'))
    print(f"first      {first / 1e6:.2f} MB in {1e3 * (time.perf_counter() - begun):.0f} ms, from files to messages")
    await reader.readuntil(b"\n\n")
    for new in (1, 10, 100):
        with (root / "run-000" / "events.jsonl").open("a", encoding="utf-8") as file:
            for _ in range(new):
                points += 1
                event = {"event": "epoch", "time": time.time(), "stage": "all blocks", "epoch": points, "loss": 0.1}
                file.write(json.dumps(event) + "\n")
        received = len(await reader.readuntil(b'"points":')) + len(await reader.readuntil(b"\n\n"))
        received += len(await reader.readuntil(b'"status":')) + len(await reader.readuntil(b"\n\n"))
        print(f"update     {received:,} bytes for {new} new points")
    cpu, begun = server.cpu(), time.perf_counter()
    progress = root / "run-000" / "resume" / "progress.json"
    progress.parent.mkdir()
    for n in range(20):
        progress.write_text(json.dumps({"time": time.time(), "wait": {"label": "tuning", "done": n}}), encoding="utf-8")
        await asyncio.sleep(0.5)
    share = (server.cpu() - cpu) / (time.perf_counter() - begun)
    print(f"idle page  {100 * share:.2f} % of a core for the server, with a run in progress")
    writer.close()


def paint(server: Server) -> None:
    """Open the page in Chromium, and print when it paints."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        program = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for _ in range(3):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(server.address)
            drawn = "() => runs.size > 1 && document.querySelectorAll('.spark path').length === runs.size"
            while not page.evaluate(drawn):
                page.wait_for_timeout(5)
            first = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
            print(f"paint      first after {first:.0f} ms, all runs after {page.evaluate('performance.now()'):.0f} ms")
            page.close()
        browser.close()


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("seconds", 60.0), ("rate", 1000.0), ("senders", 10), ("runs", 50), ("points", 2000)):
        parser.add_argument(f"--{name}", type=type(default), default=default)
    parser.add_argument("--paint", action="store_true", help="open the page in Chromium")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "posted"
        with serving(root) as server:
            asyncio.run(post(server, options.seconds, options.rate, options.senders))
        check_kept(root, options.senders * int(options.seconds * options.rate / options.senders))
        root = Path(folder) / "runs"
        make_runs(root, options.runs, options.points)
        with serving(root) as server:
            asyncio.run(updates(server, root, options.points))
            if options.paint:
                paint(server)


if __name__ == "__main__":
    main()
