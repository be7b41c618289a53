"""`regraft serve`: one process that answers requests, or several that share its port and nothing else."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from socket import socket

from PIL import Image

from regraft.language import translate
from regraft.process import cores, quick_thread_switches, release_freed_memory, skip_present_objects
from regraft.serve.limits import Limits
from regraft.serve.metrics import Metrics
from regraft.serve.model_keeper import ModelKeeper
from regraft.serve.pipeline import Pipeline
from regraft.serve.serve_app import ServeApp
from regraft.serve.served_model import ServedModel, load_served_model
from regraft.web.access import Access, checked_names, checked_token
from regraft.web.connection import Bounds
from regraft.web.server import GracefulStop, address_of, listen, serve


@dataclass(frozen=True)
class ServeOptions:
    """The options of a server of predictions.

    Attributes:
        model: a run folder, or a model file.
        host: address on which to listen.
        port: port; 0 is any free one.
        token: the token that requests must have; None: none if only this machine can reach the server, otherwise a
            random one.
        names: further names of the server, such as that of a proxy in front of it.
        top: number of classes in an answer, unless the request names another one.
        device: device of the network.
        workers: number of processes.
        quiet: whether to print no message about the engine at the start.
        limits: its limits.
    """

    model: Path
    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = field(default=None, repr=False)
    names: tuple[str, ...] = ()
    top: int = 5
    device: str = "auto"
    workers: int = 1
    quiet: bool = False
    limits: Limits = field(default_factory=Limits)


def run_server(options: ServeOptions, opened: Callable[[str, str | None], None]) -> None:
    """Answer requests until Ctrl-C or SIGTERM, and finish those in progress.

    Args:
        options: the options.
        opened: called once with the address of the server and its token, when it answers requests.

    Raises:
        ServerError: the port is in use, the token is too short, or the model cannot be used.
    """
    token, names = checked_token(options.host, options.token), checked_names(options.names)
    options = replace(options, token=token, names=names)
    if options.workers > 1:
        from regraft.serve.workers import run_workers

        run_workers(options, lambda address: opened(address, token))
        return
    with listen(options.host, options.port) as listener:
        serve_in_process(options, listener, 0, lambda: opened(address_of(listener), token))


def serve_in_process(options: ServeOptions, listener: socket, worker: int, opened: Callable[[], None]) -> None:
    """Answer requests in this process.

    Args:
        options: the options, with their token.
        listener: the socket.
        worker: number of this process.
        opened: called when this process answers requests.
    """
    Image.MAX_IMAGE_PIXELS = options.limits.pixels  # for pictures inside of files, whose size is in no header
    warnings.simplefilter("ignore", Image.DecompressionBombWarning)
    with started_app(options, worker) as app, quick_thread_switches():
        skip_present_objects()
        serve(
            app,
            listener,
            opened=opened,
            bounds=Bounds(options.limits.connections, head_seconds=options.limits.read_seconds, as_json=True),
            stop=GracefulStop(app.stop, lambda: app.is_finished, options.limits.stop_seconds),
        )


@contextlib.contextmanager
def started_app(options: ServeOptions, worker: int = 0) -> Iterator[ServeApp]:
    """Yield the application with its model loaded; its threads end with the block.

    Raises:
        ServerError: the model cannot be used.
    """
    limits, metrics = options.limits, Metrics(worker)
    threads = max(cores() // options.workers, 1)
    told = _ignore if worker or options.quiet else report
    load = partial(
        load_served_model,
        options.model,
        device=options.device,
        max_pixels=limits.pixels,
        threads=threads,
        report=told,
    )
    keeper = ModelKeeper(options.model, load, report)
    pipeline = _pipeline(load(), metrics, threads, limits.queue)
    told(pipeline.model.engine)
    release_freed_memory()
    keeper.start(pipeline)
    access = Access(
        options.host, options.token, body=limits.body, posts_per_second=1e9, names=options.names, as_json=True
    )
    try:
        yield ServeApp(keeper, pipeline, metrics, limits, access, options.top)
    finally:
        keeper.close()
        pipeline.close()


def _pipeline(model: ServedModel, metrics: Metrics, threads: int, queue_limit: int) -> Pipeline:
    runners = min(threads, model.steps.parallel_batches)
    decoders = threads + 1  # one photo is decoded while the network runs on the others
    return Pipeline(model, metrics, decoders=decoders, runners=runners, queue_limit=queue_limit)


def _ignore(text: str) -> None:
    """Print nothing."""


def report(text: str) -> None:
    """Print a message about a running server on standard error."""
    sys.stderr.write(f"regraft: {translate(text)}\n")
    sys.stderr.flush()
