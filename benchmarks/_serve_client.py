"""A light load generator: connections that each send the next request when the answer to the last one has come.

python benchmarks/_serve_client.py PORT CLIENTS SECONDS PHOTO ...

It prints one JSON object: the milliseconds of each answer that came in the last nine tenths of the time (the first
tenth warms the server up), the seconds of these nine tenths, and the numbers of errors and of all answers.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

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


async def load(port: int, clients: int, seconds: float, requests: list[bytes]) -> dict[str, Any]:
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
            ended = time.perf_counter()
            position += 1
            errors += status != 200
            whole += 1
            if counts_from <= ended <= end:
                times.append(1000 * (ended - began))
        writer.close()

    await asyncio.gather(*(client(number) for number in range(clients)))
    return {"ms": times, "seconds": end - counts_from, "errors": errors, "whole": whole}


if __name__ == "__main__":
    port, clients, seconds, *photos = sys.argv[1:]
    made = [request_of(Path(photo)) for photo in photos]
    print(json.dumps(asyncio.run(load(int(port), int(clients), float(seconds), made))))
