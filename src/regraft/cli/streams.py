"""Standard output and standard error that can hold any name, and a reader that may go away."""

from __future__ import annotations

import contextlib
import io
import os
import sys


def prepare() -> None:
    r"""Make the standard streams take every character.

    A stream that is no terminal becomes UTF-8 unless the person asked for something else (``PYTHONIOENCODING``); what a
    terminal cannot show is written as an escape such as ``\u4e2d``, and never ends the program.
    """
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper):
            continue
        if "PYTHONIOENCODING" in os.environ or stream.isatty():
            stream.reconfigure(errors="backslashreplace")
        else:
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def abandon_output() -> None:
    """Forget what standard output still holds, because its reader has gone (``regraft … | head``)."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
