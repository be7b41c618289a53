"""An interrupted run goes on by the same command; what is another run is refused, with all that differs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from every_rung_gains import every_rung_gains
from making import make_photos
from regraft.callbacks import Callback
from regraft.errors import RunFolderError, StorageError
from regraft.screen import QuietScreen
from regraft.workflows.train import resume, train

REPOSITORY = Path(__file__).resolve().parents[2]


class Killed(BaseException):
    """Ends a training at once, as a kill would, without its files being tidied up."""


class KillAt(Callback):
    batch: int | None = None

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if batch == type(self).batch:
            raise Killed


class Screen(QuietScreen):
    def __init__(self) -> None:
        self.said: list[str] = []

    def line(self, label: str, text: str, note: str = "", *, strong: bool = False) -> None:
        self.said.append(f"{label} {text} {note}")

    def warn(self, text: str) -> None:
        self.said.append(f"! {text}")


OPTIONS = {
    "recipe": "fine-tune",
    "epochs": 2,
    "batch_size": 4,
    "snapshot_every": "0.001s",
    "callback": ["kill_at:KillAt"],
}


@pytest.fixture
def options(tiny: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(KillAt, "batch", None)
    monkeypatch.setitem(sys.modules, "kill_at", sys.modules[__name__])
    return {**tiny, **OPTIONS}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two classes with 16 photos each, which no test changes."""
    return make_photos(tmp_path_factory.mktemp("photos") / "photos", {"ant": 16, "bee": 16})


