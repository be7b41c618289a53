"""What the options common to all commands say, and the screen that follows from them."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

import click

from regraft.screen import Screen, printable, screen_for


@dataclass
class Session:
    """How one call of the command line should speak."""

    quiet: bool = False
    json: bool = False
    debug: bool = False

    def screen(self, *, beside_results: bool = False) -> Screen:
        """Return where progress goes.

        Args:
            beside_results: the command prints results that a program may read, so progress keeps to standard error.
        """
        return screen_for(sys.stderr if self.json or beside_results else sys.stdout, quiet=self.quiet)

    def print(self, text: str) -> None:
        """Print a result, with control characters made visible."""
        click.echo(printable(text))

    def print_json(self, value: Any) -> None:
        """Print ``value`` as one JSON object, readable by any program whatever the encoding of the output is."""
        click.echo(dumps(value, indent=2))


def dumps(value: Any, *, indent: int | None = None) -> str:
    """Return ``value`` as JSON; where the output cannot hold every character, only ASCII is used."""
    ascii_only = (sys.stdout.encoding or "ascii").lower().replace("-", "") != "utf8"
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only, allow_nan=False)
    if not ascii_only and any("\ud800" <= c <= "\udfff" for c in text):  # names that are not valid UTF-8 on disk
        return json.dumps(value, indent=indent, allow_nan=False)
    return text
