"""The body of a request, read within limits of time and memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from http import HTTPStatus

from starlette.requests import Request

from regraft.serve.limits import Limits
from regraft.web.guard import RefusalError

MIN_RATE = 16 << 10
"""Bytes that a sender sends in a second, at least."""


class BodyMemory:
    """The bytes of the bodies of all requests in progress, with a limit."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.in_use = 0

    @contextlib.asynccontextmanager
    async def body_of(self, request: Request, limits: Limits) -> AsyncIterator[bytes]:
        """Yield the body of a request, whose bytes count until the end of the block.

        Raises:
            RefusalError: the sender is too slow, or all requests together take too much memory.
            ClientDisconnect: the sender has gone.
        """
        body = bytearray()
        try:
            async for chunk in _chunks_in_time(request, limits.read_seconds):
                if self.in_use + len(chunk) > self._most:
                    text = "the server has too many photos in memory; try again later"
                    raise RefusalError(HTTPStatus.SERVICE_UNAVAILABLE, text)
                self.in_use += len(chunk)
                body += chunk
            yield bytes(body)
        finally:
            self.in_use -= len(body)


async def _chunks_in_time(request: Request, seconds: float) -> AsyncIterator[bytes]:
    start, received = asyncio.get_running_loop().time(), 0
    chunks = request.stream()
    while True:
        try:
            async with asyncio.timeout_at(start + seconds + received / MIN_RATE):
                chunk = await anext(chunks, None)
        except TimeoutError:
            raise RefusalError(HTTPStatus.REQUEST_TIMEOUT, "the request took too long to arrive") from None
        if chunk is None:
            return
        received += len(chunk)
        yield chunk
