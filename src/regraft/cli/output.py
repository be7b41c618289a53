"""Output of the commands: the session's screen and JSON, predictions row by row, and finished runs."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import click

from regraft.disk.csv_file import csv_text
from regraft.distributed.world import leads
from regraft.inference.prediction_json import as_json, doubt_about
from regraft.language import translate, translate_word
from regraft.screen import PlainScreen, QuietScreen, Screen, printable, screen_for, translated_rows
from regraft.screen.layout import table_lines, terminal_width
from regraft.screen.line_breaks import broken, cells
from regraft.text import cell_width, padded, percent, shortened_path

if TYPE_CHECKING:
    from regraft.inference.prediction import Prediction
    from regraft.screen import Screen
    from regraft.workflows.run import Run


@dataclass
class Session:
    """The output options of one call of the command line."""

    quiet: bool = False
    json: bool = False
    verbose: bool = False
    debug: bool = False
    printed_json: bool = False

    def screen(self, *, on_stderr: bool = False) -> Screen:
        """Return the screen for progress.

        Args:
            on_stderr: whether standard output is reserved for results that a program may read.
        """
        if not leads():
            return QuietScreen()
        if not self.json and not on_stderr:
            return screen_for(sys.stdout, quiet=self.quiet, verbose=self.verbose)
        if self.quiet or not _is_pipe(sys.stdout):
            return screen_for(sys.stderr, quiet=self.quiet, verbose=self.verbose)
        return PlainScreen(sys.stderr, verbose=self.verbose)  # a live bar would share a line with the pipe's reader

    def table(self, rows: Sequence[Sequence[str]], right: Sequence[int] = (), optional: Sequence[int] = ()) -> None:
        """Print a table as a result, see `regraft.screen.Screen.table`."""
        cells = [[printable(cell) for cell in row] for row in translated_rows(rows)]
        for line in table_lines(cells, terminal_width(), right, optional):
            click.echo(line)

    def print(self, text: str) -> None:
        """Print a result, with control characters made visible."""
        click.echo(printable(translate(text)))

    def print_json(self, value: Any) -> None:
        """Print ``value`` as one JSON object, in characters that the encoding of the output can hold."""
        self.printed_json = True
        click.echo(dumps(value, indent=2))


def _is_pipe(stream: Any) -> bool:
    """Return whether a stream is a pipe, whose reader may write to the same terminal."""
    try:
        return stat.S_ISFIFO(os.fstat(stream.fileno()).st_mode)
    except (AttributeError, OSError, ValueError):  # no stream, or a substitute without a file
        return False


def dumps(value: Any, *, indent: int | None = None) -> str:
    """Return ``value`` as JSON, in ASCII if standard output is not UTF-8."""
    ascii_only = (sys.stdout.encoding or "ascii").lower().replace("-", "") != "utf8"
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only, allow_nan=False)
    if not ascii_only and any("\ud800" <= c <= "\udfff" for c in text):  # file names that are not valid UTF-8
        return json.dumps(value, indent=indent, allow_nan=False)
    return text


PERCENT_WIDTH = 8
MIN_PATH_WIDTH = 20
MAX_WIDTH = 100
"""Maximum width of a column of predictions, in terminal columns; longer names are not cut."""


class PredictionWriter(Protocol):
    """Prints predictions in some format, each as soon as it is known."""

    def add(self, prediction: Prediction) -> None:
        """Print one prediction."""


class PredictionTable:
    """Aligned columns; an unreadable photo gets a row with the reason.

    A row fits the terminal: long paths are shortened in the middle, and if that is not enough, classes
    are on the next lines. Files and pipes get whole rows.

    Args:
        paths: all photos that will follow, for the width of the first column.
        classes: all classes, for the width of their columns.
        top: number of classes per row.
        unsure: minimum probability of a sure prediction, or None.
    """

    def __init__(self, paths: Sequence[str], classes: Sequence[str], top: int, unsure: float | None = None) -> None:
        self._unsure = unsure
        self._path_width = min(cell_width(paths), MAX_WIDTH)
        self._label_width = min(cell_width(classes), MAX_WIDTH)
        self._top = top
        self._room = terminal_width() if sys.stdout.isatty() else None
        classes_width = top * (self._label_width + PERCENT_WIDTH + 2)
        if self._room is not None and self._path_width + classes_width > self._room:
            self._path_width = max(self._room - classes_width, min(self._path_width, MIN_PATH_WIDTH))

    def add(self, prediction: Prediction) -> None:
        """Print one prediction."""
        path = printable(prediction.path)
        answers = [
            f"{padded(label, self._label_width)} {percent(probability):>{PERCENT_WIDTH - 1}}"
            for label, probability in prediction.top[: self._top]
        ]
        if prediction.error is not None:
            answers = [printable(translate(f"not read: {prediction.error}"))]
        doubt = doubt_about(prediction, self._unsure)
        answers += [translate_word(doubt)] if doubt else []
        if self._room is not None:
            path = shortened_path(path, self._path_width)
        row = "  ".join([padded(path, self._path_width), *answers]).rstrip()
        if self._room is None or cells(row) <= self._room:
            click.echo(row)
            return
        click.echo(path)
        for line in broken("  " + "  ".join(answers), self._room):
            click.echo(line)


class PredictionCsv:
    """CSV with the columns path, label, probability, label_2, probability_2 …, error [, unsure], novelty, doubt.

    Args:
        top: number of classes per row.
        threshold: whether the classifier has a certified threshold, and so the column ``unsure`` (``yes`` or empty).
        unsure: minimum probability of a sure prediction, or None.
    """

    def __init__(self, top: int, *, threshold: bool, unsure: float | None = None) -> None:
        self._top, self._threshold, self._unsure = top, threshold, unsure
        more = [column for k in range(2, top + 1) for column in (f"label_{k}", f"probability_{k}")]
        self._write(
            ["path", "label", "probability", *more, "error", *(["unsure"] if threshold else []), "novelty", "doubt"]
        )

    def add(self, prediction: Prediction) -> None:
        """Print one prediction."""
        cells: list[Any] = [cell for label, p in prediction.top[: self._top] for cell in (label, f"{p:.6f}")]
        cells += [""] * (2 * self._top - len(cells))
        last = ["yes" if prediction.unsure else ""] if self._threshold else []
        novelty = "" if prediction.novelty is None else f"{prediction.novelty:.3f}"
        last += [novelty, doubt_about(prediction, self._unsure)]
        self._write([prediction.path, *cells, prediction.error or "", *last])

    def _write(self, cells: Sequence[Any]) -> None:
        click.echo(csv_text([cells]), nl=False)


class PredictionJsonLines:
    """One JSON object per line; see `as_json` for the arguments."""

    def __init__(self, top: int, *, threshold: bool, unsure: float | None = None) -> None:
        self._top, self._threshold, self._unsure = top, threshold, unsure

    def add(self, prediction: Prediction) -> None:
        """Print one prediction."""
        click.echo(dumps(as_json(prediction, self._top, threshold=self._threshold, unsure=self._unsure)))


class PredictionJson:
    """One JSON object with all predictions, which is printed at the end; see `as_json` for the arguments."""

    def __init__(self, classes: Sequence[str], top: int, *, threshold: bool, unsure: float | None = None) -> None:
        self._classes, self._top, self._threshold, self._unsure = classes, top, threshold, unsure
        self._predictions: list[dict[str, Any]] = []

    def add(self, prediction: Prediction) -> None:
        """Add one prediction."""
        self._predictions.append(as_json(prediction, self._top, threshold=self._threshold, unsure=self._unsure))

    def value(self) -> dict[str, Any]:
        """Return the object."""
        return {"classes": list(self._classes), "predictions": self._predictions}


def warn_above_classes(screen: Screen, top: Sequence[int], classes: int) -> None:
    """Warn of values of ``--top`` above the number of classes, which show all of them."""
    for k in (k for k in top if k > classes):
        screen.warn(f"--top {k}: the classifier has only {classes} classes, so all of them count")


def show_result(session: Session, run: Run, screen: Screen) -> None:
    """Print the result of ``run`` as the options say: JSON, its folder, or a summary; only process 0 prints."""
    from regraft.report.summary import show_run

    if not leads():
        return
    if session.json:
        session.print_json({"run": str(run.folder), "model": str(run.folder / "model.safetensors"), **run.metrics})
    elif session.quiet:
        session.print(str(run.folder))
    else:
        show_run(run.folder, screen)