@pytest.fixture(scope="module")
def runs(photos: Path, tiny: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same run twice: ``whole``, and ``killed`` in its first epoch. No test changes them."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "kill_at", sys.modules[__name__])
        train(photos, screen=Screen(), out=folder / "whole", **tiny, **OPTIONS)
        killed(photos, {**tiny, **OPTIONS, "out": folder / "killed"})
    return folder


@pytest.fixture
def whole(runs: Path) -> dict[str, Any]:
    """The files of the run that nothing interrupted."""
    return bytes_of(runs / "whole")


@pytest.fixture
def mine(runs: Path, options: dict[str, Any]) -> Path:
    """A copy of the killed run in the folder ``mine``."""
    return Path(shutil.copytree(runs / "killed", "mine"))


def killed(photos: Path, options: dict[str, Any], batch: int = 3, screen: Screen | None = None) -> None:
    """Train up to ``batch`` of the first epoch."""
    KillAt.batch = batch
    with pytest.raises(Killed):
        train(photos, screen=screen or Screen(), **options)
    KillAt.batch = None


def bytes_of(folder: Path) -> dict[str, Any]:
    metrics = json.loads((folder / "metrics.json").read_text())
    return {
        "model": (folder / "model.safetensors").read_bytes(),
        "history": (folder / "history.csv").read_bytes(),
        "predictions": (folder / "predictions.csv").read_bytes(),
        "metrics": metrics,
    }


def test_the_same_command_goes_on_and_ends_with_the_same_weights(
    photos: Path, options: dict[str, Any], whole: dict[str, Any]
) -> None:
    killed(photos, options)
    folder = Path("runs/photos-fine-tune-001")
    assert not (folder / "metrics.json").exists()
    screen = Screen()
    run = train(photos, screen=screen, **options)
    assert run.folder == folder
    assert any("continuing " in line for line in screen.said)
    assert bytes_of(run.folder) == whole
    assert not (folder / "resume").exists()
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    assert [e["epoch"] for e in events if e["event"] == "epoch"] == [1, 2]
    assert [e["event"] for e in events].count("resume") == 1
    assert next(e for e in events if e["event"] == "resume")["after_seconds"] >= 0
    assert train(photos, screen=Screen(), **options).folder == folder  # a finished one is not trained again
    assert bytes_of(run.folder) == whole


@pytest.mark.slow
def test_a_training_from_the_cut_point_goes_on_inside_its_epoch(photos: Path, options: dict[str, Any]) -> None:
    options |= {"unfreeze": 1, "views": 2}
    whole = train(photos, screen=Screen(), out="whole", **options)
    killed(photos, options)
    run = train(photos, screen=Screen(), **options)
    assert run.metrics["training"]["cut_point"] is not None
    assert bytes_of(run.folder) == bytes_of(whole.folder)


@pytest.mark.slow
def test_a_climb_that_is_killed_on_its_second_rung_goes_on_there(
    photos: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from regraft.recipes import auto

    every_rung_gains(monkeypatch)
    options |= {"recipe": "auto", "epochs": 2, "split": "60/20/20"}
    whole = train(photos, screen=Screen(), out="whole", **options)
    rung = auto.fine_tune

    def second(sized: Any, plan: Any, *more: Any, **named: Any) -> Any:
        KillAt.batch = 3 if plan.unfreeze == "all" else None
        return rung(sized, plan, *more, **named)

    monkeypatch.setattr(auto, "fine_tune", second)
    with pytest.raises(Killed):
        train(photos, screen=Screen(), **options)
    KillAt.batch = None
    monkeypatch.setattr(auto, "fine_tune", rung)
    screen = Screen()
    run = train(photos, screen=screen, **options)
    assert any("continuing " in line for line in screen.said)
    assert run.metrics["training"]["trained"] == "all blocks"
    assert bytes_of(run.folder) == bytes_of(whole.folder)
    events = [json.loads(line) for line in (run.folder / "events.jsonl").read_text().splitlines()]
    assert [(e["stage"], e["epoch"]) for e in events if e["event"] == "epoch"] == [
        (stage, epoch) for stage in ("upper 2 blocks", "all blocks") for epoch in (1, 2)
    ]


def test_half_written_files_of_a_killed_process_are_gone_at_the_end(mine: Path) -> None:
    for place in (mine, mine / "resume", mine / "tensorboard" / "projector"):
        place.mkdir(parents=True, exist_ok=True)
        (place / ".part-wd8pmhw3.tsv").write_text("half a")
    resume(mine, screen=Screen())
    assert not list(mine.rglob(".part-*"))


def test_resume_takes_the_folder(mine: Path, whole: dict[str, Any]) -> None:
    run = resume("mine", screen=Screen())
    assert bytes_of(run.folder) == whole
    screen = Screen()
    assert resume("mine", screen=screen).metrics == run.metrics
    assert any("has this result already" in line for line in screen.said)
    with pytest.raises(RunFolderError, match="no such run folder"):
        resume("nowhere")


def test_an_explicit_place(photos: Path, options: dict[str, Any], mine: Path) -> None:
    options |= {"out": "mine"}
    with pytest.raises(RunFolderError, match=r"(?s)2 prob.*--epochs: 2 then, 3 now.*--seed: 0 then, 5 now.*--fresh"):
        train(photos, screen=Screen(), **{**options, "epochs": 3, "seed": 5})
    killed(photos, options | {"fresh": True}, batch=0)
    assert Path("mine-002/events.jsonl").exists()
    run = train(photos, screen=Screen(), **options)
    before = bytes_of(run.folder)
    again = train(photos, screen=Screen(), **options)  # it is finished: nothing is done again
    assert bytes_of(again.folder) == before


def test_other_photos_are_named(photos: Path, options: dict[str, Any], tmp_path: Path) -> None:
    photos = Path(shutil.copytree(photos, tmp_path / "photos"))
    killed(photos, options | {"out": "mine"})
    killed(photos, options, batch=0)
    ant = sorted((photos / "ant").iterdir())
    ant[0].unlink()
    shutil.copy(ant[1], photos / "bee" / "new.png")
    ant[2].write_bytes(ant[2].read_bytes() + b"\0")
    for attempt in (lambda: resume("mine"), lambda: train(photos, screen=Screen(), out="mine", **options)):
        with pytest.raises(RunFolderError) as error:
            attempt()
        assert "1 photos are new: bee/new.png" in str(error.value)
        assert f"1 photos are gone: ant/{ant[0].name}" in str(error.value)
        assert f"1 photos have changed: ant/{ant[2].name}" in str(error.value)
    screen = Screen()
    killed(photos, options, batch=0, screen=screen)
    assert Path("runs/photos-fine-tune-002/events.jsonl").exists()
    assert any("not resuming runs/photos-fine-tune-001" in line for line in screen.said)


def test_another_version_is_refused(mine: Path) -> None:
    identity = mine / "resume" / "identity.json"
    identity.write_text(json.dumps({**json.loads(identity.read_text()), "version": 99, "weights": "0"}))
    with pytest.raises(RunFolderError, match=r"(?s)state version 99.*backbone weights have changed"):
        resume("mine")


def test_damage_to_both_snapshots_is_said(photos: Path, options: dict[str, Any], mine: Path) -> None:
    from regraft.errors import ModelFileError

    snapshots = list((mine / "resume" / "fine-tune").glob("*.safetensors"))
    assert len(snapshots) == 2
    for path in snapshots:
        path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ModelFileError, match=r"(?s)no snapshot is intact.*--fresh"):
        train(photos, screen=Screen(), **options | {"out": "mine"})
    killed(photos, options | {"out": "mine", "fresh": True}, batch=0)
    assert Path("mine-002/events.jsonl").exists()


@pytest.mark.slow
def test_choices_are_replayed(photos: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    every_rung_gains(monkeypatch)
    options |= {"recipe": "auto", "budget": "1h", "out": "mine"}
    killed(photos, options)
    config = json.loads(Path("mine/config.json").read_text())
    config["choices"]["seconds per photo, fine-tune upper 2 blocks"] = 0.125  # whatever this process would measure
    what = '"what": "seconds per photo, fine-tune upper 2 blocks"'
    lines = Path("mine/events.jsonl").read_text().replace(what, f'{what}, "old": 1')
    Path("mine/events.jsonl").write_text(lines)
    run = train(photos, screen=Screen(), **options)
    events = [json.loads(line) for line in (run.folder / "events.jsonl").read_text().splitlines()]
    made = [e for e in events if e["event"] == "choice" and f'"what": "{e["what"]}"' == what]
    assert len(made) == 1 and made[0]["old"] == 1


def test_the_result_is_rescued(
    photos: Path, tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from regraft.inference.predictor import Predictor
    from regraft.workflows.steps import results

    save = results.save_classifier

    def full(path: Any, *more: Any) -> Any:
        if "elsewhere" in str(path):
            return save(path, *more)
        raise OSError(28, "No space left on device")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(results, "save_classifier", full)
    with pytest.raises(StorageError, match="No space left on device") as error:
        train(photos, screen=Screen(), rescue_dir="elsewhere", **tiny, recipe="linear-probe")
    found = list(Path("elsewhere").rglob("model.safetensors"))
    assert len(found) == 1 and str(found[0]) in str(error.value)
    assert Predictor.load(found[0]).classes == ("ant", "bee")


def test_too_little_room_is_said_before_training(
    photos: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(RunFolderError, match="the disk has 0 MB left, and this run needs about"):
        train(photos, screen=Screen(), **options)


def command(photos: Path, tiny: dict[str, Any], *more: str) -> list[str]:
    given = [word for name, value in tiny.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    return [sys.executable, "-m", "regraft", "train", str(photos), "-o", "mine", "--recipe", "fine-tune", *given, *more]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals as Unix has them")
def test_the_clock_and_a_signal_stop_it_and_say_how_to_go_on(
    photos: Path, tiny: dict[str, Any], tmp_path: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
    long = command(photos, tiny, "--epochs", "5000", "--batch-size", "4")
    where = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True, "timeout": 120}
    clock = subprocess.run([*long, "--stop-after", "9s"], check=False, **where)
    assert clock.returncode == 124, clock.stderr
    assert "progress is saved; continue with: regraft resume mine" in clock.stderr
    begun = subprocess.Popen(long, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    assert begun.stderr is not None
    try:
        for _ in range(600):
            events = (tmp_path / "mine" / "events.jsonl").read_text()
            if '"resume"' in events and '"epoch"' in events.split('"resume"')[-1]:
                break
            try:
                begun.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
        begun.send_signal(signal.SIGTERM)
        said = begun.communicate(timeout=60)[1]
    finally:
        begun.kill()
    assert begun.returncode == 143, said
    assert "continue with: regraft resume mine" in said
