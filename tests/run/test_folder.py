"""The place of a run, and the folders that are refused."""

import json

import pytest

from regraft.errors import RunFolderError
from regraft.run.folder import FORMAT, RunFolder, open_run_folder, write_start
from regraft.run.new_folder import create_run_folder


def test_runs_are_numbered_after_the_highest(tmp_path):
    base = tmp_path / "runs"
    assert create_run_folder(None, tmp_path / "garden", "auto", base).path.name == "garden-auto-001"
    (base / "garden-auto-007").mkdir()
    (base / "garden-auto-x").mkdir()
    assert create_run_folder(None, tmp_path / "garden", "auto", base).path.name == "garden-auto-008"
    assert create_run_folder(None, tmp_path / "garden", "fine-tune", base).path.name == "garden-fine-tune-001"


@pytest.mark.parametrize("name", ["花 园", "a" * 200, "x:y?", "..."])
def test_any_folder_name_gives_a_run_name(tmp_path, name):
    folder = create_run_folder(None, tmp_path / name, "auto", tmp_path / "runs")
    assert folder.path.is_dir()
    assert folder.path.parent == tmp_path / "runs"


def test_an_explicit_place_must_be_free(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(RunFolderError, match="already contains other files"):
        create_run_folder(tmp_path / "full", tmp_path, "auto")
    assert (tmp_path / "full" / "thesis.txt").read_text() == "mine"
    with pytest.raises(RunFolderError, match="is a file"):
        create_run_folder(tmp_path / "full" / "thesis.txt", tmp_path, "auto")
    run = create_run_folder(tmp_path / "deep" / "run", tmp_path, "auto")
    write_start(run, {"recipe": "auto"}, {})
    with pytest.raises(RunFolderError, match="already contains an earlier run"):
        create_run_folder(tmp_path / "deep" / "run", tmp_path, "auto")


def test_reading_what_is_no_finished_run_says_so(tmp_path):
    with pytest.raises(RunFolderError, match="no such run folder"):
        open_run_folder(tmp_path / "nowhere")
    with pytest.raises(RunFolderError, match="is not a run folder"):
        open_run_folder(tmp_path)
    run = RunFolder(tmp_path)
    write_start(run, {}, {})
    with pytest.raises(RunFolderError, match="did not finish"):
        run.read_metrics()
    run.metrics.write_text("{")
    with pytest.raises(RunFolderError, match="cannot be read"):
        run.read_metrics()
    run.metrics.write_text("[]")
    with pytest.raises(RunFolderError, match="no format number"):
        run.read_metrics()
    run.metrics.write_text(json.dumps({"format": FORMAT + 1}))
    with pytest.raises(RunFolderError, match="upgrade"):
        run.read_metrics()


def test_events_are_kept_in_order_and_a_torn_last_line_is_no_event(tmp_path):
    journal = RunFolder(tmp_path).journal
    journal.add("start", photos=3)
    journal.choice("epochs", 4, "fits")
    journal.choice("epochs", 3, "fits")
    with journal.path.open("a") as file:
        file.write('{"event": "ep')
    assert [e["event"] for e in journal.events()] == ["start", "choice", "choice"]
    assert journal.chosen() == {"epochs": 3}


def test_what_a_kill_leaves_of_a_folder_that_was_being_made_is_taken_over(tmp_path):
    (tmp_path / "mine" / "resume").mkdir(parents=True)
    (tmp_path / "mine" / ".part-abc.json").write_text("{")
    assert create_run_folder(tmp_path / "mine", tmp_path / "photos", "auto").path == tmp_path / "mine"


def test_events_with_any_character_in_a_name_are_kept(tmp_path):
    journal = RunFolder(tmp_path).journal
    names = ["a\u2028b", "a\x85b", "a\x0cb", "a\r\nb"]
    for name in names:
        journal.add("photo", name=name)
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write("5\n[]\n" + "[" * 100_000 + "\n")
    assert [event["name"] for event in journal.events()] == names


def test_json_that_is_nested_too_deeply_is_named(tmp_path):
    folder = RunFolder(tmp_path)
    folder.config.write_text("[" * 100_000)
    with pytest.raises(RunFolderError, match=r"config\.json cannot be read"):
        folder.read_config()
