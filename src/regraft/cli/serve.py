"""`regraft serve`: a server that answers with the classes of photos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import cloup

from regraft.cli.options import PATH, device_option, listen_options, output_options, pass_session
from regraft.cli.output import Session
from regraft.errors import MissingExtraError

if TYPE_CHECKING:
    from regraft.serve.limits import Limits

_EXAMPLES = """\b
Examples:
  regraft serve runs/photos-auto-001
  curl -F photos=@new.jpg http://127.0.0.1:8000/predict
  regraft serve model.safetensors --host 0.0.0.0      prints a token"""


@cloup.command(name="serve", short_help="Classify photos that browsers and programs send.", epilog=_EXAMPLES)
@cloup.argument("model", type=PATH, help="A run folder, or a copy of its model.safetensors.")
@cloup.option_group(
    "Server",
    *listen_options(8000),
    cloup.option(
        "--token",
        envvar="REGRAFT_SERVE_TOKEN",
        metavar="TEXT",
        help="Token that requests must have. In the environment variable REGRAFT_SERVE_TOKEN, other users of the "
        "machine cannot see it. Default: none for this machine only, otherwise a random one.",
    ),
    cloup.option(
        "--name",
        "names",
        multiple=True,
        metavar="HOST",
        help="Further name under which requests reach the server, such as that of a proxy in front of it; may be "
        "repeated.",
    ),
    cloup.option(
        "--workers",
        type=click.IntRange(1, 256),
        default=1,
        show_default=True,
        metavar="N",
        help="Number of processes that share the port and the cores. More than one helps where Python is the limit, "
        "such as with many cores.",
    ),
)
@cloup.option_group(
    "Answer",
    cloup.option(
        "--top",
        type=click.IntRange(min=1),
        default=5,
        show_default=True,
        metavar="K",
        help="Answer with the K most probable classes, unless a request has ?top=.",
    ),
    device_option(),
)
@cloup.option_group(
    "Limits",
    cloup.option(
        "--max-mb",
        type=click.FloatRange(min=0.001),
        default=32,
        show_default=True,
        metavar="MB",
        help="Maximum size of a request.",
    ),
    cloup.option(
        "--max-megapixels",
        type=click.FloatRange(min=0.001),
        default=64,
        show_default=True,
        metavar="MP",
        help="Maximum pixels of a photo; larger ones are refused before they are decoded.",
    ),
    cloup.option(
        "--queue",
        type=click.IntRange(min=1),
        default=256,
        show_default=True,
        metavar="N",
        help="Maximum number of photos that wait for an answer, in each process.",
    ),
    cloup.option(
        "--timeout",
        type=click.FloatRange(min=0.01),
        default=30,
        show_default=True,
        metavar="SECONDS",
        help="Maximum time for an answer.",
    ),
    cloup.option(
        "--read-timeout",
        type=click.FloatRange(min=0.01),
        default=10,
        show_default=True,
        metavar="SECONDS",
        help="Maximum time to send a request, plus a second for every 16 KB.",
    ),
    cloup.option(
        "--connections",
        type=click.IntRange(min=1),
        default=512,
        show_default=True,
        metavar="N",
        help="Maximum number of connections, in each process.",
    ),
    cloup.option(
        "--stop-timeout",
        type=click.FloatRange(min=0),
        default=20,
        show_default=True,
        metavar="SECONDS",
        help="Maximum time to finish requests after Ctrl-C or SIGTERM.",
    ),
)
@output_options(json=False, quiet="Print only the address and the token.")
@pass_session
def serve(
    session: Session,
    /,
    model: Path,
    host: str,
    port: int,
    token: str | None,
    names: tuple[str, ...],
    workers: int,
    top: int,
    device: str,
    **limits: Any,
) -> None:
    """Start a web server that classifies photos with MODEL.

    Open its address in a browser and drop photos on the page, or send them to /predict from a program. The same photo
    gets the same answer, to the last bit, whatever other requests arrive, and that of regraft predict. A changed file
    of the model is loaded while the server runs. Ctrl-C or SIGTERM ends it after the requests in progress.
    """
    try:
        from regraft.serve.run_server import ServeOptions, run_server
    except ImportError as error:
        raise MissingExtraError("predictions over HTTP", "serve") from error

    screen = session.screen()

    def opened(address: str, token: str | None) -> None:
        if session.quiet:
            click.echo(address if token is None else f"{address} {token}")
        page = address if token is None else f"{address}/?token={token}"
        screen.line("page", page, "Ctrl-C ends the server after the requests in progress", strong=True)
        example = f"curl -F photos=@photo.jpg {address}/predict"
        screen.line("predict", example if token is None else f"{example} -H 'Authorization: Bearer {token}'")

    quiet = session.quiet
    run_server(ServeOptions(model, host, port, token, names, top, device, workers, quiet, _limits(**limits)), opened)


def _limits(
    *,
    max_mb: float,
    max_megapixels: float,
    queue: int,
    timeout: float,
    read_timeout: float,
    connections: int,
    stop_timeout: float,
) -> Limits:
    from regraft.serve.limits import Limits

    return Limits(
        body=round(max_mb * 1e6),
        pixels=round(max_megapixels * 1e6),
        queue=queue,
        seconds=timeout,
        read_seconds=read_timeout,
        connections=connections,
        stop_seconds=stop_timeout,
    )
