"""Answers of one line: text for people, or JSON for programs."""

from __future__ import annotations

import json
from http import HTTPStatus

from regraft.language import translate

TRY_AGAIN = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
"""Statuses of requests that may be sent again after a second."""


def short_answer(text: str, *, as_json: bool) -> tuple[bytes, bytes]:
    """Return media type and body of an answer of one line; the JSON is ``{"error": text}``."""
    if as_json:
        return b"application/json", error_line(text)
    return b"text/plain; charset=utf-8", f"{text}\n".encode() if text else b""


def error_line(text: str, **more: object) -> bytes:
    """Return ``{"error": text}``, with further values, as one line of JSON.

    The error is in English, for programs. If the language is another one, ``shown`` is what a page shows.
    """
    reason = str(more.get("reason", text))
    shown = translate(reason)
    values = {"error": text, **more} | ({} if shown == reason else {"shown": shown})
    return json.dumps(values, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def whole_response(status: HTTPStatus, text: str, *, as_json: bool) -> bytes:
    """Return a response with its head, after which the connection is closed."""
    media_type, body = short_answer(text, as_json=as_json)
    lines = (
        f"HTTP/1.1 {status.value} {status.phrase}".encode(),
        b"content-type: " + media_type,
        f"content-length: {len(body)}".encode(),
        b"connection: close",
        *((b"retry-after: 1",) if status in TRY_AGAIN else ()),
    )
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
