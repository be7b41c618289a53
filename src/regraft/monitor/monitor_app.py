"""The application of `regraft monitor`: the live page, its stream of messages, posts, reports and stop requests."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from regraft.monitor.live_page import live_page
from regraft.monitor.message_log import as_json
from regraft.monitor.post_body import BodyError, figures_in
from regraft.monitor.regular_file import read_file
from regraft.monitor.remote_runs import LimitError, RemoteRuns, Sender
from regraft.monitor.run_status import REPORT
from regraft.monitor.watched_runs import WatchedRuns
from regraft.run.heartbeat import request_stop
from regraft.web.access import Access
from regraft.web.guard import Guard, RefusalError, refused

MAX_PAGES = 64
"""Maximum number of pages that are open at a time."""

MAX_REPORT = 64 << 20

READ_EVERY = 0.5
"""Seconds between two looks at the run folders while a page is open."""

RETRY = 1000
"""Milliseconds after which a page connects again."""

KEEP_ALIVE = 15.0
"""Seconds after which a silent stream sends a comment, so that a lost connection is noticed."""

_SANDBOX = {"content-security-policy": "sandbox allow-scripts allow-popups allow-modals allow-downloads"}


@dataclass
class MonitorState:
    """The state of a monitor.

    Attributes:
        runs: the runs that it shows.
        remote: the runs that others post.
        allow_stop: whether the page may stop runs.
        pages: number of open pages.
    """

    runs: WatchedRuns
    remote: RemoteRuns
    allow_stop: bool = False
    pages: int = 0


def monitor_app(state: MonitorState, access: Access) -> Guard:
    """Return the application, behind its guard."""
    answers = _Answers(state)
    routes = [
        Route("/", answers.page, methods=["GET"]),
        Route("/events", answers.events, methods=["GET"]),
        Route("/runs/{number}/report", answers.report, methods=["GET"]),
        Route("/runs/{number}/stop", answers.stop, methods=["POST"]),
        Route("/{path:path}", answers.post, methods=["POST"]),
    ]
    handlers = {RefusalError: refused}
    return Guard(Starlette(routes=routes, lifespan=_lifespan(state), exception_handlers=handlers), access)


class _Answers:
    """The answers to all requests."""

    def __init__(self, state: MonitorState) -> None:
        self._state = state

    async def page(self, request: Request) -> Response:
        return HTMLResponse(live_page())

    async def events(self, request: Request) -> Response:
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        if self._state.pages >= MAX_PAGES:
            return PlainTextResponse("too many pages are open\n", HTTPStatus.TOO_MANY_REQUESTS)
        last = request.headers.get("last-event-id", "")
        return StreamingResponse(_messages(self._state, last), media_type="text/event-stream")

    async def report(self, request: Request) -> Response:
        run = self._state.runs.runs.get(_number(request))
        try:
            if run is None:
                raise FileNotFoundError
            content = await asyncio.to_thread(read_file, run.folder.path / REPORT, most=MAX_REPORT)
        except OSError:
            return PlainTextResponse("this run has no report\n", HTTPStatus.NOT_FOUND)
        return HTMLResponse(content, headers=_SANDBOX)

    async def stop(self, request: Request) -> Response:
        run = self._state.runs.runs.get(_number(request))
        if not self._state.allow_stop:
            return PlainTextResponse("start the monitor with --allow-stop to stop runs\n", HTTPStatus.FORBIDDEN)
        try:
            if run is None:
                raise FileNotFoundError
            request_stop(run.folder.resume)
        except OSError:
            return PlainTextResponse("this run is not in progress\n", HTTPStatus.NOT_FOUND)
        return PlainTextResponse("the run stops after its current step\n")

    async def post(self, request: Request) -> Response:
        return await _keep(self._state, request)


def _lifespan(state: MonitorState) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        flushing = asyncio.create_task(_flush_again_and_again(state.remote))
        try:
            yield
        finally:
            flushing.cancel()
            state.remote.close()

    return lifespan


async def _flush_again_and_again(remote: RemoteRuns) -> None:
    while True:
        await asyncio.sleep(1.0)
        await asyncio.to_thread(remote.flush)


async def _messages(state: MonitorState, last: str) -> AsyncIterator[str]:
    """Yield server-sent events: what a page has missed since its last id, then what is new.

    Without an id, or with that of another server, the page gets all runs, after a message that says so.
    """
    log = state.runs.log
    state.pages += 1
    try:
        yield f"retry: {RETRY}\n\n"
        state.runs.read()
        number = log.number_of(last)
        while True:
            if number is None or log.number_of(log.id_of(number)) is None:  # the page is new, or too slow
                number = log.last
                for value in _everything(state):
                    yield _event(value)
                yield _event({"complete": True, "clock": time.time()}, log.id_of(number))
            waited = 0.0
            while log.last == number and waited < KEEP_ALIVE:
                await asyncio.sleep(READ_EVERY)
                state.runs.read()
                waited += READ_EVERY
            if log.last == number:
                yield ": nothing new\n\n"
            for message in log.after(number):
                number = message.number
                yield f"id: {log.id_of(number)}\ndata: {message.data}\n\n"
    finally:
        state.pages -= 1


def _everything(state: MonitorState) -> list[dict[str, object]]:
    return [{"reset": True, "allow_stop": state.allow_stop}, *state.runs.snapshot()]


def _event(value: dict[str, object], message_id: str | None = None) -> str:
    return (f"id: {message_id}\n" if message_id else "") + f"data: {as_json(value)}\n\n"


async def _keep(state: MonitorState, request: Request) -> Response:
    """Keep the figures of a post, and answer when they are on disk."""
    try:
        figures = figures_in(await request.body())
        run = request.query_params.get("run") or request.headers.get("x-run") or str(figures.get("run", ""))
        address = request.client.host if request.client else ""
        state.remote.keep(Sender(address, request.url.path[:200], run[:100]), figures)
    except ClientDisconnect:
        return Response(status_code=HTTPStatus.BAD_REQUEST)
    except BodyError as error:
        return PlainTextResponse(f"{error}\n", HTTPStatus.BAD_REQUEST)
    except LimitError as error:
        return PlainTextResponse(f"{error}\n", error.status)
    except OSError as error:
        return PlainTextResponse(f"not kept: {error.strerror or error}\n", HTTPStatus.INSUFFICIENT_STORAGE)
    return JSONResponse({"kept": True})


def _number(request: Request) -> int:
    text = request.path_params["number"]
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
