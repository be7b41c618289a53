"""Screen output is aligned, cannot drive the terminal, and stays short in a log."""

from __future__ import annotations

import ast
import io
import sys
from pathlib import Path

import pytest

import regraft
from regraft.screen import LABEL_WIDTH, PlainScreen, QuietScreen, TerminalScreen, clock, printable, screen_for


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def said():
    out = io.StringIO()
    return PlainScreen(out), out


def test_facts_are_aligned_under_their_labels(said):
    screen, out = said
    screen.line("photos", "12 photos\n2 put aside", "garden")
    screen.line("a long label", "has a line of its own", strong=True)
    screen.line("", "")
    screen.warn("look here")
    assert out.getvalue() == (
        "photos   12 photos\n         2 put aside   garden\na long label\n         has a line of its own\n\n"
        "!        look here\n"
    )


def test_names_do_not_drive_the_terminal(said):
    screen, out = said
    screen.line("photos", "a\x1b[31mb\rc\x9b1m", "\x07")
    assert out.getvalue() == "photos   a\\x1b[31mb\\x0dc\\x9b1m   \\x07\n"
    assert printable("B\udce4r \ud800") == "B\\xe4r \\xd800"
    assert printable("花 👩‍🔬 é\u3000[red]") == "花 👩‍🔬 é\u3000[red]"


def test_a_short_wait_says_nothing_in_a_log(said):
    screen, out = said
    with screen.progress("features", 3) as bar:
        bar.advance(3)
    assert out.getvalue() == ""


def test_a_long_wait_says_a_line_now_and_then_and_at_its_end(said, monkeypatch):
    screen, out = said
    now = iter(range(0, 1000, 6))
    monkeypatch.setattr("regraft.screen.plain_bar.time.monotonic", lambda: float(next(now)))
    with screen.progress("features", 4) as bar:
        bar.note("epoch \x1b1")
        for _ in range(4):
            bar.advance()
    lines = out.getvalue().splitlines()
    assert 1 < len(lines) <= 4
    assert all(line.startswith("features ") and "photos/s" in line and "epoch \\x1b1" in line for line in lines)
    assert "4/4" in lines[-1] and "left" not in lines[-1] and "left" in lines[0]


def test_a_terminal_gets_colours_and_a_bar_that_goes_away():
    out = Terminal()
    screen = screen_for(out)
    assert isinstance(screen, TerminalScreen)
    screen.line("photos", "[red]12[/red]", "note", strong=True)
    with screen.progress("features", 2) as bar:
        bar.advance()
        bar.note("[blue]x")
    screen.warn("[bold]w")
    assert "[red]12[/red]" in out.getvalue() and "[bold]w" in out.getvalue()


def test_which_screen(capsys):
    assert isinstance(screen_for(io.StringIO()), PlainScreen)
    quiet = screen_for(sys.stdout, quiet=True)
    assert isinstance(quiet, QuietScreen)
    quiet.line("photos", "12")
    with quiet.progress("features", 2) as bar:
        bar.advance()
        bar.note("x")
    quiet.warn("a\x1bb")
    quiet.detail("", "12")
    quiet.table("photos", [["12"]])
    assert tuple(capsys.readouterr()) == ("", "")


def test_durations():
    assert [clock(s) for s in (0, 22.4, 270, 3723, -1)] == ["0:00", "0:22", "4:30", "1:02:03", "0:00"]


def labels_in(file):
    """Return (file:line, label) for every label in a call of `line` or `progress` that is a constant."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
            continue
        if node.func.attr in {"line", "progress"}:
            first = node.args[0]
            parts = [first.body, first.orelse] if isinstance(first, ast.IfExp) else [first]
            yield from ((f"{file.name}:{node.lineno}", p.value) for p in parts if isinstance(p, ast.Constant))


def test_every_label_in_the_source_fits_its_column():
    root = Path(regraft.__file__).parent
    labels = [found for file in sorted(root.rglob("*.py")) for found in labels_in(file)]
    assert len(labels) > 50
    assert [(where, label) for where, label in labels if len(label) >= LABEL_WIDTH] == []
