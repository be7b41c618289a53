"""The layout of a screen at several widths: aligned facts, tables, and the line of a progress bar."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from regraft.screen import PlainScreen, TerminalScreen
from regraft.screen.layout import message_lines, progress_text, table_lines
from regraft.screen.line_breaks import cells
from regraft.screen.live_bar import LiveBar

WIDTHS = [40, 60, 80, 200]
NAMES = "photos/花园/红玫瑰/IMG_0113.jpg: is truncated after 61 % of its pixels; 12 more photos"


@pytest.fixture(params=WIDTHS)
def width(request, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(request.param))
    return request.param


@pytest.mark.parametrize("kind", [PlainScreen, TerminalScreen])
def test_no_line_is_longer_than_the_terminal(kind, width):
    screen = kind(out := io.StringIO(), verbose=True)
    screen.line(
        "photos", f"1,284 photos · 5 classes · 1 skipped ({NAMES})", "/a/folder/of/photos/with/a/long/name/花园/照片"
    )
    screen.line("use it", "regraft predict /a/folder/of/runs/with/a/very/long/name/garden-auto-001 new/*.jpg")
    screen.warn(f"{NAMES}; {NAMES}")
    screen.detail("steps", NAMES)
    screen.line("a label that is much too long", NAMES)
    screen.table("found", [("level", "problem", "n", "example"), ("info", "odd colour mode", "12", NAMES)], right=(2,))
    screen.table("classes", [("class", "recall", "F1"), ("花" * 30, "90.1 %", "80.0 %")], right=(1, 2), optional=(2,))
    lines = out.getvalue().splitlines()
    assert len(lines) >= 9
    assert max(map(cells, lines)) <= width


def test_continuations_are_aligned_under_the_first_line(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    PlainScreen(out := io.StringIO()).line("photos", "12 photos · 5 classes · 1 skipped", "garden/of/roses")
    assert out.getvalue().splitlines() == [
        "photos   12 photos · 5 classes",
        "         1 skipped   garden/of/roses",
    ]


def test_details_are_for_verbose_screens():
    for verbose in (True, False):
        PlainScreen(out := io.StringIO(), verbose=verbose).detail("steps", "C = 0.01")
        assert out.getvalue() == ("steps    C = 0.01\n" if verbose else "")


def test_a_table_wraps_its_last_column_and_then_drops_what_is_not_needed():
    rows = [("kind", "n", "seen in"), ("placeholder", "12", "a picture that is almost one color")]
    assert table_lines(rows, 80, right=(1,)) == [
        "kind          n  seen in",
        "placeholder  12  a picture that is almost one color",
    ]
    assert table_lines(rows, 41, right=(1,)) == [
        "kind          n  seen in",
        "placeholder  12  a picture that is almost",
        "                 one color",
    ]
    assert table_lines(rows, 30, right=(1,)) == [
        "kind          n",
        "  seen in",
        "placeholder  12",
        "  a picture that is almost one",
        "  color",
    ]
    assert table_lines([("name", "size"), ("ab", "12 MB")], 8, right=(1,), optional=(1,)) == ["name", "ab"]


def test_a_message_is_one_line_and_indented_help(width):
    lines = message_lines(f"regraft: {NAMES}\n  expected   photos/rose/*.jpg  {NAMES}", width)
    assert max(map(cells, lines)) <= width
    assert all(line.startswith("  ") for line in lines[1:])


def test_a_progress_line_drops_the_speed_first_and_keeps_the_count():
    facts = ("1,284/1,284", "214 photos/s", "0:22 left", "epoch 3/4 · val_accuracy 0.906")
    assert progress_text(*facts, 80) == " · ".join(facts)
    assert progress_text(*facts, 60) == "1,284/1,284 · 0:22 left · epoch 3/4 · val_accuracy 0.906"
    assert progress_text(*facts, 50) == "1,284/1,284 · epoch 3/4 · val_accuracy 0.906"
    assert progress_text(*facts, 30) == "1,284/1,284 · 0:22 left"
    assert progress_text(*facts, 11) == "1,284/1,284"
    assert progress_text(*facts, 5) == ""


def test_the_live_bar_is_one_line(width):
    console = Console(file=io.StringIO(), force_terminal=True, width=width)
    bar = LiveBar(console, "features", 1284, "photos")
    bar.note("epoch 3/4 · val_accuracy 0.906 · 花园里的红玫瑰\nsecond line")
    bar.advance(900)
    with console.capture() as capture:
        console.print(bar._progress.get_renderable())
    shown = capture.get().splitlines()
    assert len(shown) == 1
    assert "900/1,284" in shown[0]
    plain = Console(file=(out := io.StringIO()), width=width)
    plain.print(bar._progress.get_renderable())
    assert max(cells(line.rstrip()) for line in out.getvalue().splitlines()) <= width
