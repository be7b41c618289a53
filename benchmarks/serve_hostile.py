"""10,000 hostile requests to `regraft serve`, next to ordinary ones: statuses by kind, memory, and the others' answers.

python benchmarks/serve_hostile.py MODEL PHOTOS [--requests 10000] [--at-a-time 32] [--seed 0]

MODEL is a run folder or a model file. The requests are those of `tests/serve/hostile_requests.py`: bombs, damaged
photos and forms, wrong lengths, large heads, slow senders, and senders that disconnect. Meanwhile an ordinary client
sends photos, whose answers must not change in a byte. The script fails if the server has ended, if an answer has
changed, if a status is 500, or if memory has grown by more than `--max-growth` megabytes above its highest value in the
first tenth.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from _serve_client import answer_of, request_of
from _serve_processes import Server, free_port, running

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from serve.hostile_requests import Requests, send_all

LARGE = (5000, 4000)  # as large as --max-megapixels 20 allows


async def ordinary(
    port: int, requests: list[bytes], expected: list[bytes], end: asyncio.Event
) -> tuple[int, int, float]:
    """Send photos again and again; return the number of answers, of those that changed, and the slowest in seconds."""
    answers, wrong, slowest = 0, 0, 0.0
    while not end.is_set():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for request, answer in zip(requests, expected, strict=True):
            began = time.perf_counter()
            try:
                status, body = await answer_of(reader, writer, request)
            except (asyncio.IncompleteReadError, ConnectionError):  # idle for longer than the server allows
                break
            slowest = max(slowest, time.perf_counter() - began)
            answers += 1
            wrong += status != 200 or body != answer
            await asyncio.sleep(0.05)
        writer.close()
    return answers, wrong, slowest


async def attack(
    server: Server, photos: list[Path], count: int, at_a_time: int, seed: int
) -> tuple[Counter[tuple[str, int | None]], list[float], tuple[int, int, float]]:
    """Return statuses by kind, samples of memory, and the result of the ordinary client."""
    requests = [request_of(photo) for photo in photos]
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    expected = [(await answer_of(reader, writer, request))[1] for request in requests]
    writer.close()
    end, made = asyncio.Event(), Requests(seed, LARGE, pause=3.0)
    others = asyncio.create_task(ordinary(server.port, requests, expected, end))
    statuses: Counter[tuple[str, int | None]] = Counter()
    memory = [server.memory()]
    step = max(count // 50, 1)
    for start in range(0, count, step):
        some = [made.request() for _ in range(min(step, count - start))]
        answers = await send_all(server.port, some, at_a_time)
        statuses.update(zip((one.kind for one in some), answers, strict=True))
        memory.append(server.memory())
        print(f"{start + len(some):,} requests · {memory[-1]:.0f} MB", file=sys.stderr, flush=True)
    end.set()
    return statuses, memory, await others


def main() -> None:
    """Print the table, and fail if something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--at-a-time", type=int, default=32)
    parser.add_argument("--max-growth", type=float, default=150)
    given = parser.parse_args()
    photos, port = sorted(given.photos.rglob("*.jpg"))[:8], free_port()
    options = ["--read-timeout", "2", "--max-megapixels", "20", "--connections", "128"]
    words = [sys.executable, "-m", "regraft", "serve", str(given.model), "--port", str(port), *options]
    with tempfile.TemporaryDirectory() as folder, running(words, port, Path(folder) / "log") as server:
        began = time.perf_counter()
        statuses, memory, (answers, wrong, slowest) = asyncio.run(
            attack(server, photos, given.requests, given.at_a_time, given.seed)
        )
        ended = server.process.poll()
        seconds, cpu = time.perf_counter() - began, server.cpu()
        log = (Path(folder) / "log").read_text(encoding="utf-8")
    for kind in sorted({kind for kind, _ in statuses}):
        found = {str(status): n for (other, status), n in sorted(statuses.items(), key=str) if other == kind}
        print(f"{kind}: {found}")
    early, late = max(memory[: len(memory) // 10 + 1]), max(memory[len(memory) // 10 :])
    print(f"memory at the start {memory[0]:.0f} MB · highest {max(memory):.0f} MB · at the end {memory[-1]:.0f} MB")
    print(f"{given.requests:,} requests in {seconds:.0f} s, {cpu:.0f} s of processor time")
    print(f"ordinary client: {answers:,} answers, {wrong} changed, slowest {slowest:.2f} s")
    print(f"log:\n{log[-2000:]}")
    failed = any(status == 500 for _, status in statuses)
    if failed or wrong or ended is not None or late - early > given.max_growth:
        sys.exit("failed")


if __name__ == "__main__":
    main()
