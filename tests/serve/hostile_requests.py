"""Hostile requests to a server of predictions: bombs, damaged photos and forms, wrong lengths, slow senders."""

from __future__ import annotations

import asyncio
import contextlib
import io
import random
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

HEAD = "POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\n"


@dataclass(frozen=True)
class Hostile:
    """A hostile request.

    Attributes:
        kind: its kind, for the table.
        parts: bytes to send, with a pause before each part but the first.
        pause: seconds of each pause.
        reads: whether the sender waits for the answer.
    """

    kind: str
    parts: tuple[bytes, ...]
    pause: float = 0.0
    reads: bool = True


def png_bomb(width: int, height: int, rows: int) -> bytes:
    """Return a PNG that declares a size, with some rows of zeros."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * (3 * width + 1) * rows, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def text_bomb() -> bytes:
    """Return a PNG with a text chunk that decompresses to 50 MB."""
    plain = png_bomb(8, 8, 8)
    data = b"Comment\0\0" + zlib.compress(b"a" * 50_000_000, 9)
    chunk = struct.pack(">I", len(data)) + b"zTXt" + data + struct.pack(">I", zlib.crc32(b"zTXt" + data))
    return plain[:33] + chunk + plain[33:]


def photo(draw: random.Random, form: str) -> bytes:
    """Return an ordinary photo."""
    pixels = np.frombuffer(draw.randbytes(3 * 12 * 9), np.uint8).reshape(9, 12, 3)
    out = io.BytesIO()
    image = Image.fromarray(pixels).resize((draw.randrange(16, 400), draw.randrange(16, 400)))
    image.save(out, form, **({"progressive": True} if form == "JPEG" and draw.random() < 0.5 else {}))
    return out.getvalue()


class Requests:
    """Makes hostile requests, always the same for the same seed.

    Args:
        seed: the seed.
        large: size of the largest bomb that is within the limits, (width, height); it costs its decoding.
        pause: seconds of a slow sender's pauses.
    """

    def __init__(self, seed: int, large: tuple[int, int], pause: float) -> None:
        self._draw, self._pause = random.Random(seed), pause
        self._bombs = [png_bomb(60_000, 60_000, 10), png_bomb(1 << 24, 16_000, 0), text_bomb()]
        self._large = png_bomb(*large, large[1])
        scans = photo(random.Random(0), "JPEG")
        while b"\xff\xc2" not in scans:
            scans = photo(self._draw, "JPEG")
        scan = scans[scans.index(b"\xff\xda") : scans.rindex(b"\xff\xda")]
        self._bombs.append(scans.replace(scan, scan * 300))

    def request(self) -> Hostile:
        """Return the next request."""
        makers = (
            [self.bomb] * 10 + [self.damaged] * 30 + [self.lengths] * 15 + [self.form] * 20
            + [self.heads] * 10 + [self.slow] * 5 + [self.rude] * 9 + [self.large] * 1
        )  # fmt: skip
        return self._draw.choice(makers)()

    def bomb(self) -> Hostile:
        """Return a photo that declares more than is allowed."""
        return Hostile("bomb", (_raw(self._draw.choice(self._bombs)),))

    def large(self) -> Hostile:
        """Return a photo as large as is allowed, of a few bytes."""
        return Hostile("largest allowed photo", (_raw(self._large),))

    def damaged(self) -> Hostile:
        """Return a photo with random bytes, or cut off."""
        draw = self._draw
        data = bytearray(photo(draw, draw.choice(["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF"])))
        if draw.random() < 0.5:
            data = data[: draw.randrange(len(data))]
        for _ in range(draw.randrange(30)):
            if data:
                data[draw.randrange(len(data))] = draw.randrange(256)
        return Hostile("damaged photo", (_raw(bytes(data)),))

    def lengths(self) -> Hostile:
        """Return a request whose length is wrong."""
        draw, body = self._draw, photo(self._draw, "JPEG")
        length = draw.choice([len(body) + 10, len(body) - 10, 0, "-1", "1e9", "9" * 30, 10**12, "x", ""])
        more = draw.choice(
            ["", "", "Transfer-Encoding: chunked\r\n", "Content-Length: 5\r\n", "Expect: 100-continue\r\n"]
        )
        return Hostile("wrong length", (_raw(body, length=str(length), more=more),))

    def form(self) -> Hostile:
        """Return a damaged form."""
        draw = self._draw
        boundary = draw.choice(["x", "x" * 70, "x" * 300, "", '"', "-"])
        part = f'--{boundary}\r\nContent-Disposition: form-data; name="photos"; filename="{"a" * draw.randrange(300)}"'
        content = photo(draw, "JPEG")
        count = draw.choice([0, 1, 3, 200])
        body = bytearray((part.encode() + b"\r\n\r\n" + content[: draw.randrange(3000)] + b"\r\n") * count)
        body += draw.choice([b"", f"--{boundary}--\r\n".encode(), b"--", draw.randbytes(500), b"A: b\r\n" * 2000])
        for _ in range(draw.randrange(20)):
            if body:
                body[draw.randrange(min(len(body), 2000))] = draw.randrange(256)
        kind = f"multipart/form-data; boundary={boundary}" + draw.choice(["", "; boundary=y", "; charset=x"])
        return Hostile("damaged form", (_raw(bytes(body), kind=kind),))

    def heads(self) -> Hostile:
        """Return a head that is too large or wrong."""
        draw = self._draw
        text = draw.choice(
            [
                "A: " + "b" * 70_000,
                "A: b\r\n" * 20_000,
                "Cookie: " + "a=b;" * 5000,
                "Authorization: Bearer " + "x" * 30_000,
                "Host: evil.example",
                "Origin: http://evil.example",
                "no colon",
                "Content-Type: application/json",
                "Upgrade: websocket\r\nConnection: upgrade",
            ]
        )
        first = draw.choice(
            ["POST /predict", "GET /", "PUT /predict", "GET /" + "a" * 70_000, "TRACE /", "\x00", "GET //%00"]
        )
        head = f"{first} HTTP/1.1\r\nHost: 127.0.0.1\r\n{text}\r\n\r\n".encode("latin-1")
        return Hostile("head", (draw.choice([head] * 5 + [draw.randbytes(2000)]),))

    def slow(self) -> Hostile:
        """Return a request that comes in pieces, with pauses."""
        data = _raw(photo(self._draw, "PNG"))
        cut = self._draw.randrange(1, len(data))
        return Hostile("slow sender", (data[:cut], data[cut : cut + 1], data[cut + 1 : cut + 2]), self._pause)

    def rude(self) -> Hostile:
        """Return a request whose sender does not wait for the answer."""
        data = _raw(photo(self._draw, "JPEG"))
        return Hostile("disconnects", (data[: self._draw.randrange(len(data) + 1)],), reads=False)


def _raw(body: bytes, *, kind: str = "image/png", length: str | None = None, more: str = "") -> bytes:
    size = str(len(body)) if length is None else length
    return f"{HEAD}Content-Type: {kind}\r\nContent-Length: {size}\r\n{more}\r\n".encode() + body


async def answer_of(port: int, request: Hostile, seconds: float = 60) -> int | None:
    """Send a request and return the status of its first answer; None without an answer."""
    writer = None
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for number, part in enumerate(request.parts):
                await asyncio.sleep(request.pause if number else 0)
                writer.write(part)
                await writer.drain()
            if not request.reads:
                return None
            if len(request.parts[-1]) % 2:  # some senders end their side
                with contextlib.suppress(OSError, RuntimeError):
                    writer.write_eof()
            line = await reader.readline()
            return int(line.split()[1]) if line.startswith(b"HTTP/1.1 ") else None
    except OSError:
        return None
    finally:
        if writer is not None:
            writer.close()


async def send_all(port: int, requests: list[Hostile], at_a_time: int) -> list[int | None]:
    """Send requests, some at the same time, and return the status of each answer.

    Raises:
        TimeoutError: the server neither answered nor closed a connection.
    """
    gate = asyncio.Semaphore(at_a_time)

    async def send(request: Hostile) -> int | None:
        async with gate:
            return await answer_of(port, request)

    return await asyncio.gather(*map(send, requests))
