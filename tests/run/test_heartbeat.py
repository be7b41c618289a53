"""The heartbeat of a run: progress for monitors, and stop requests."""

from __future__ import annotations

import json

import pytest

from recorded_screen import RecordedScreen
from regraft.run import heartbeat
from regraft.run.heartbeat import PROGRESS, STOP, Heartbeat, Progress, request_stop
from regraft.screen import QuietScreen


@pytest.fixture(autouse=True)
def quick_beats(monkeypatch):
    monkeypatch.setattr(heartbeat, "EVERY", 0.001)


def read_when(file, is_wanted):
    """Return the content of a file that another thread writes again and again, as soon as it is the wanted one."""
    while True:
        if file.exists():
            content = json.loads(file.read_text(encoding="utf-8"))
            if is_wanted(content):
                return content


def test_progress_is_in_the_file_while_it_is_counted_and_gone_at_the_end(tmp_path):
    file = tmp_path / PROGRESS
    with Heartbeat(tmp_path, QuietScreen()) as beat:
        with beat.screen.progress("features", 10, unit="views") as bar:
            bar.advance(3)
            bar.advance()
            bar.note("epoch 2 [red]")
            content = read_when(file, lambda content: content["wait"] and content["wait"]["note"])
            assert {k: content["wait"][k] for k in ("label", "unit", "done", "total", "note")} == {
                "label": "features",
                "unit": "views",
                "done": 4,
                "total": 10,
                "note": "epoch 2 [red]",
            }
            assert content["memory"] is None or content["memory"] > 1_000_000
        read_when(file, lambda content: content["wait"] is None)
    assert not file.exists()


def test_speed_and_time_left_are_those_of_the_last_seconds(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(heartbeat.time, "monotonic", lambda: now[0])
    progress = Progress("tuning", 100, "photos")
    assert progress.facts()["per_second"] is None and progress.facts()["seconds_left"] is None
    now[0], progress.done = 105.0, 10
    assert progress.facts()["per_second"] == 2 and progress.facts()["seconds_left"] == 45
    now[0], progress.done = 112.0, 52  # the count at 100 is too old
    assert progress.facts()["per_second"] == 6 and progress.facts()["seconds_left"] == 8


def test_the_screen_of_the_run_shows_everything(tmp_path):
    shown = RecordedScreen()
    beat = Heartbeat(tmp_path, shown)
    beat.screen.line("photos", "12 photos")
    beat.screen.warn("a photo is damaged")
    assert shown.texts == ["12 photos", "a photo is damaged"]


def test_a_stop_request_interrupts_once_as_ctrl_c_does(tmp_path):
    with pytest.raises(KeyboardInterrupt), Heartbeat(tmp_path, QuietScreen()):
        request_stop(tmp_path)
        while True:
            pass
    assert not (tmp_path / STOP).exists()


def test_a_stop_request_to_an_earlier_process_is_not_obeyed(tmp_path):
    (tmp_path / STOP).touch()
    with Heartbeat(tmp_path, QuietScreen()):
        assert not (tmp_path / STOP).exists()
        read_when(tmp_path / PROGRESS, lambda content: True)


def test_a_stop_request_to_a_finished_run_is_an_error(tmp_path):
    with pytest.raises(OSError, match=r"resume does not exist: the run is not in progress"):
        request_stop(tmp_path / "resume")
