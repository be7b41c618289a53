"""What the options common to all commands say, and the screen that follows from them.

Predictions as a person or a program reads them: a table, CSV or JSON lines, one row as soon as it is known.

How a finished run is shown, in the way that the call asked for.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import click

from regraft.screen import Screen, printable, screen_for

if TYPE_CHECKING:
    from regraft.inference.predictor import Prediction
    from regraft.screen import Screen
    from regraft.workflows.run import Run


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


WIDEST = 100


class Rows(Protocol):
    """Prints predictions."""

    def add(self, prediction: Prediction) -> None:
        """Print one."""


class Table:
    """Aligned columns, also for wide characters; what could not be read says why.

    Args:
        paths: all photos that will come, so that the first column is wide enough.
        classes: all classes that there can be.
        top: how many classes a row names.
    """

    def __init__(self, paths: Sequence[str], classes: Sequence[str], top: int) -> None:
        self._path = _width(paths)
        self._label = _width(classes)
        self._top = top

    def add(self, prediction: Prediction) -> None:
        """Print one."""
        cells = [_pad(printable(prediction.path), self._path)]
        if prediction.error is not None:
            cells.append(f"not read: {printable(prediction.error)}")
        for label, probability in prediction.top[: self._top]:
            cells.append(f"{_pad(printable(label), self._label)} {_percent(probability):>7}")
        click.echo("  ".join(cells).rstrip())


class CommaSeparated:
    """CSV with the columns path, label, probability, then label_2, probability_2 … and why a photo was not read."""

    def __init__(self, top: int) -> None:
        self._top = top
        more = [column for k in range(2, top + 1) for column in (f"label_{k}", f"probability_{k}")]
        self._write(["path", "label", "probability", *more, "error"])

    def add(self, prediction: Prediction) -> None:
        """Print one."""
        cells: list[Any] = [cell for label, p in prediction.top[: self._top] for cell in (label, f"{p:.6f}")]
        cells += [""] * (2 * self._top - len(cells))
        self._write([prediction.path, *cells, prediction.error or ""])

    def _write(self, cells: Sequence[Any]) -> None:
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerow(cells)
        click.echo(out.getvalue(), nl=False)


class JsonLines:
    """One JSON object a line."""

    def __init__(self, top: int) -> None:
        self._top = top

    def add(self, prediction: Prediction) -> None:
        """Print one."""
        click.echo(dumps(as_json(prediction, self._top)))


def as_json(prediction: Prediction, top: int) -> dict[str, Any]:
    """Return ``prediction`` as JSON-able values, with its ``top`` best classes."""
    return {
        "path": prediction.path,
        "label": prediction.label,
        "probability": prediction.probability,
        "top": [{"label": label, "probability": p} for label, p in prediction.top[:top]],
        "error": prediction.error,
    }


def _percent(probability: float) -> str:
    return f"{100 * probability:.1f} %"


def _width(texts: Sequence[str]) -> int:
    from rich.cells import cell_len

    return min(max((cell_len(printable(text)) for text in texts), default=0), WIDEST)


def _pad(text: str, width: int) -> str:
    from rich.cells import cell_len

    return text + " " * (width - cell_len(text))


def show(session: Session, run: Run, screen: Screen) -> None:
    """Show ``run``: as one JSON object, as its folder alone, or as a person wants to see it."""
    from regraft.report.summary import show_run

    if session.json:
        session.print_json({"run": str(run.folder), "model": str(run.folder / "model.safetensors"), **run.metrics})
    elif session.quiet:
        session.print(str(run.folder))
    else:
        show_run(run.folder, screen)
