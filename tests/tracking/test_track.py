"""`Track`: what it tells a tracker, and that a tracker that fails stops no training."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from making import make_photos
from recorded_screen import RecordedScreen
from regraft.errors import ConfigError
from regraft.tracking import TRACKERS, Track, trackers
from regraft.workflows.steps.tracked_run import final_figures
from regraft.workflows.train import train
from tiny_network import tiny  # noqa: F401


class Recording:
    """A run that records its calls; it fails at the call that ``fails`` names."""

    runs: list[Recording] = []
    fails = ""

    def __init__(self, name, params, continued):
        self.id, self.name, self.params, self.continued = continued or f"id {len(self.runs)}", name, params, continued
        self.logs, self.summary, self.files, self.complete = [], None, [], None
        self._check("start")
        self.runs.append(self)

    def _check(self, call):
        if call == self.fails:
            raise RuntimeError(f"the server\nrefused to {call}")

    def log(self, figures, step):
        self._check("log")
        self.logs.append((step, dict(figures)))

    def finish(self, summary, files, *, complete):
        self._check("finish")
        self.summary, self.files, self.complete = dict(summary), list(files), complete


@pytest.fixture
def recording(monkeypatch):
    monkeypatch.setattr(Recording, "runs", [])
    monkeypatch.setattr(Recording, "fails", "")
    monkeypatch.setitem(TRACKERS, "mlflow", Recording)
    monkeypatch.setattr("regraft.tracking.track.check_installed", lambda tracker: None)
    return Recording


def two_fits(callback):
    for epochs in (2, 1):
        callback.on_train_begin()
        for epoch in range(epochs):
            callback.on_epoch_end(epoch, {"loss": 0.5, "val_loss": float("nan"), "text": "x"})
        callback.on_train_end()


def test_a_training_is_a_run(recording):
    two_fits(Track("mlflow", name="first", params={"rate": 0.1, "layers": (1, 2)}))
    first, second = recording.runs
    assert (first.name, first.params) == ("first", {"rate": 0.1, "layers": "(1, 2)"})
    assert first.logs == [(0, {"loss": 0.5}), (1, {"loss": 0.5})]
    assert second.logs == [(2, {"loss": 0.5})]
    assert first.complete


def test_a_run_that_was_started_goes_through_all_trainings(recording):
    callback = Track("mlflow")
    callback.start("run", {})
    two_fits(callback)
    callback.finish({"final_accuracy": 0.9})
    (run,) = recording.runs
    assert [step for step, _ in run.logs] == [0, 1, 2]
    assert run.summary == {"final_accuracy": 0.9}


def test_a_training_that_fails_ends_its_run_as_incomplete(recording):
    callback = Track("mlflow")
    callback.on_train_begin()
    callback.on_epoch_end(0, {"loss": 0.5})
    callback.close()  # after an exception, in place of on_train_end
    callback.on_train_begin()
    callback.on_train_end()
    callback.close()
    assert [run.complete for run in recording.runs] == [False, True]


def test_a_run_that_was_started_stays_open_between_trainings(recording):
    callback = Track("mlflow")
    callback.start("run", {})
    two_fits(callback)
    callback.close()
    assert [run.complete for run in recording.runs] == [None]


@pytest.mark.parametrize("call", ["start", "log", "finish"])
def test_a_failing_tracker_is_one_warning(recording, call):
    recording.fails = call
    callback, screen = Track("mlflow"), RecordedScreen()
    callback.start("run", {}, screen=screen)
    two_fits(callback)
    callback.finish({})
    assert len(screen.texts) == 1
    assert f"mlflow failed: the server refused to {call}; training continues" in screen.texts[0]


def test_an_unknown_tracker_is_named():
    with pytest.raises(
        ConfigError, match=r"track: expected mlflow, wandb, trackio, aim, found 'mlflw'; did you mean 'mlflow'"
    ):
        Track("mlflw")


def test_a_missing_package_names_the_command(monkeypatch):
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="track: wandb needs an optional package: pip install wandb"):
        Track("wandb")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return make_photos(tmp_path_factory.mktemp("tracking") / "photos", {"ant": 12, "bee": 12})


def go(photos, out, tiny, screen=None, **options):  # noqa: F811
    options = {"recipe": "feature-extraction", "epochs": 2, "track": "mlflow"} | options
    return train(photos, out=out, screen=screen or RecordedScreen(), workers=0, **tiny, **options)


def test_a_run_of_regraft_is_recorded(recording, photos, tiny, tmp_path):  # noqa: F811
    run = go(photos, tmp_path / "run", tiny)
    (tracked,) = recording.runs
    assert (tracked.name, tracked.complete) == ("run", True)
    assert tracked.params["recipe"] == "feature-extraction"
    assert "labels" not in tracked.params
    assert [step for step, _ in tracked.logs] == [0, 1]
    assert {"loss", "accuracy", "val_loss"} <= set(tracked.logs[0][1])
    assert tracked.summary == final_figures(run.metrics)
    figure = run.metrics["measured"][run.metrics["headline"]]["figures"]["accuracy"]
    assert tracked.summary["final_accuracy_low"] == figure["interval"][0]
    assert [file.name for file in tracked.files] == ["model.safetensors", "metrics.json"]
    assert json.loads((run.folder / "tracking.json").read_text()) == {"tracker": "mlflow", "run": "id 0"}


@pytest.mark.slow
def test_tracking_changes_no_weight(recording, photos, tiny, tmp_path):  # noqa: F811
    tracked, plain = go(photos, tmp_path / "a", tiny), go(photos, tmp_path / "b", tiny, track=None)
    assert (tracked.folder / "model.safetensors").read_bytes() == (plain.folder / "model.safetensors").read_bytes()


def test_a_linear_probe_has_final_figures(recording, photos, tiny, tmp_path):  # noqa: F811
    screen = RecordedScreen()
    go(photos, tmp_path / "run", tiny, screen, recipe="linear-probe", epochs=None)
    (tracked,) = recording.runs
    assert tracked.logs == []
    assert tracked.summary["final_photos"] == 24
    assert not any("not called" in text for text in screen.texts)


@pytest.mark.slow
def test_a_run_that_was_interrupted_is_continued_in_the_tracker(recording, photos, tiny, tmp_path):  # noqa: F811
    class StopOnce:
        stopped = False

    log = Recording.log

    def stop(self, figures, step):
        log(self, figures, step)
        if not StopOnce.stopped:
            StopOnce.stopped = True
            raise KeyboardInterrupt

    recording.log = stop
    try:
        with pytest.raises(KeyboardInterrupt):
            go(photos, tmp_path / "run", tiny, epochs=3)
        go(photos, tmp_path / "run", tiny, epochs=3)
    finally:
        recording.log = log
    first, second = recording.runs
    assert (first.complete, second.complete) == (False, True)
    assert second.continued == first.id


@pytest.mark.slow
def test_a_tracker_that_fails_leaves_the_run_complete(recording, photos, tiny, tmp_path):  # noqa: F811
    recording.fails = "start"
    screen = RecordedScreen()
    run = go(photos, tmp_path / "run", tiny, screen)
    assert run.metrics["headline"]
    assert sum("mlflow failed" in text for text in screen.texts) == 1
    assert not (run.folder / "tracking.json").exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", TRACKERS)
def test_the_library_records_a_run_offline(name, photos, tiny, tmp_path, monkeypatch):  # noqa: F811
    pytest.importorskip(name, reason=f"{name} is not installed, or not completely", exc_type=ImportError)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # mlflow-skinny has no other
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    screen = RecordedScreen()
    run = go(photos, tmp_path / "runs" / name, tiny, screen, track=name)
    assert not any("failed" in text for text in screen.texts), screen.texts
    record = json.loads((run.folder / "tracking.json").read_text())
    CHECK[name](record["run"], final_figures(run.metrics), tmp_path)


def check_mlflow(run, final, folder):
    import mlflow

    stored = mlflow.get_run(run)
    assert stored.data.params["recipe"] == "feature-extraction"
    assert {name: stored.data.metrics[name] for name in final} == pytest.approx(final)
    history = mlflow.MlflowClient().get_metric_history(run, "loss")
    assert [metric.step for metric in history] == [0, 1]
    assert {file.path for file in mlflow.MlflowClient().list_artifacts(run)} == {"model.safetensors", "metrics.json"}


def check_wandb(run, final, folder):
    (path,) = folder.glob(f"wandb/offline-run-*-{run}")
    assert list(path.glob("*.wandb"))


def check_trackio(run, final, folder):
    from trackio.sqlite_storage import SQLiteStorage

    assert run in SQLiteStorage.get_runs("regraft")


def check_aim(run, final, folder):
    import aim
    from aim.sdk.index_manager import RepoIndexManager

    repository = aim.Repo(str(folder))
    RepoIndexManager.get_index_manager(repository).index(run)  # as `aim up` does with every run
    assert [stored.hash for stored in repository.iter_runs()] == [run]
    stored = aim.Run(run, repo=repository, read_only=True)
    assert (stored.name, stored.experiment) == ("aim", "regraft")
    assert stored["hparams"]["recipe"] == "feature-extraction"
    assert stored["final"] == pytest.approx(final)
    assert [Path(file).name for file in stored["files"]] == ["model.safetensors", "metrics.json"]
    epochs = {metric.name: sorted(metric.epochs.sparse_list()[1]) for metric in stored.metrics() if metric.epochs}
    assert epochs["loss"] == epochs["val_loss"] == [0, 1]


CHECK = {"mlflow": check_mlflow, "wandb": check_wandb, "trackio": check_trackio, "aim": check_aim}


@pytest.mark.slow
def test_the_code_of_the_page_runs(recording, tmp_path, monkeypatch):
    text = (Path(__file__).resolve().parents[2] / "docs" / "trackers.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    make_photos(tmp_path / "photos", {"ant": 8, "bee": 8})
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "docs/trackers.md", "exec"), {})
    (run,) = recording.runs
    assert (run.name, run.params) == ("head", {"learning_rate": 1e-3})
    assert [step for step, _ in run.logs] == [0, 1]
    assert "val_accuracy" in run.logs[0][1]
