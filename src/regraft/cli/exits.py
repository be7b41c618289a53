"""The end of a call: error messages, exit codes, and standard streams that hold any name.

0    done
1    findings of check --strict, unsolved tasks of lesson check; an unexpected error, or one of the system (a full disk)
2    a mistake that the user can put right
3    done, but some or all of the photos to classify or to measure could not be read
124  the time limit of --stop-after was reached
130  Ctrl-C
141  the reader of the output closed it
143  SIGTERM
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

from regraft.cli.output import dumps
from regraft.context.option_synonyms import option_meant
from regraft.errors import FindingsError, RegraftError, StorageError, UnreadableError
from regraft.interrupts import Terminated, TimeUp
from regraft.language import translate
from regraft.screen import printable
from regraft.screen.layout import message_lines, terminal_width

DONE, FAILED, USER_ERROR, UNREADABLE = 0, 1, 2, 3
TIME_UP, INTERRUPTED, BROKEN_PIPE, TERMINATED = 124, 130, 141, 143


def exit_now(kind: type[BaseException]) -> None:
    """End this process immediately; incomplete files have temporary names, so finished files are intact."""
    if sys.stderr.isatty():
        sys.stderr.write("\x1b[?25h")  # a live progress bar has hidden the cursor
    sys.stderr.write(f"\nregraft: {translate('stopped immediately')}\n")
    sys.stderr.flush()
    os._exit(TERMINATED if kind is Terminated else INTERRUPTED)


def exit_cleanly(code: int) -> NoReturn:
    """End this process as Python does, but skip the teardown of modules: with torch this takes most of a second.

    Threads are joined and functions registered with `atexit` are called.
    """
    finish_threads, finish_rest = getattr(threading, "_shutdown", None), getattr(atexit, "_run_exitfuncs", None)
    if finish_threads is None or finish_rest is None:  # they are not a public part of Python
        sys.exit(code)
    finish_threads()
    finish_rest()
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:  # the caller may have closed it
                stream.flush()
    except (OSError, ValueError):  # Python reports this in its own way
        sys.exit(code)
    os._exit(code)


def report_error(error: BaseException, *, debug: bool, json: bool = False) -> int:
    """Print ``error`` on standard error as one message and return the exit code.

    Args:
        error: the error.
        debug: whether to print its traceback too.
        json: whether to print it as a JSON object on standard output too.
    """
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message())
        return DONE
    if debug:
        traceback.print_exception(error, file=sys.stderr)
    message, code = _message(error)
    message = _with_notes(message, error)
    for line in message_lines(f"regraft: {printable(translate(message))}", terminal_width()):
        click.echo(line, err=True)
    if json:
        facts = {"type": type(error).__name__, "message": message, "exit_code": code}
        click.echo(dumps({"error": facts}, indent=2))
    return code


def _message(error: BaseException) -> tuple[str, int]:
    if isinstance(error, click.UsageError):
        return _usage(error), USER_ERROR
    if isinstance(error, click.ClickException):
        return error.format_message(), USER_ERROR
    if isinstance(error, (StorageError, FindingsError)):
        return str(error), FAILED
    if isinstance(error, UnreadableError):
        return str(error), UNREADABLE
    if isinstance(error, RegraftError):
        return str(error), USER_ERROR
    if isinstance(error, (click.Abort, KeyboardInterrupt)):
        return "interrupted", INTERRUPTED
    if isinstance(error, Terminated):
        return "stopped by SIGTERM", TERMINATED
    if isinstance(error, TimeUp):
        return "stopped: --stop-after reached", TIME_UP
    if isinstance(error, MemoryError):
        return "not enough memory\n  try a smaller --batch-size or --size", FAILED
    if isinstance(error, OSError) and error.filename is not None:
        mistake = isinstance(error, (FileNotFoundError, FileExistsError, PermissionError, NotADirectoryError))
        return f"{error.filename}: {error.strerror or error}", USER_ERROR if mistake else FAILED
    if isinstance(error, OSError) and error.strerror:
        return error.strerror, FAILED
    text = " ".join(str(error).split())
    return f"unexpected {type(error).__name__}: {text}\n  run the command again with --debug for a traceback", FAILED


def _with_notes(message: str, error: BaseException) -> str:
    """Return ``message`` with the notes of ``error`` below its first line, such as the callback that raised it."""
    first, *rest = message.split("\n")
    click_interrupt = isinstance(error, click.Abort) and error.__cause__ is not None
    source = error.__cause__ if click_interrupt else error
    notes = [f"  {' '.join(str(note).split())}" for note in getattr(source, "__notes__", ())]
    return "\n".join([first, *notes, *rest])


def _usage(error: click.UsageError) -> str:
    text = error.format_message().rstrip()
    if error.ctx is None:
        return text
    if isinstance(error, click.NoSuchOption):
        options = [parameter.name or "" for parameter in error.ctx.command.params]
        meant = option_meant(error.option_name, options)
        if meant is not None:
            text = f"No such option '{error.option_name}'. Did you mean '--{meant.replace('_', '-')}'?"
    return f"{text}\n  see: {error.ctx.command_path} --help"


def prepare_streams() -> None:
    r"""Make standard output and standard error accept every character.

    A stream that is not a terminal becomes UTF-8 unless ``PYTHONIOENCODING`` is set. A character that a terminal cannot
    show is written as an escape such as ``\u4e2d`` instead of ending the program.
    """
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper):
            continue
        if "PYTHONIOENCODING" in os.environ or stream.isatty():
            stream.reconfigure(errors="backslashreplace")
        else:
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


@contextlib.contextmanager
def exit_on_broken_pipe() -> Iterator[None]:
    """End the command with exit code 141 when the reader of its output closes it (``regraft … | head``)."""
    try:
        yield
    except BrokenPipeError:
        with contextlib.suppress(OSError, ValueError):  # Python flushes the rest at exit: send it to /dev/null
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, sys.stdout.fileno())
            os.close(null)
        raise click.exceptions.Exit(BROKEN_PIPE) from None
