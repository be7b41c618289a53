"""Runs below a folder: each event is read once, whatever happens to the files; and damage is named."""

from __future__ import annotations

import json
import os
import time

import pytest

from making_runs import add_epochs, beat, make_run
from regraft.monitor.watched_runs import WatchedRuns


def messages_of(runs):
    """Read what is new and return the messages about it."""
    before = runs.log.last
    runs.read()
    runs._listed = float("-inf")  # list the folder each time
    return [json.loads(message.data) for message in runs.log.after(before)]


@pytest.fixture
def runs(tmp_path):
    make_run(tmp_path / "runs" / "a", epochs=3)
    runs = WatchedRuns(tmp_path / "runs")
    messages_of(runs)
    return runs


def only(runs):
    (whole,) = runs.snapshot()
    return whole


def test_a_page_gets_the_whole_run_first_and_then_only_what_is_new(tmp_path, runs):
    whole = only(runs)
    assert whole["status"]["name"] == "a" and whole["status"]["count"] == 3 and whole["status"]["probe"] == 0.875
    assert whole["curves"]["x"] == [1, 2, 3] and whole["curves"]["series"]["accuracy"] == [None] * 3
    folder = runs.runs[1].folder
    add_epochs(folder, 4, 4)
    points, status = messages_of(runs)
    assert points == {
        "run": 1,
        "from": 3,
        "points": [[4, {"loss": 0.25, "val_loss": 0.375, "accuracy": None}]],
        "stages": [["all blocks", 0]],
    }
    assert status["status"]["count"] == 4
    assert messages_of(runs) == []


def test_a_line_is_read_when_it_is_whole_and_a_torn_one_is_left_out(runs):
    file = runs.runs[1].folder.events
    with file.open("a", encoding="utf-8") as events:
        events.write('{"event": "epoch", "stage": "all blocks", "epoch": 4, "lo')
    assert not any("points" in message for message in messages_of(runs))
    runs.runs[1].folder.journal.add("epoch", stage="all blocks", epoch=4, loss=0.5)
    points = [message for message in messages_of(runs) if "points" in message]
    assert [message["points"] for message in points] == [[[4, {"loss": 0.5}]]]


def test_a_file_that_was_replaced_is_read_again(runs):
    folder = runs.runs[1].folder
    other = folder.path / "other"
    other.write_bytes(folder.events.read_bytes().split(b"\n")[0] + b"\n")
    os.replace(other, folder.events)
    add_epochs(folder, 1, 1)
    (whole,) = [message for message in messages_of(runs) if "curves" in message]
    assert whole["curves"]["x"] == [1] and whole["status"]["count"] == 1


def test_runs_appear_and_disappear(tmp_path, runs):
    make_run(tmp_path / "runs" / "b")
    (tmp_path / "runs" / "no run").mkdir()
    (new,) = messages_of(runs)
    assert new["run"] == 2 and new["status"]["name"] == "b" and new["curves"]["x"] == []
    for file in sorted((tmp_path / "runs" / "b").rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    assert messages_of(runs) == [{"gone": 2}]


def test_a_folder_that_is_a_run_is_shown_alone_and_one_that_is_missing_may_appear_later(tmp_path):
    runs = WatchedRuns(tmp_path / "later")
    assert messages_of(runs) == [] and runs.snapshot() == []
    make_run(tmp_path / "later" / "a")
    assert [message["status"]["name"] for message in messages_of(runs)] == ["a"]
    assert only(runs)["status"]["name"] == "a"
    alone = WatchedRuns(tmp_path / "later" / "a")
    messages_of(alone)
    assert only(alone)["status"]["name"] == "a"


def test_links_are_not_followed(tmp_path):
    outside = make_run(tmp_path / "outside", epochs=2)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "link").symlink_to(outside.path)
    folder = make_run(tmp_path / "runs" / "a")
    folder.events.unlink()
    folder.events.symlink_to(outside.events)
    runs = WatchedRuns(tmp_path / "runs")
    messages_of(runs)
    assert only(runs)["status"]["name"] == "a" and only(runs)["status"]["count"] == 0


