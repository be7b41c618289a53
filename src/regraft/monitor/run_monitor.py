"""`regraft monitor`: the live page of all runs below a folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from regraft.monitor.monitor_app import MonitorState, monitor_app
from regraft.monitor.remote_runs import RemoteRuns
from regraft.monitor.watched_runs import WatchedRuns
from regraft.web.access import Access, checked_token
from regraft.web.server import address_of, listen, serve


@dataclass(frozen=True)
class MonitorOptions:
    """The options of a monitor.

    Attributes:
        root: the folder of run folders, or a run folder.
        host: address on which to listen.
        port: port; 0 is any free one.
        token: the token that requests must have; None: none if only this machine can reach the server, otherwise a
            random one.
        allow_stop: whether the page may stop runs.
        idle: seconds without an open page and without a run in progress after which it ends; None: never.
    """

    root: Path
    host: str = "127.0.0.1"
    port: int = 9000
    token: str | None = None
    allow_stop: bool = False
    idle: float | None = None


def run_monitor(options: MonitorOptions, opened: Callable[[str], None]) -> None:
    """Serve the live page until Ctrl-C.

    Args:
        options: the options.
        opened: called once with the address of the page, with the token if there is one.

    Raises:
        ServerError: the port is in use, or the token is too short.
    """
    access = access_for(options.host, options.token)
    listener = listen(options.host, options.port)
    opened(address_of(listener) + (f"/?token={access.token}" if access.token is not None else "/"))
    state = MonitorState(WatchedRuns(options.root), RemoteRuns(options.root), allow_stop=options.allow_stop)
    state.runs.read()  # the first page need not wait for it
    serve(monitor_app(state, access), listener, idle=options.idle, is_used=lambda: _is_used(state))


def access_for(host: str, token: str | None) -> Access:
    """Return the rules of a server: one that other machines can reach always has a token.

    Raises:
        ServerError: the token is too short.
    """
    return Access(host=host, token=checked_token(host, token))


def _is_used(state: MonitorState) -> bool:
    """Return whether a page is open, or a run is in progress that a page may want to see."""
    if state.pages:
        return True
    state.runs.read()
    return any(run.status.get("state") == "running" for run in state.runs.runs.values())
