"""The guard of a server: who may send a request, how often, and how large it may be.

- The ``Host`` of a request must be an address of this server: otherwise any web page could reach a server on this
  machine through a name that it resolves to 127.0.0.1 (DNS rebinding).
- A request that another web page makes is refused, by its ``Origin`` or ``Sec-Fetch-Site``.
- A server with a token answers only requests that have it: in the address (the browser gets a cookie for it), in
  ``Authorization``, or as the value of any other header, such as those of Keras's `RemoteMonitor`.
"""

from __future__ import annotations

import hashlib
import secrets
import sys
import time
import urllib.parse
from collections.abc import Iterable
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from regraft.web.access import Access
from regraft.web.short_answers import TRY_AGAIN, error_line, short_answer

COOKIE = "regraft-token"

_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]


class RefusalError(Exception):
    """A request that is refused, with the status and the text of the answer."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


async def refused(request: Request, error: Exception) -> Response:
    """Return the answer to a request that is refused while its body is read."""
    assert isinstance(error, RefusalError)
    return PlainTextResponse(f"{error.text}\n", error.status)


async def refused_as_json(request: Request, error: Exception) -> Response:
    """Return the answer to a request that is refused while its body is read, as a line of JSON."""
    assert isinstance(error, RefusalError)
    again = {"retry-after": "1"} if error.status in TRY_AGAIN else None
    return Response(error_line(error.text), error.status, again, "application/json")


class Guard:
    """The application behind these rules.

    Args:
        app: answers the requests that are allowed.
        access: the rules.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access
        self._posts = _Bucket(access.posts_per_second)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        started = False

        async def guarded_send(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message = {**message, "headers": [*message.get("headers", []), *_HEADERS]}
            await send(message)

        try:
            headers = _headers(scope)
            self._check(scope, headers)
            login = self._login(scope)
            if login is not None:
                more = [(b"location", b"/"), (b"set-cookie", login)]
                await self._answer(guarded_send, HTTPStatus.SEE_OTHER, "", more)
                return
            await self._app(scope, _limited(receive, headers, self._access.body), guarded_send)
        except RefusalError as refusal:
            if not started:
                await self._answer(guarded_send, refusal.status, refusal.text)
        except Exception as error:  # noqa: BLE001  (a request must not end the server, nor print a traceback)
            sys.stderr.write(f"regraft: a request failed: {type(error).__name__}: {error}\n")
            if not started:
                await self._answer(guarded_send, HTTPStatus.INTERNAL_SERVER_ERROR, "the request failed")

    async def _answer(
        self, send: Send, status: HTTPStatus, text: str, headers: Iterable[tuple[bytes, bytes]] = ()
    ) -> None:
        media_type, body = short_answer(text, as_json=self._access.as_json and bool(text))
        more = [(b"content-type", media_type), (b"content-length", str(len(body)).encode()), *headers]
        if status in TRY_AGAIN:
            more.append((b"retry-after", b"1"))
        if status == HTTPStatus.UNAUTHORIZED:
            more.append((b"www-authenticate", b"Bearer"))
        await send({"type": "http.response.start", "status": status.value, "headers": more})
        await send({"type": "http.response.body", "body": body})

    def _check(self, scope: Scope, headers: dict[bytes, list[bytes]]) -> None:
        host = _one(headers, b"host")
        if not self._access.is_own(host):
            raise RefusalError(HTTPStatus.FORBIDDEN, "this host name is not an address of the server")
        origin = headers.get(b"origin")
        if origin is not None and _one(headers, b"origin") not in (f"http://{host}", f"https://{host}"):
            raise RefusalError(HTTPStatus.FORBIDDEN, "requests from other web pages are refused")
        navigates = scope["method"] == "GET" and headers.get(b"sec-fetch-mode") == [b"navigate"]
        if headers.get(b"sec-fetch-site", [b"none"])[0] in (b"cross-site", b"same-site") and not navigates:
            raise RefusalError(HTTPStatus.FORBIDDEN, "requests from other web pages are refused")
        if self._access.token is not None and not self._has_token(scope, headers, self._access.token):
            text = "open the address with the token, as the server printed it, or send Authorization: Bearer TOKEN"
            raise RefusalError(HTTPStatus.UNAUTHORIZED, text)
        if scope["method"] not in ("GET", "HEAD") and not self._posts.take():
            raise RefusalError(HTTPStatus.TOO_MANY_REQUESTS, "too many posts in a second; send fewer")

    def _has_token(self, scope: Scope, headers: dict[bytes, list[bytes]], token: str) -> bool:
        values_sent = [value for values in headers.values() for value in values]
        values_sent += [value[7:] for value in headers.get(b"authorization", []) if value[:7].lower() == b"bearer "]
        cookies = _cookies(headers.get(b"cookie", []))
        return (
            _any_equal(values_sent, token.encode())
            or _any_equal(cookies, _cookie_value(token).encode())
            or _any_equal(_query_tokens(scope), token.encode())
        )

    def _login(self, scope: Scope) -> bytes | None:
        """Return the cookie for a browser that has opened the address with the token."""
        token = self._access.token
        if token is None or scope["method"] != "GET" or scope["path"] != "/" or not _query_tokens(scope):
            return None
        return f"{COOKIE}={_cookie_value(token)}; HttpOnly; SameSite=Strict; Path=/".encode()


class _Bucket:
    """A limit of events per second, with a reserve of two seconds."""

    def __init__(self, per_second: float) -> None:
        self._rate, self._left, self._at = per_second, 2 * per_second, time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self._left = min(2 * self._rate, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def _limited(receive: Receive, headers: dict[bytes, list[bytes]], most: int) -> Receive:
    """Return ``receive`` that refuses a body of more than ``most`` bytes, before or while it is read."""
    too_large = RefusalError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is too large; at most {most:,} bytes")
    length = headers.get(b"content-length", [b"0"])[0]
    if not length.isdigit() or len(length) > 15 or int(length) > most:
        raise too_large
    received = 0

    async def limited() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > most:
            raise too_large
        return message

    return limited


def _headers(scope: Scope) -> dict[bytes, list[bytes]]:
    headers: dict[bytes, list[bytes]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.lower(), []).append(value)
    return headers


def _one(headers: dict[bytes, list[bytes]], name: bytes) -> str:
    """Return the value of a header that a request must have exactly once."""
    values = headers.get(name, [])
    if len(values) != 1:
        raise RefusalError(HTTPStatus.BAD_REQUEST, f"expected one header {name.decode()}")
    return values[0].decode("latin-1").lower()


def _query_tokens(scope: Scope) -> list[bytes]:
    try:
        pairs = urllib.parse.parse_qsl(scope.get("query_string", b""), max_num_fields=20)
    except ValueError:
        return []
    return [value for name, value in pairs if name == b"token"]


def _cookies(headers: Iterable[bytes]) -> list[bytes]:
    cookies: SimpleCookie = SimpleCookie()
    for header in headers:
        try:
            cookies.load(header.decode("latin-1"))
        except CookieError:
            continue
    return [cookies[COOKIE].value.encode("latin-1", "replace")] if COOKIE in cookies else []


def _cookie_value(token: str) -> str:
    return hashlib.sha256(f"regraft cookie {token}".encode()).hexdigest()


def _any_equal(given: Iterable[bytes], expected: bytes) -> bool:
    """Return whether a value is the expected one; the time does not depend on where they differ."""
    return any([secrets.compare_digest(value, expected) for value in given])  # noqa: C419  (compare all of them)
