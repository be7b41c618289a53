"""A light load generator: connections that each send the next request when the answer to the last one has come.

python benchmarks/_serve_client.py PORT CLIENTS SECONDS PHOTO ...

It prints one JSON object: answers, seconds, errors, and milliseconds at the 50th and the 99th percentile. The first
tenth of the time warms the server up and does not count.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

BOUNDARY = b"benchmark-boundary-of-a-form"


def request_of(photo: Path) -> bytes:
    """Return a request with a photo in a form."""
    body = (
        b"--" + BOUNDARY + b'\r\nContent-Disposition: form-data; name="photos"; filename="photo.jpg"\r\n'
        b"Content-Type: image/jpeg\r\n\r\n" + photo.read_bytes() + b"\r\n--" + BOUNDARY + b"--\r\n"
    )
    head = (
        "POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY.decode()}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def answer_of(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> tuple[int, bytes]:
    """Send a request and return the status and the body of its answer."""
    writer.write(request)
    await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    length = next(int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length:"))
    return int(lines[0].split()[1]), await reader.readexactly(length)


async def load(port: int, clients: int, seconds: float, requests: list[bytes]) -> dict[str, float]:
    """Return the figures of a load of some clients."""
    start = time.perf_counter()
    counts_from, end = start + seconds / 10, start + seconds
    times: list[float] = []
    errors, whole = 0, 0

    async def client(number: int) -> None:
        nonlocal errors, whole
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        position = number * 7
        while (began := time.perf_counter()) < end:
            status, _ = await answer_of(reader, writer, requests[position % len(requests)])
            position += 1
            errors += status != 200
            whole += 1
            if began >= counts_from:
                times.append(time.perf_counter() - began)
        writer.close()

    await asyncio.gather(*(client(number) for number in range(clients)))
    took, ordered = time.perf_counter() - counts_from, sorted(times)
    return {
        "answers": len(times),
        "errors": errors,
        "with_warm_up": whole,
        "per_second": len(times) / took,
        "p50_ms": 1000 * ordered[len(ordered) // 2],
        "p99_ms": 1000 * ordered[min(int(len(ordered) * 0.99), len(ordered) - 1)],
    }


if __name__ == "__main__":
    port, clients, seconds, *photos = sys.argv[1:]
    made = [request_of(Path(photo)) for photo in photos]
    print(json.dumps(asyncio.run(load(int(port), int(clients), float(seconds), made))))
