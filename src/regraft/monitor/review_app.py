"""The review of photos in the browser: the page, its photos, and decisions that are saved one by one."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from regraft.data.decode import read_photo
from regraft.errors import DecodeError
from regraft.monitor.message_log import as_json
from regraft.monitor.regular_file import parse_json
from regraft.monitor.review_items import Review
from regraft.report.page import page, resource, text
from regraft.web.access import Access
from regraft.web.guard import Guard, RefusalError, refused
from regraft.web.server import address_of, listen, serve

LARGE, SMALL = 1024, 240
"""Longer side of the photo to decide about, and of those to compare with, in pixels."""


def serve_review(review: Review, title: str, saved_in: Path, opened: Callable[[str], None], port: int = 0) -> None:
    """Serve a review on this machine until the user ends it, on the page or with Ctrl-C.

    Args:
        review: the review.
        title: heading of the page.
        saved_in: the file of decisions, for the page.
        opened: called once with the address.
        port: port; 0 is any free one.

    Raises:
        ServerError: the port is in use.
    """
    listener = listen("127.0.0.1", port)
    opened(address_of(listener) + "/")
    serve(review_app(review, title, saved_in), listener, idle=0.2, is_used=lambda: not review.is_done)


def review_app(review: Review, title: str, saved_in: Path) -> Guard:
    """Return the application, which only this machine can reach."""

    async def show(request: Request) -> Response:
        return HTMLResponse(review_page(review, title, saved_in))

    async def items(request: Request) -> Response:
        return Response(as_json(review.as_json()), media_type="application/json")

    async def photo(request: Request) -> Response:
        file = _file_of(review, request.path_params["number"], request.path_params.get("other"))
        if file is None:
            return PlainTextResponse("no such photo\n", HTTPStatus.NOT_FOUND)
        try:
            side = SMALL if "other" in request.path_params else LARGE
            return Response(await asyncio.to_thread(_jpeg, file, side), media_type="image/jpeg")
        except (DecodeError, OSError):
            return PlainTextResponse("the photo cannot be read\n", HTTPStatus.NOT_FOUND)

    async def decide(request: Request) -> Response:
        try:
            number, decision = _decision(await request.body())
            review.decide(number, decision)
        except ValueError as error:
            return PlainTextResponse(f"{error}\n", HTTPStatus.BAD_REQUEST)
        except OSError as error:
            return PlainTextResponse(f"not saved: {error.strerror or error}\n", HTTPStatus.INSUFFICIENT_STORAGE)
        return PlainTextResponse("saved\n")

    async def done(request: Request) -> Response:
        review.is_done = True
        return PlainTextResponse("done\n")

    routes = [
        Route("/", show, methods=["GET"]),
        Route("/items", items, methods=["GET"]),
        Route("/photos/{number}", photo, methods=["GET"]),
        Route("/photos/{number}/{other}", photo, methods=["GET"]),
        Route("/decide", decide, methods=["POST"]),
        Route("/done", done, methods=["POST"]),
    ]
    return Guard(Starlette(routes=routes, exception_handlers={RefusalError: refused}), Access())


def review_page(review: Review, title: str, saved_in: Path) -> str:
    """Return the page as HTML; its script asks for the photos."""
    body = f"""<header class="top"><h1>{text(title)}</h1><p id="state" role="status">Loading …</p></header>
<main><div id="review" hidden><figure><div id="stage"><img id="photo" alt=""></div>
<figcaption id="caption"></figcaption></figure>
<div id="side"><p class="lead" id="question"></p><p id="words"></p><div id="others"></div>
<div class="row" id="actions"></div><div id="classes"></div>
<p class="row" id="more"><label for="other">Another class</label><input id="other" list="names" autocomplete="off"></p>
<datalist id="names"></datalist>
<p class="note">Keys: <kbd>1</kbd>–<kbd>9</kbd> class, <kbd>Enter</kbd> accept, <kbd>d</kbd> leave out,
<kbd>u</kbd> undo, <kbd>→</kbd> later, <kbd>←</kbd> back. Photos are never changed.</p></div></div>
<div id="end" hidden><p class="lead">All photos are decided.</p></div>
<p class="row"><button type="button" id="done">End the review</button><span class="note">Saved after each decision in
<code>{text(saved_in)}</code></span></p></main>"""
    css, js = (resource(name, "regraft.monitor") for name in ("review.css", "review.js"))
    return page(title, body, css=[css], js=[js], allow=["connect-src 'self'"])


def _file_of(review: Review, number: str, other: str | None) -> Path | None:
    """Return the photo with a number, or one of those next to it; None if there is no such photo."""
    texts = [number] if other is None else [number, other]
    if not all(one.isascii() and one.isdigit() and len(one) < 10 for one in texts) or int(number) >= len(review.items):
        return None
    item = review.items[int(number)]
    files = (item.file,) if other is None else item.others
    position = int(other or 0)
    return files[position] if position < len(files) else None


def _jpeg(file: Path, side: int) -> bytes:
    image = read_photo(file, at_least=(side, side), damaged_too=True)
    image.thumbnail((side, side), Image.Resampling.BILINEAR, reducing_gap=2.0)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85)
    return out.getvalue()


def _decision(body: bytes) -> tuple[int, str]:
    """Return the number of a photo and the decision in a body such as ``{"item": 3, "decision": "drop"}``."""
    value: Any = parse_json(body)
    if isinstance(value, dict) and type(value.get("item")) is int and isinstance(value.get("decision"), str):
        return value["item"], value["decision"]
    raise ValueError('expected such as {"item": 3, "decision": "drop"}')
