"""`regraft serve` for half an hour: memory, open files and threads must not grow.

python benchmarks/serve_soak.py MODEL PHOTOS [--minutes 30] [--clients 4] [--reload 60] [--pause 0]

Clients send photos, with `--pause` seconds between them; every `--reload` seconds the file of the model is replaced by
a copy with another content hash, as an updated model would be. Prints resident memory, open files and threads 20
times, and fails if the mean memory of the last quarter is more than 5 % above that of the second quarter, or if a
request failed.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from _serve_client import answer_of, request_of
from _serve_processes import Server, free_port, running

import regraft as rg

SAMPLES = 20


def copies_of(model: Path, folder: Path) -> list[Path]:
    """Return two files of one model that differ in their metadata."""
    classifier = rg.Predictor.load(model).classifier
    files = []
    for number in range(2):
        classifier.facts["copy"] = str(number)
        files.append(folder / f"{number}.safetensors")
        classifier.save(files[-1])
    return files


async def client(port: int, requests: list[bytes], until: float, pause: float, counts: dict[str, int]) -> None:
    """Send photos until a time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.monotonic() < until:
        for request in requests:
            status, _ = await answer_of(reader, writer, request)
            counts["answers" if status == 200 else "errors"] += 1
            await asyncio.sleep(pause)
    writer.close()


async def soak(
    server: Server, requests: list[bytes], given: argparse.Namespace, place: Path, files: list[Path]
) -> tuple[list[float], dict[str, int]]:
    """Return samples of memory, and the number of answers, errors and replaced models."""
    start, counts = time.monotonic(), {"answers": 0, "errors": 0, "replaced": 0}
    seconds = 60 * given.minutes
    calls = (client(server.port, requests, start + seconds, given.pause, counts) for _ in range(given.clients))
    tasks = [asyncio.create_task(call) for call in calls]
    memory, next_reload = list[float](), start + given.reload
    while len(memory) < SAMPLES:
        await asyncio.sleep(min(seconds / SAMPLES, max(next_reload - time.monotonic(), 0.1)))
        if time.monotonic() >= next_reload:
            new = place.with_name("new")
            new.write_bytes(files[(counts["replaced"] + 1) % 2].read_bytes())
            new.replace(place)
            counts["replaced"] += 1
            next_reload += given.reload
        if time.monotonic() >= start + seconds * (len(memory) + 1) / SAMPLES:
            memory.append(server.memory())
            folder = Path(f"/proc/{server.process.pid}")
            files_open, threads = len(list((folder / "fd").iterdir())), len(list((folder / "task").iterdir()))
            line = f"{(time.monotonic() - start) / 60:5.1f} min · {memory[-1]:.1f} MB · {files_open} files"
            print(f"{line} · {threads} threads · {counts}", flush=True)
    await asyncio.gather(*tasks)
    return memory, counts


def main() -> None:
    """Run the soak, and fail if memory grows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--pause", type=float, default=0, help="seconds of each client between two requests")
    parser.add_argument("--reload", type=float, default=60)
    given = parser.parse_args()
    requests = [request_of(photo) for photo in sorted(given.photos.rglob("*.jpg"))[:40]]
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        files = copies_of(given.model, folder)
        place = folder / "model.safetensors"
        place.write_bytes(files[0].read_bytes())
        words = [sys.executable, "-m", "regraft", "serve", str(place), "--port", str(port)]
        with running(words, port, folder / "log") as server:
            memory, counts = asyncio.run(soak(server, requests, given, place, files))
        print((folder / "log").read_text(encoding="utf-8")[-1500:])
    quarter = len(memory) // 4
    before, after = statistics.mean(memory[quarter : 2 * quarter]), statistics.mean(memory[-quarter:])
    print(f"memory: start {memory[0]:.1f} MB · middle {memory[len(memory) // 2]:.1f} MB · end {memory[-1]:.1f} MB")
    print(f"last quarter / second quarter: {after / before:.4f} · {counts}")
    if after > 1.05 * before or counts["errors"]:
        sys.exit("failed")


if __name__ == "__main__":
    main()
