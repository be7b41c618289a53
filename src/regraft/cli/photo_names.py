"""Names of photos on the command line: those on standard input in place of ``-``, and no addresses in the web."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence

from regraft.errors import PhotosError


def with_names_on_stdin(arguments: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Yield each argument, and whether it may be a pattern; ``-`` stands for the names on standard input.

    These are one a line, or separated by NUL as ``find -print0`` writes them, and are never patterns.

    Raises:
        PhotosError: an argument is an address in the web, or there are no names on standard input.
    """
    from regraft.inference.pictures import refuse_address

    for argument in arguments:
        if argument != "-":
            refuse_address(argument)
            yield argument, True
            continue
        for name in _names():
            refuse_address(name)
            yield name, False


def _names() -> list[str]:
    if sys.stdin is None:  # a program without a console
        data = b""
    else:
        data = sys.stdin.buffer.read() if hasattr(sys.stdin, "buffer") else os.fsencode(sys.stdin.read())
    if not data.strip():
        raise PhotosError("- stands for names of photos on standard input, one a line; there are none")
    parts = data.split(b"\0") if b"\0" in data else data.splitlines()
    if b"\0" in data and b"\n" in data and not data.endswith(b"\0"):
        raise PhotosError(
            "- stands for names of photos on standard input, one a line; found something else\n"
            "  to classify a photo that a program writes, save it to a file first"
        )
    return [os.fsdecode(part.rstrip(b"\r")) for part in parts if part.strip()]
