"""Output of the commands: no live bar next to a pipe, and rows of predictions that fit the terminal."""

from __future__ import annotations

import io
import os
import sys

import pytest

from regraft.cli.output import PredictionTable, Session
from regraft.inference.prediction import Prediction
from regraft.screen import PlainScreen, QuietScreen, TerminalScreen
from regraft.screen.layout import terminal_width
from regraft.screen.line_breaks import cells


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def pipe():
    """The writing end of a pipe, as standard output is in ``regraft … | head``."""
    reading, writing = os.pipe()
    with open(writing, "w", encoding="utf-8") as file:
        yield file
    os.close(reading)


def test_next_to_a_pipe_no_live_bar_shares_the_line_with_its_reader(pipe, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(sys, "stdout", pipe)
    assert isinstance(Session().screen(on_stderr=True), PlainScreen)
    assert isinstance(Session(quiet=True).screen(on_stderr=True), QuietScreen)
    with (tmp_path / "answers.csv").open("w", encoding="utf-8") as file:
        monkeypatch.setattr(sys, "stdout", file)
        assert isinstance(Session().screen(on_stderr=True), TerminalScreen)


@pytest.mark.parametrize("width", [40, 60, 80, 200])
@pytest.mark.parametrize("top", [1, 3])
def test_rows_fit_a_terminal_and_are_whole_elsewhere(width, top, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    path = "photos/花园/a folder with a long name/another folder with a long name/IMG_0113.jpg"
    labels = ("玫瑰", "tulip", "daisy")
    shown = Prediction(path, labels[0], 0.5, tuple((label, 0.3) for label in labels))
    lost = Prediction(path, None, None, (), "truncated after 61 %")
    for terminal in (True, False):
        out = Terminal() if terminal else io.StringIO()
        monkeypatch.setattr(sys, "stdout", out)
        table = PredictionTable([path], labels, top)
        table.add(shown)
        table.add(lost)
        lines = out.getvalue().splitlines()
        if terminal:
            assert max(map(cells, lines)) <= width
            assert "0113.jpg" in lines[0] and sum("30.0 %" in line for line in lines) >= 1
        else:
            assert len(lines) == 2 and all(line.startswith(path) for line in lines)


def test_a_terminal_of_unknown_width_counts_as_80_columns(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((0, 0)))
    assert terminal_width() == 80
