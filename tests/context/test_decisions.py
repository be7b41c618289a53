"""The record of a run: choices are replayed, events are written once, and a full disk is one warning."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from regraft.context.config import resolve
from regraft.context.decisions import Decisions, Event, Line, Report
from regraft.run.folder import RunFolder
from regraft.screen import QuietScreen


class Screen(QuietScreen):
    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str]] = []
        self.warnings: list[str] = []

    def line(self, label: str, text: str, note: str = "", *, strong: bool = False) -> None:
        self.lines.append((label, text, note))

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture
def decisions(tmp_path: Path) -> Decisions:
    folder = RunFolder(tmp_path)
    folder.resume.mkdir()
    return Decisions(resolve(None, photos="x", budget=60.0), folder, Screen(), time.time())


def events(decisions: Decisions) -> list[dict[str, Any]]:
    return [json.loads(line) for line in decisions.folder.events.read_text().splitlines()]


def never() -> int:
    raise AssertionError("made again")


def test_a_choice_is_written_down_and_replayed(decisions: Decisions) -> None:
    assert decisions.choose("views", "cheap", lambda: 3) == 3
    assert json.loads(decisions.folder.config.read_text())["choices"] == {"views": 3}
    again = replace(decisions, replay=decisions.folder.journal.chosen(), choices={}, earlier=events(decisions))
    assert again.choose("views", "cheap", never) == 3
    assert [event["what"] for event in events(again)] == ["views"]  # not a second time


def test_an_event_from_before_an_interruption_is_not_written_again(decisions: Decisions) -> None:
    once = Report(Event("probe", {"label": "start", "photos": 3}, ("label",)), Line("probe", "90 %"))
    each = Report(Event("activations", {"views": 2}, each_process=True))
    decisions.report(once, each)
    again = replace(decisions, earlier=events(decisions))
    again.report(once, Report(Event("probe", {"label": "end", "photos": 3}, ("label",))), each)
    names = [(event["event"], event.get("label")) for event in events(again)]
    assert names == [("probe", "start"), ("activations", None), ("probe", "end"), ("activations", None)]
    assert isinstance(decisions.screen, Screen)
    assert decisions.screen.lines == [("probe", "90 %", "")] * 2  # the screen is new in each process


def test_a_disk_that_refuses_is_one_warning(decisions: Decisions) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    for _ in range(3):
        decisions.write_or_warn(full)
    assert isinstance(decisions.screen, Screen)
    assert len(decisions.screen.warnings) == 1
    assert "No space left on device; the run continues" in decisions.screen.warnings[0]


def test_a_result_is_computed_once_for_each_key(decisions: Decisions) -> None:
    assert decisions.memoized("probe", "a", lambda: {"figure": 1.5}) == {"figure": 1.5}
    assert decisions.memoized("probe", "a", never) == {"figure": 1.5}  # type: ignore[arg-type]
    assert decisions.memoized("probe", "b", lambda: {"figure": 2.5}) == {"figure": 2.5}


def test_the_budget_counts_earlier_processes(decisions: Decisions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regraft.context.decisions.time", SimpleNamespace(time=lambda: 105.0))
    assert replace(decisions, spent=50.0, started=100.0).seconds_left() == 5.0
    assert replace(decisions, config=resolve(None, photos="x")).seconds_left() is None
