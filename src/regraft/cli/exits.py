"""How a call ends: what is said about an error, and the exit code.

0    done
1    something unexpected, or the system refused (a full disk)
2    a mistake that the user can put right
124  the time of --stop-after is over
130  Ctrl-C
141  the reader of the output went away
143  asked to end (SIGTERM)

Standard output and standard error that can hold any name, and a reader that may go away.
"""

from __future__ import annotations

import atexit
import contextlib
import io
import os
import sys
import threading
import traceback
from collections.abc import Iterator
from typing import NoReturn

import click

from regraft.errors import RegraftError, StorageError
from regraft.interrupts import Terminated, TimeUp
from regraft.screen import printable

DONE, FAILED, MISTAKE, TIME_UP, INTERRUPTED, READER_GONE, TERMINATED = 0, 1, 2, 124, 130, 141, 143


def leave(kind: type[BaseException]) -> None:
    """End this process at once: whatever is being written is beside its place, and what is in its place is whole."""
    if sys.stderr.isatty():
        sys.stderr.write("\x1b[?25h")  # a live bar has hidden the cursor
    sys.stderr.write("\nregraft: left at once\n")
    sys.stderr.flush()
    os._exit(TERMINATED if kind is Terminated else INTERRUPTED)


def end(code: int) -> NoReturn:
    """End this process as Python does, but without taking its modules apart: with torch's that takes most of a second.

    Threads are waited for, and what was registered to be done at the end is done.
    """
    finish_threads, finish_rest = getattr(threading, "_shutdown", None), getattr(atexit, "_run_exitfuncs", None)
    if finish_threads is None or finish_rest is None:  # they are no public part of Python
        sys.exit(code)
    finish_threads()
    finish_rest()
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # the caller may have closed it
                stream.flush()
    except (OSError, ValueError):  # Python has its own way to say that
        sys.exit(code)
    os._exit(code)


def explain(error: BaseException, *, debug: bool) -> int:
    """Say ``error`` on standard error as one message and return the exit code; with ``debug``, its traceback too."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message())
        return DONE
    if debug:
        traceback.print_exception(error, file=sys.stderr)
    message, code = _message(error)
    message = _with_notes(message, error)
    click.echo(f"regraft: {printable(message)}", err=True)
    return code


def _message(error: BaseException) -> tuple[str, int]:
    if isinstance(error, click.UsageError):
        return _usage(error), MISTAKE
    if isinstance(error, click.ClickException):
        return error.format_message(), MISTAKE
    if isinstance(error, StorageError):
        return str(error), FAILED
    if isinstance(error, RegraftError):
        return str(error), MISTAKE
    if isinstance(error, (click.Abort, KeyboardInterrupt)):
        return "interrupted", INTERRUPTED
    if isinstance(error, Terminated):
        return "ended by SIGTERM", TERMINATED
    if isinstance(error, TimeUp):
        return "the time that --stop-after gave is over", TIME_UP
    if isinstance(error, MemoryError):
        return "not enough memory\n  a smaller --batch-size or --size needs less", FAILED
    if isinstance(error, OSError) and error.filename is not None:
        mistake = isinstance(error, (FileNotFoundError, FileExistsError, PermissionError, NotADirectoryError))
        return f"{error.filename}: {error.strerror or error}", MISTAKE if mistake else FAILED
    if isinstance(error, OSError) and error.strerror:
        return error.strerror, FAILED
    text = " ".join(str(error).split())
    return f"unexpected {type(error).__name__}: {text}\n  run it again with --debug to see where", FAILED


def _with_notes(message: str, error: BaseException) -> str:
    """Return ``message`` with the notes of ``error`` below its first line, such as which callback raised it."""
    first, *rest = message.split("\n")
    said = (
        error.__cause__ if isinstance(error, click.Abort) and error.__cause__ is not None else error
    )  # click's Ctrl-C
    notes = [f"  {' '.join(str(note).split())}" for note in getattr(said, "__notes__", ())]
    return "\n".join([first, *notes, *rest])


def _usage(error: click.UsageError) -> str:
    text = error.format_message().rstrip()
    if error.ctx is None:
        return text
    return f"{text}\n  see: {error.ctx.command_path} --help"


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
