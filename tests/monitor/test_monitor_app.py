"""The answers of a monitor: its stream, posts, reports and stop requests."""

from __future__ import annotations

import json

import pytest

from making_runs import add_epochs, beat, make_run
from monitor.conftest import read_stream, state_of
from regraft.monitor import monitor_app


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(monitor_app, "READ_EVERY", 0.001)


def is_complete(messages):
    return '"complete"' in (messages[-1][1] or "")


def points_in(messages):
    return [point[0] for _, data in messages if data for point in json.loads(data).get("points", [])]


def test_a_new_page_gets_everything_and_a_late_one_what_it_missed(tmp_path):
    run, state = make_run(tmp_path / "runs" / "a", epochs=2), state_of(tmp_path / "runs")
    first = read_stream(state, until=is_complete)
    assert json.loads(first[0][1]) == {"reset": True, "allow_stop": False}
    assert [json.loads(data)["curves"]["x"] for _, data in first if '"curves"' in data] == [[1, 2]]
    last_id = first[-1][0]
    for last in (3, 4):
        add_epochs(run, last, last)
        state.runs.read()
    late = read_stream(state, last_id, until=lambda messages: len(points_in(messages)) == 2)
    assert points_in(late) == [3, 4] and not any('"reset"' in data for _, data in late)
    again = read_stream(state, late[0][0], until=lambda messages: points_in(messages)[-1:] == [4])
    assert points_in(again) == [4]


def test_the_page_of_an_earlier_server_starts_again(tmp_path):
    make_run(tmp_path / "runs" / "a", epochs=2)
    first = read_stream(state_of(tmp_path / "runs"), until=is_complete)
    second = read_stream(state_of(tmp_path / "runs"), first[-1][0], until=is_complete)
    assert '"reset"' in second[0][1] and first[-1][0] != second[-1][0]


def test_a_silent_stream_sends_a_comment(tmp_path, monkeypatch):
    monkeypatch.setattr(monitor_app, "KEEP_ALIVE", 0.002)
    assert read_stream(state_of(tmp_path), until=lambda messages: messages[-1] == (None, None))


def test_the_number_of_pages_is_limited_and_counted(tmp_path, client_of):
    state = state_of(tmp_path)
    read_stream(state, until=is_complete)
    assert state.pages == 0
    state.pages = monitor_app.MAX_PAGES
    assert client_of(state).get("/events").status_code == 429


@pytest.mark.parametrize("path", ["/publish/epoch/end/", "/", "/any/../path/%2e%2e/", "/花"])
def test_a_post_at_any_path_is_kept_before_it_is_answered(tmp_path, client_of, path):
    client = client_of(state_of(tmp_path / "runs"))
    assert client.post(path, data={"data": '{"epoch": 0, "loss": NaN, "accuracy": "0.5"}'}).json() == {"kept": True}
    (folder,) = (tmp_path / "runs").iterdir()
    event = json.loads((folder / "events.jsonl").read_text(encoding="utf-8"))
    assert (event["epoch"], event["loss"], event["accuracy"]) == (0, "NaN", 0.5)
    assert sorted(tmp_path.iterdir()) == [tmp_path / "runs"]


def test_a_sender_may_name_its_run(tmp_path, client_of):
    client = client_of(state_of(tmp_path / "runs"))
    client.post("/?run=one", json={"epoch": 0, "loss": 1})
    client.post("/", json={"epoch": 0, "loss": 1}, headers={"x-run": "two"})
    client.post("/", json={"epoch": 0, "loss": 1, "run": "three"})
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {
        "remote-one-001",
        "remote-two-001",
        "remote-three-001",
    }


def test_a_body_without_figures_is_an_error_that_says_so(tmp_path, client_of):
    answer = client_of(state_of(tmp_path / "runs")).post("/", content=b"hello")
    assert answer.status_code == 400 and "neither JSON nor a form" in answer.text
    assert not (tmp_path / "runs").exists()


def test_a_full_disk_is_an_answer(tmp_path, client_of, monkeypatch):
    state = state_of(tmp_path / "runs")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(state.remote, "keep", full)
    answer = client_of(state).post("/", json={"loss": 1})
    assert (answer.status_code, answer.text) == (507, "not kept: No space left on device\n")


def test_the_report_of_a_run_is_sent_without_rights(tmp_path, client_of):
    run, state = make_run(tmp_path / "runs" / "a"), state_of(tmp_path / "runs")
    state.runs.read()
    client = client_of(state)
    assert client.get("/runs/1/report").status_code == 404
    (run.path / "report.html").write_text("<h1>花", encoding="utf-8")
    answer = client.get("/runs/1/report")
    assert answer.text == "<h1>花" and "allow-same-origin" not in answer.headers["content-security-policy"]
    assert answer.headers["content-security-policy"].startswith("sandbox ")
    (run.path / "report.html").unlink()
    (run.path / "report.html").symlink_to("/etc/passwd")
    for number in ("1", "2", "0", "-1", "x", "1e0", "9" * 30, "..", "1/../1"):
        assert client.get(f"/runs/{number}/report").status_code in (404, 405)


def test_a_run_is_stopped_only_if_that_is_allowed(tmp_path, client_of):
    run, state = make_run(tmp_path / "runs" / "a"), state_of(tmp_path / "runs")
    beat(run)
    state.runs.read()
    client = client_of(state)
    answer = client.post("/runs/1/stop")
    assert answer.status_code == 403 and "--allow-stop" in answer.text
    assert not (run.resume / "stop-request").exists()
    state.allow_stop = True
    assert client.post("/runs/1/stop", headers={"origin": "http://evil"}).status_code == 403
    assert client.post("/runs/1/stop").status_code == 200
    assert (run.resume / "stop-request").exists()
    assert client.post("/runs/2/stop").status_code == 404
