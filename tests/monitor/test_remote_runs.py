"""Remote runs: every post is in the folder of its training, once, also after a kill."""

from __future__ import annotations

import json
import os

import pytest

from regraft.monitor import line_file, remote_runs
from regraft.monitor.remote_runs import LimitError, RemoteRuns, Sender

HERE = Sender("127.0.0.1", "/publish/epoch/end/")


def losses(root):
    """Return the losses of each run folder by its name."""
    read = {}
    for path in sorted(root.iterdir()):
        events = map(json.loads, (path / "events.jsonl").read_text(encoding="utf-8").splitlines())
        read[path.name] = [event["loss"] for event in events]
    return read


def post(remote, *posts, sender=HERE):
    for epoch, loss in posts:
        remote.keep(sender, {"epoch": epoch, "loss": loss})


def test_a_training_is_a_run_folder_and_the_next_training_another_one(tmp_path):
    remote = RemoteRuns(tmp_path / "runs")
    post(remote, (0, 3.0), (1, 2.0), (0, 30.0), (1, 20.0), (2, 10.0))
    assert losses(tmp_path / "runs") == {"remote-001": [3, 2], "remote-002": [30, 20, 10]}
    config = json.loads((tmp_path / "runs" / "remote-001" / "config.json").read_text(encoding="utf-8"))
    assert config == {"format": 1, "kind": "remote", "sender": "127.0.0.1", "path": "/publish/epoch/end/", "run": ""}


def test_trainings_at_the_same_time_take_turns(tmp_path):
    remote = RemoteRuns(tmp_path)
    post(remote, (0, 1.0), (1, 2.0), (0, 10.0), (2, 3.0), (1, 20.0), (2, 30.0), (3, 4.0), (3, 40.0), (4, 5.0))
    assert losses(tmp_path) == {"remote-001": [1, 2, 3, 4, 5], "remote-002": [10, 20, 30, 40]}


def test_senders_are_told_apart_by_address_path_and_name(tmp_path):
    remote = RemoteRuns(tmp_path)
    for k, sender in enumerate(
        (HERE, Sender("10.0.0.2", HERE.path), Sender("127.0.0.1", "/../../a b/"), Sender("", "/", "../花"))
    ):
        post(remote, (0, float(k)), sender=sender)
    assert losses(tmp_path) == {"remote-001": [0], "remote-002": [1], "remote-a-b-001": [2], "remote-花-001": [3]}


def test_a_post_that_is_sent_again_is_kept_once(tmp_path):
    remote = RemoteRuns(tmp_path)
    post(remote, (0, 3.0), (0, 3.0), (1, 2.0), (1, 2.0))
    assert losses(tmp_path) == {"remote-001": [3, 2]}


def test_posts_without_epochs_belong_to_one_run(tmp_path):
    remote = RemoteRuns(tmp_path)
    for loss in (3.0, 3.0, 2.0):
        remote.keep(HERE, {"loss": loss})
    assert losses(tmp_path) == {"remote-001": [3, 3, 2]}


def test_a_resumed_training_continues_its_run(tmp_path):
    remote = RemoteRuns(tmp_path)
    post(remote, (0, 5.0), (1, 4.0), (2, 3.0), (1, 40.0))
    assert losses(tmp_path) == {"remote-001": [5, 4, 3, 40]}


def test_the_next_server_continues_the_runs_and_ends_a_torn_line(tmp_path):
    first = RemoteRuns(tmp_path)
    post(first, (0, 3.0), (1, 2.0), (0, 30.0))
    first.close()
    with (tmp_path / "remote-001" / "events.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"event": "epoch", "epo')
    second = RemoteRuns(tmp_path)
    post(second, (0, 30.0), (2, 1.0), (1, 20.0))
    lines = (tmp_path / "remote-001" / "events.jsonl").read_text(encoding="utf-8").splitlines()
    assert lines.pop(2) == '{"event": "epoch", "epo'
    assert [json.loads(line)["loss"] for line in lines] == [3, 2, 1]
    lines = (tmp_path / "remote-002" / "events.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["loss"] for line in lines] == [30, 20]


def test_names_of_figures_that_events_use_are_renamed_and_undefined_figures_are_text(tmp_path):
    RemoteRuns(tmp_path).keep(HERE, {"epoch": 0.0, "loss": "NaN", "time": 5.0, "event": 6.0, "run": "mine"})
    event = json.loads((tmp_path / "remote-001" / "events.jsonl").read_text(encoding="utf-8"))
    assert event | {"time": 0} == {"event": "epoch", "time": 0, "epoch": 0, "loss": "NaN", "time_": 5, "event_": 6}


def test_limits(tmp_path, monkeypatch):
    monkeypatch.setattr(remote_runs, "MAX_RUNS", 2)
    remote = RemoteRuns(tmp_path)
    post(remote, (0, 1.0), (0, 2.0))
    with pytest.raises(LimitError, match="there are 2 remote runs; remove some of them") as many:
        post(remote, (0, 3.0))
    monkeypatch.setattr(remote_runs, "MAX_BYTES", 10)
    with pytest.raises(LimitError, match="the disk space for remote runs is used up") as full:
        post(remote, (1, 3.0))
    assert (many.value.status, full.value.status) == (429, 413)


def test_a_full_disk_leaves_only_whole_lines(tmp_path, monkeypatch):
    remote, write = RemoteRuns(tmp_path), os.write
    post(remote, (0, 1.0))

    def half(handle, data):
        if len(data) < 30:
            raise OSError(28, "No space left on device")
        return write(handle, data[: len(data) - 20])

    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space left"):
        patch.setattr(line_file.os, "write", half)
        post(remote, (1, 2.0))
    post(remote, (1, 2.0), (2, 3.0))
    assert losses(tmp_path) == {"remote-001": [1, 2, 3]}


def test_many_runs_share_a_few_open_files(tmp_path, monkeypatch):
    monkeypatch.setattr(line_file, "MAX_OPEN", 2)
    remote = RemoteRuns(tmp_path)
    senders = [Sender("127.0.0.1", "/", f"run {k}") for k in range(5)]
    for epoch in range(3):
        for sender in senders:
            post(remote, (epoch, float(epoch)), sender=sender)
    assert list(losses(tmp_path).values()) == [[0, 1, 2]] * 5
    remote.close()
    assert not set(line_file.LineFile._open) & {run.file for runs in remote._runs.values() for run in runs}


def test_a_file_that_is_a_link_is_not_written(tmp_path):
    remote = RemoteRuns(tmp_path / "runs")
    post(remote, (0, 1.0))
    remote.close()
    events = tmp_path / "runs" / "remote-001" / "events.jsonl"
    events.unlink()
    events.symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match=r"symbolic link|Too many levels"):
        post(remote, (1, 1.0))
    assert not (tmp_path / "victim").exists()
