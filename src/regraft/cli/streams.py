"""Standard output and standard error that can hold any name, and a reader that may go away."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator

import click


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


@contextlib.contextmanager
def reader_may_go(code: int) -> Iterator[None]:
    """End the command with exit code ``code`` when the reader of its output has gone (``regraft … | head``)."""
    try:
        yield
    except BrokenPipeError:
        with contextlib.suppress(OSError, ValueError):  # what is still to be written goes nowhere
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stdout.fileno())
            os.close(nowhere)
        raise click.exceptions.Exit(code) from None
