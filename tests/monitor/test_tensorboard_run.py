"""Folders of TensorBoard's event files on the live page: scalars of any writer, as they grow."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter

from making_runs import make_run
from regraft.monitor import event_files
from regraft.monitor.event_files import EventFile, scalar_of
from regraft.monitor.tensorboard_run import TensorBoardRun
from regraft.monitor.watched_runs import WatchedRuns


def log(folder, figures):
    """Write scalars as torch does: {name: [value of step 0, …]}."""
    with SummaryWriter(str(folder)) as writer:
        for name, values in figures.items():
            for step, value in enumerate(values):
                writer.add_scalar(name, value, step)


def whole(run, now=0.0):
    messages = list(run.read(now))
    return messages[-1] if messages else None


def test_training_and_validation_of_keras_are_one_run(tmp_path):
    log(tmp_path / "log" / "train", {"epoch_loss": [1.0, 0.5, 0.25], "epoch_learning_rate": [0.1, 0.1, 0.1]})
    log(tmp_path / "log" / "validation", {"epoch_loss": [1.5, 0.5, 0.75]})
    message = whole(TensorBoardRun(1, tmp_path / "log"))
    assert message["curves"]["x"] == [0, 1, 2]
    assert message["curves"]["series"]["loss"] == [1.0, 0.5, 0.25]
    assert message["curves"]["series"]["val_loss"] == [1.5, 0.5, 0.75]
    status = message["status"]
    assert (status["kind"], status["name"], status["count"]) == ("tensorboard", "log", 3)
    assert status["now"]["epoch"] == 1 and status["now"]["figures"]["val_loss"] == 0.5


def test_what_is_added_is_read_and_nothing_twice(tmp_path):
    writer = SummaryWriter(str(tmp_path))
    writer.add_scalar("loss", 3.0, 0)
    writer.flush()
    run = TensorBoardRun(1, tmp_path)
    assert whole(run)["curves"]["x"] == [0] and whole(run) is None
    writer.add_scalar("loss", 2.0, 7)
    writer.close()
    assert whole(run)["curves"]["series"]["loss"] == [3.0, 2.0]


def test_a_record_is_read_when_it_is_whole_and_behind_a_damaged_one_nothing(tmp_path):
    log(tmp_path, {"loss": [4.0, 3.0, 2.0]})
    (file,) = tmp_path.iterdir()
    data = file.read_bytes()
    file.write_bytes(data[:-10])
    reader = EventFile(file, "")
    assert [value for _, _, value in reader.read_new()] == [4.0, 3.0]
    file.write_bytes(data)
    assert [value for _, _, value in reader.read_new()] == [2.0]
    file.write_bytes(data + struct.pack("<Q", 1 << 60) + bytes(100))
    assert list(reader.read_new()) == [] and list(reader.read_new()) == []


def test_a_large_picture_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(event_files, "_BLOCK", 4096)
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_scalar("loss", 1.0, 0)
        noise = np.random.default_rng(0).integers(0, 256, (3, 64, 64), dtype=np.uint8)
        writer.add_image("photo", noise, 0)
        writer.add_scalar("loss", 0.5, 1)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_size > 3 * 4096
    assert [value for _, _, value in EventFile(file, "").read_new()] == [1.0, 0.5]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ({"float_val": [2.5], "dtype": 1}, 2.5),
        ({"tensor_content": struct.pack("<f", 2.5), "dtype": 1}, 2.5),
        ({"tensor_content": struct.pack("<q", 7), "dtype": 9}, 7.0),
        ({"tensor_content": b"ab", "dtype": 7}, None),
    ],
)
def test_numbers_of_tensorflow_2(field, value):
    assert scalar_of(Summary.Value(tag="loss", tensor=field)) == value


def test_text_and_histograms_are_no_scalars(tmp_path):
    with SummaryWriter(str(tmp_path)) as writer:
        writer.add_text("note", "hello")
        writer.add_histogram("weights", np.arange(10.0), 0)
        writer.add_scalar("loss", 1.0, 0)
    (file,) = tmp_path.iterdir()
    assert [(name, value) for _, name, value in EventFile(file, "").read_new()] == [("loss", 1.0)]


def test_the_page_lists_them_next_to_runs_and_a_run_that_logs_is_one(tmp_path):
    folder = make_run(tmp_path / "a", epochs=1)
    log(folder.path / "train", {"loss": [1.0]})
    log(tmp_path / "b" / "train", {"epoch_loss": [1.0]})
    (tmp_path / "nothing").mkdir()
    runs = WatchedRuns(tmp_path)
    runs.read()
    kinds = {whole["status"]["name"]: whole["status"]["kind"] for whole in runs.snapshot()}
    assert kinds == {"a": "training", "b": "tensorboard"}


def test_an_event_without_figures_is_no_point(tmp_path):
    file = tmp_path / "events.out.tfevents.1.host"
    data = Event(wall_time=5.0, file_version="brain.Event:2").SerializeToString()
    file.write_bytes(struct.pack("<Q", len(data)) + bytes(4) + data + bytes(4))
    message = whole(TensorBoardRun(1, tmp_path))
    assert message["status"]["count"] == 0 and message["status"]["last"] == 5.0


def test_it_has_no_report_and_cannot_be_stopped(tmp_path):
    from starlette.testclient import TestClient

    from regraft.monitor.monitor_app import MonitorState, monitor_app
    from regraft.monitor.remote_runs import RemoteRuns
    from regraft.web.guard import Access

    log(tmp_path / "logs" / "b", {"loss": [1.0]})
    state = MonitorState(WatchedRuns(tmp_path / "logs"), RemoteRuns(tmp_path / "logs"), allow_stop=True)
    state.runs.read()
    before = sorted(tmp_path.rglob("*"))
    with TestClient(monitor_app(state, Access(host="127.0.0.1")), base_url="http://127.0.0.1:9000") as client:
        assert client.get("/runs/1/report").status_code == 404
        assert client.post("/runs/1/stop").status_code == 404
    assert sorted(tmp_path.rglob("*")) == before
