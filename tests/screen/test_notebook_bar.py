"""The progress bar of a notebook, with a substitute for the display of IPython."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from regraft.screen import NotebookScreen, screen_for


@pytest.fixture
def outputs(monkeypatch):
    """Everything that the cell has shown, the latest last."""
    shown = []

    def display(html, *, display_id):
        shown.append(html)
        return SimpleNamespace(update=shown.append)

    kernel = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: kernel))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(HTML=str, display=display))
    return shown


def test_a_notebook_has_a_live_bar_that_goes_away(outputs):
    screen = screen_for()
    assert isinstance(screen, NotebookScreen)
    with screen.progress("<b>", 10) as bar:
        bar.note("val_accuracy 0.9")
        bar.advance(4)
    assert 'value="0" max="10"' in outputs[0] and 'value="4" max="10"' in outputs[1]
    assert "val_accuracy 0.9" in outputs[1] and "&lt;b&gt;" in outputs[1] and outputs[-1] == ""


def test_another_program_has_none(monkeypatch, outputs):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert not isinstance(screen_for(), NotebookScreen)
