"""The limits of a server of predictions."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The limits of a server of predictions.

    Attributes:
        body: maximum bytes of a request.
        pixels: maximum pixels of a photo, by its header; a photo with more is refused before it is decoded.
        photos: maximum number of photos in a request.
        queue: maximum number of photos that wait for their answers.
        memory: maximum bytes of the bodies of all requests in progress.
        seconds: maximum time from the end of a request to its answer.
        read_seconds: maximum time to send a request, plus a second for every 16 KiB of it.
        connections: maximum number of connections.
        stop_seconds: maximum time that the server takes to stop.
    """

    body: int = 32 << 20
    pixels: int = 64_000_000
    photos: int = 64
    queue: int = 256
    memory: int = 512 << 20
    seconds: float = 30.0
    read_seconds: float = 10.0
    connections: int = 512
    stop_seconds: float = 20.0
