"""`regraft train --watch`: a monitor in a process of its own, and its page in the browser."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import threading
import webbrowser
from pathlib import Path

from regraft.errors import MissingExtraError
from regraft.screen import Screen

PORTS = (9000, 0)
"""Ports that are tried in turn; 0 is any free one."""

IDLE = 600.0
"""Seconds without an open page and without a run in progress after which the monitor ends."""


def watch(root: Path, screen: Screen) -> threading.Thread:
    """Start a monitor in the background, open its page, and return the thread that does so.

    The training does not wait for it, and the monitor stays after the training, so that the page can show the report.

    Args:
        root: the folder of run folders.
        screen: where the address is shown.

    Raises:
        MissingExtraError: the packages of the monitor are not installed.
    """
    if any(importlib.util.find_spec(name) is None for name in ("starlette", "uvicorn")):
        raise MissingExtraError("live pages", "monitor")
    thread = threading.Thread(target=_open, args=(root, screen), name="regraft-watch", daemon=True)
    thread.start()
    return thread


def start_monitor(root: Path, *, idle: float = IDLE) -> str | None:
    """Start a monitor in a process of its own and return its address; None if it does not start."""
    for port in PORTS:
        words = ["monitor", "--port", str(port), "--idle", str(idle), "--quiet", "--", str(root)]
        process = subprocess.Popen(  # noqa: S603  (this program itself)
            [sys.executable, "-m", "regraft", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # Ctrl-C ends the training alone
        )
        assert process.stdout is not None
        with process.stdout as lines:
            address = lines.readline().strip()
        if address:
            return address
        process.wait()
    return None


def _open(root: Path, screen: Screen) -> None:
    address = start_monitor(root)
    if address is None:
        screen.warn(f"--watch: the monitor did not start; see: regraft monitor {root}")
        return
    screen.line("page", address, "live; it stays for ten minutes after the run and the last look at it")
    open_in_browser(address)


def open_in_browser(address: str) -> None:
    """Open a page in the browser, if this machine has a screen; a browser in the terminal would cover the output."""
    has_screen = sys.platform in ("win32", "darwin") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    )
    if has_screen:
        webbrowser.open(address)
