"""`regraft monitor`: a live page of runs."""

from __future__ import annotations

from pathlib import Path

import click
import cloup

from regraft.cli.options import PATH, listen_options, output_options, pass_session
from regraft.cli.output import Session
from regraft.errors import MissingExtraError

_EXAMPLES = """\b
Examples:
  regraft monitor                            all runs below runs/
  regraft monitor runs --host 0.0.0.0        also from other machines; prints an address with a token
  keras.callbacks.RemoteMonitor()            in a Keras training: its curves appear on the page"""


@cloup.command(name="monitor", short_help="Watch runs on a live page.", epilog=_EXAMPLES)
@cloup.argument(
    "runs",
    type=PATH,
    default=Path("runs"),
    required=False,
    help="A folder of run folders, or a run folder; runs if not given.",
)
@cloup.option_group(
    "Server",
    *listen_options(9000),
    cloup.option("--token", metavar="TEXT", help="Token that requests need. Default: a random one with --host."),
    cloup.option("--allow-stop", is_flag=True, help="Let the page stop runs, as Ctrl-C does."),
    cloup.option("--open", "open_page", is_flag=True, help="Open the page in the browser."),
    cloup.option(
        "--idle",
        type=click.FloatRange(min=0.1),
        metavar="SECONDS",
        help="End after SECONDS without an open page and without a run in progress.",
    ),
)
@output_options(json=False, quiet="Print only the address.")
@pass_session
def monitor(
    session: Session,
    runs: Path,
    host: str,
    port: int,
    token: str | None,
    allow_stop: bool,
    open_page: bool,
    idle: float | None,
) -> None:
    """Show the runs in RUNS on a live page: stage, time left, curves, memory; and reports of finished runs.

    The page may be opened before, during or after a training. It also takes the posts of Keras's RemoteMonitor, at any
    path, and keeps each training as a run folder. Ctrl-C ends the page, not the runs.
    """
    try:
        from regraft.monitor.run_monitor import MonitorOptions, run_monitor
        from regraft.monitor.watch import open_in_browser
    except ImportError as error:
        raise MissingExtraError("live pages", "monitor") from error

    screen = session.screen()

    def opened(address: str) -> None:
        if session.quiet:
            click.echo(address)
        screen.line("page", address, f"runs in {runs}; Ctrl-C ends the page, not the runs", strong=True)
        if open_page:
            open_in_browser(address)

    run_monitor(MonitorOptions(runs, host, port, token, allow_stop, idle), opened)
