"""The application of `regraft serve`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from regraft._version import __version__
from regraft.serve.answers import error_answer, http_error, photo_error, predictions_answer, unexpected_error
from regraft.serve.limits import Limits
from regraft.serve.metrics import Metrics
from regraft.serve.model_keeper import ModelKeeper
from regraft.serve.openapi import openapi
from regraft.serve.pipeline import Answer, Pipeline, QueueFullError
from regraft.serve.request_body import BodyMemory
from regraft.serve.request_photos import check_media_type, photos_in
from regraft.serve.serve_page import serve_page
from regraft.web.access import Access
from regraft.web.guard import Guard, RefusalError, refused_as_json

_LARGE_BODY = 1 << 18
"""Bytes of a form that is parsed in a thread, so that other requests do not wait."""

_MAX_TOP = 999_999
"""Maximum of ``?top=``."""

_MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class ServeApp:
    """The application, behind its guard.

    Args:
        keeper: the model and its replacements.
        pipeline: answers the photos.
        metrics: its figures.
        limits: its limits.
        access: who reaches it.
        top: number of classes in an answer, unless the request names another one.
    """

    def __init__(
        self, keeper: ModelKeeper, pipeline: Pipeline, metrics: Metrics, limits: Limits, access: Access, top: int
    ) -> None:
        self._keeper, self._pipeline, self._metrics, self._limits = keeper, pipeline, metrics, limits
        self._memory, self._top = BodyMemory(limits.memory), top
        self._in_progress, self._is_stopping = 0, False
        routes = [
            Route("/", self._page, methods=["GET"]),
            Route("/predict", self._predict, methods=["POST"]),
            Route("/health", self._health, methods=["GET"]),
            Route("/metrics", self._figures, methods=["GET"]),
            Route("/openapi.json", _fixed(openapi(limits, top)), methods=["GET"]),
        ]
        handlers = {RefusalError: refused_as_json, HTTPException: http_error, Exception: unexpected_error}
        self._guard = Guard(Starlette(routes=routes, exception_handlers=handlers), access)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._guard(scope, receive, send)
            return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.count_answer(message["status"])
            await send(message)

        self._in_progress += 1
        try:
            await self._guard(scope, receive, counted)
        finally:
            self._in_progress -= 1

    def stop(self) -> None:
        """Refuse new requests for predictions from now on."""
        self._is_stopping = True

    @property
    def is_finished(self) -> bool:
        """True if no request is in progress."""
        return self._in_progress == 0

    async def _predict(self, request: Request) -> Response:
        began = time.perf_counter()
        try:
            return await self._predictions(request)
        except ClientDisconnect:
            return Response(status_code=HTTPStatus.BAD_REQUEST)
        finally:
            self._metrics.latency.observe(time.perf_counter() - began)

    async def _predictions(self, request: Request) -> Response:
        if self._is_stopping:
            return error_answer(HTTPStatus.SERVICE_UNAVAILABLE, "the server is stopping")
        content_type, top = request.headers.get("content-type", ""), _top(request, self._top)
        check_media_type(content_type)
        async with self._memory.body_of(request, self._limits) as body:
            if len(body) > _LARGE_BODY:
                photos = await asyncio.to_thread(photos_in, content_type, body, self._limits.photos)
            else:
                photos = photos_in(content_type, body, self._limits.photos)
            try:
                answers = self._pipeline.submit(photos)
            except QueueFullError:
                text = f"too many photos wait for an answer; at most {self._limits.queue}"
                return error_answer(HTTPStatus.TOO_MANY_REQUESTS, text)
            return await self._answered([name for name, _ in photos], answers, top)

    async def _answered(self, names: list[str], answers: list[Future[Answer]], top: int) -> Response:
        done: list[Answer] = []
        try:
            async with asyncio.timeout(self._limits.seconds):
                for number, answer in enumerate(answers, start=1):
                    try:
                        done.append(await asyncio.wrap_future(answer))
                    except Exception as error:  # noqa: BLE001  (raised again unless it is about the photo)
                        return photo_error(number, len(answers), names[number - 1], error)
        except TimeoutError:
            text = f"the answer took more than {self._limits.seconds:g} seconds"
            return error_answer(HTTPStatus.SERVICE_UNAVAILABLE, text)
        finally:
            for answer in answers:
                answer.cancel()
        return predictions_answer(done, top)

    async def _page(self, request: Request) -> Response:
        model = self._pipeline.model
        return HTMLResponse(serve_page(model.file.name, model.classes, self._limits))

    async def _health(self, request: Request) -> Response:
        model = self._pipeline.model
        values = {
            "ready": not self._is_stopping,
            "version": __version__,
            "model": {
                "file": model.file.name,
                "sha256": model.sha256,
                "classes": len(model.classes),
                "batch": model.steps.batch_size,
            },
            "engine": {
                "packages": list(model.engine_packages),
                "comparison": model.comparison,
                "reason": model.engine,
            },
            "refused_replacement": self._keeper.refused,
            "waiting": self._pipeline.unanswered,
        }
        status = HTTPStatus.SERVICE_UNAVAILABLE if self._is_stopping else HTTPStatus.OK
        return JSONResponse(values, status)

    async def _figures(self, request: Request) -> Response:
        waiting, memory, model = self._pipeline.unanswered, self._memory.in_use, self._pipeline.model
        engines = [(package, model.comparison) for package in model.engine_packages]
        text = self._metrics.text(waiting=waiting, ready=not self._is_stopping, memory=memory, engines=engines)
        return PlainTextResponse(text, media_type=_MEDIA_TYPE)


def _fixed(value: object) -> Callable[[Request], Awaitable[Response]]:
    """Return a function that answers each request with the same JSON."""

    async def answer(request: Request) -> Response:
        return JSONResponse(value)

    return answer


def _top(request: Request, usual: int) -> int:
    """Return the number of classes in the answer to a request.

    Raises:
        RefusalError: it is not a number in the range.
    """
    text = request.query_params.get("top", str(usual))
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 0 < int(text) <= _MAX_TOP):
        expected = f"top: expected a number from 1 to {_MAX_TOP:,}, found {text[:20]!r}"
        raise RefusalError(HTTPStatus.BAD_REQUEST, expected)
    return int(text)