def test_the_status_of_a_run_in_progress(runs):
    folder = runs.runs[1].folder
    wait = {"label": "tuning", "unit": "photos", "done": 5, "total": 9, "note": "", "per_second": 2, "seconds_left": 2}
    beat(folder, wait=wait)
    folder.config.write_text(json.dumps({"format": 1, "budget": 600}), encoding="utf-8")
    messages_of(runs)
    status = only(runs)["status"]
    assert (status["state"], status["wait"], status["memory"]) == ("running", wait, 5_000_000)
    assert 590 < status["budget_end"] - time.time() < 600
    assert status["now"] == {"epoch": 3, "figures": {"loss": 0.333333, "val_loss": 0.5, "accuracy": None}}


def test_the_states_of_runs_that_are_not_in_progress(tmp_path, runs):
    folder = runs.runs[1].folder
    folder.journal.add("stopped", by="KeyboardInterrupt")
    messages_of(runs)
    assert only(runs)["status"]["state"] == "stopped"
    folder.journal.add("end", chosen="linear-probe", seconds=5)
    messages_of(runs)
    assert only(runs)["status"]["state"] == "finished"
    killed = make_run(tmp_path / "runs" / "killed")
    beat(killed, time=time.time() - 100)
    killed.events.write_text(json.dumps({"event": "start", "time": time.time() - 200}) + "\n", encoding="utf-8")
    (killed.resume / "owner").write_text("999999999", encoding="ascii")
    messages_of(runs)
    assert [run["status"]["state"] for run in runs.snapshot()] == ["finished", "interrupted"]
    (killed.resume / "owner").write_text(str(os.getpid()), encoding="ascii")  # alive, but slow
    beat(killed, time=time.time() - 101)
    messages_of(runs)
    assert runs.snapshot()[1]["status"]["state"] == "running"


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ("{", "config.json cannot be read: the run is damaged"),
        ("[" * 100_000, "config.json cannot be read: the run is damaged"),
        ("{}", "config.json has no format number: it was not written by regraft"),
        ('{"format": 7}', "config.json has format 7; this regraft reads up to 1: upgrade it"),
    ],
)
def test_damage_is_named_and_the_rest_is_shown(runs, config, problem):
    runs.runs[1].folder.config.write_text(config, encoding="utf-8")
    (runs.runs[1].folder.metrics).write_text('{"measured": 3}', encoding="utf-8")
    messages_of(runs)
    status = only(runs)["status"]
    assert (status["problem"], status["count"], status["headline"]) == (problem, 3, None)


def test_events_that_are_no_events_are_left_out(runs):
    with runs.runs[1].folder.events.open("ab") as file:
        file.write(b'\xff\xfe\n[]\nnull\n{}\n{"event": "epoch", "epoch": {}, "loss": [1], "x": "text", "y": "NaN"}\n')
        file.write(b"[" * 50_000 + b"\n" + b'{"event": "epoch", "time": "soon", "epoch": 1e999, "loss": 2}\n')
    messages_of(runs)
    assert only(runs)["status"]["count"] == 5
    assert only(runs)["curves"]["series"]["loss"][3:] == [None, 2] and only(runs)["curves"]["x"][3:] == [4, 5]


@pytest.mark.parametrize(
    "wait",
    [
        "text",
        {},
        {"label": "tuning", "unit": "photos", "note": "", "done": "5", "total": 9},
        {"label": "tuning", "unit": "photos", "note": "", "done": 5, "total": 9, "per_second": "fast"},
    ],
)
def test_a_damaged_heartbeat_is_left_out(runs, wait):
    beat(runs.runs[1].folder, wait=wait, memory="much")
    messages_of(runs)
    assert (only(runs)["status"]["wait"], only(runs)["status"]["memory"]) == (None, None)


def test_a_run_without_measured_photos_has_no_accuracy(runs):
    accuracy = {"value": None, "n": 0, "interval": None}
    entry = {"figures": {"accuracy": accuracy}, "photos": "test", "used_for_choosing": False}
    runs.runs[1].folder.metrics.write_text(json.dumps({"format": 1, "headline": "a", "measured": {"a": entry}}))
    messages_of(runs)
    assert only(runs)["status"]["headline"] is None
