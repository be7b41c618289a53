"""`regraft predict` without torch: prepared runs, exported files, folders that are watched, Ctrl-C."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from cli.conftest import in_shell
from making import make_photos
from regraft.cli import watching
from regraft.errors import ConfigError, PhotosError
from regraft.export.export_folder import export_model
from regraft.inference.prepared import open_prepared

WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; from regraft.cli.main import main; main()"


@pytest.fixture
def new(tmp_path):
    folder = make_photos(tmp_path / "new", {"a": 3, "b": 2})
    (folder / "b" / "damaged.png").write_bytes((folder / "b" / "photo 000.png").read_bytes()[:400])
    return folder


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    return export_model(trained.folder, tmp_path_factory.mktemp("exported") / "onnx").folder


def answers(said):
    return [json.loads(line) for line in said.out.splitlines()]


@pytest.mark.usefixtures("prepares")
def test_a_second_call_needs_no_torch_and_answers_alike(regraft, trained, new, tmp_path):
    first = regraft("predict", trained.folder, new, "--format", "jsonl", "--device", "cpu")
    assert "without torch" in first.err
    assert open_prepared(trained.folder / "model.safetensors") is not None
    command = ["predict", str(trained.folder), str(new), "--device", "cpu", "--format", "jsonl"]
    command += ["--copy-to", str(tmp_path / "sorted"), "--unsure", "0.6", "--top", "2"]
    second = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *command], capture_output=True, encoding="utf-8", check=False, timeout=60
    )
    assert second.returncode == first.code == 3, second.stderr
    for one, other in zip(map(json.loads, second.stdout.splitlines()), answers(first), strict=True):
        assert (one["path"], one["label"], one["error"]) == (other["path"], other["label"], other["error"])
        if one["label"]:
            assert one["probability"] == pytest.approx(other["probability"], abs=1e-4) and len(one["top"]) == 2
            assert one["novelty"] == pytest.approx(other["novelty"], rel=1e-3)
    assert len(list((tmp_path / "sorted").rglob("*.png"))) == 5


@pytest.mark.usefixtures("prepares")
def test_another_engine_than_the_processor_is_not_prepared(regraft, trained, new, monkeypatch):
    from regraft.inference.prepared import PreparedPredictor

    regraft("predict", trained.folder, new, "--device", "cpu")
    monkeypatch.setattr("regraft.inference.prepared._GPU_FILES", (__file__,))
    monkeypatch.setattr(PreparedPredictor, "stream", lambda *_: pytest.fail("it was used"))
    assert regraft("predict", trained.folder, new, "--format", "csv").code == 3


def test_an_exported_folder_predicts(regraft, trained, exported, new):
    expected = answers(regraft("predict", trained.folder, new, "--format", "jsonl"))
    for model in (exported, exported / "model.onnx"):
        said = regraft("predict", model, new, "--format", "jsonl", "--top", 3)
        assert said.code == 3 and len(answers(said)) == 6
        for one, other in zip(answers(said), expected, strict=True):
            assert (one["label"], one["error"]) == (other["label"], other["error"])
            if one["label"]:
                assert one["probability"] == pytest.approx(other["probability"], abs=1e-3)
    table = regraft("predict", exported, new / "a")
    assert table.code == 0 and len(table.out.splitlines()) == 3


def test_an_exported_file_has_its_own_views_and_device(regraft, exported, new):
    assert regraft("predict", exported, new, "--views", 1).code == 3
    assert "it averages 1 views; name the run folder" in regraft("predict", exported, new, "--views", 2).one_message()
    assert "--device cuda does not apply" in regraft("predict", exported, new, "--device", "cuda").one_message()
    (exported / "other.onnx").write_bytes(b"nothing")
    assert "cannot be used" in regraft("predict", exported / "other.onnx", new).one_message()


def test_the_certified_threshold_is_in_the_exported_file(tmp_path, regraft, new):
    from exported_models import tiny_classifier

    classifier = tiny_classifier()
    classifier.facts["reject_below"] = "0.999"
    classifier.save(tmp_path / "model.safetensors")
    folder = export_model(tmp_path / "model.safetensors", tmp_path / "out").folder
    rows = answers(regraft("predict", folder, new / "a", "--format", "jsonl"))
    expected = answers(regraft("predict", tmp_path / "model.safetensors", new / "a", "--format", "jsonl"))
    assert [row["unsure"] for row in rows] == [row["unsure"] for row in expected]
    assert "unsure" in {row["doubt"] for row in rows}


class Arrivals:
    """Steps between two listings of a watched folder; after the last one, Ctrl-C."""

    def __init__(self, *steps):
        self.steps, self.now = list(steps), 0.0

    def wait(self, seconds):
        self.now += max(seconds, 1.0)
        if not self.steps:
            raise KeyboardInterrupt
        self.steps.pop(0)()

    def clock(self):
        return self.now


@pytest.fixture
def arrivals(monkeypatch):
    def patched(*steps):
        steps = Arrivals(*steps)
        original = watching.watched
        monkeypatch.setattr(
            "regraft.cli.predict.watched",
            lambda *arguments: original(*arguments, clock=steps.clock, wait=steps.wait),
        )

    return patched


def test_a_watched_folder_is_classified_as_photos_arrive(regraft, trained, new, tmp_path, arrivals):
    source = new / "a" / "photo 000.png"
    arrivals(
        lambda: None,
        lambda: shutil.copy(source, new / "later.png"),
        lambda: (new / "half.png").write_bytes(source.read_bytes()[:300]),
        lambda: None,
        lambda: (new / "half.png").write_bytes(source.read_bytes()),
        lambda: (new / "later.png").rename(new / "renamed.png"),
        lambda: None,
        *[lambda: None] * 12,
    )
    out = tmp_path / "sorted"
    said = regraft("predict", trained.folder, "--watch", new, "--format", "jsonl", "--copy-to", out)
    assert said.code == 130
    assert "watch" in said.err and "regraft: interrupted\n  8 photos are answered" in said.err
    rows = answers(said)
    names = [row["path"].removeprefix(f"{new}/") for row in rows]
    assert sorted(names[:5]) == sorted(f"{part}/photo 00{k}.png" for part, n in (("a", 3), ("b", 2)) for k in range(n))
    assert names[5:] == ["later.png", "half.png", "b/damaged.png"]
    assert [row["error"] is None for row in rows] == [True] * 7 + [False]
    assert len(list(out.rglob("*.png"))) == 7 and (out / "copies.csv").exists()


def test_watching_refuses_what_needs_all_photos(regraft, trained, new):
    assert "--json needs all photos" in regraft("predict", trained.folder, new, "--watch", "--json").err
    with pytest.raises(ConfigError, match="--review needs all photos"):
        watching.check_watched([str(new)], json=False, review=True)
    with pytest.raises(PhotosError, match="expected a folder in which photos arrive"):
        watching.check_watched([str(new / "a" / "photo 000.png")], json=False, review=False)


def test_ctrl_c_leaves_complete_rows_and_says_how_many(regraft, trained, new, monkeypatch):
    from regraft.cli.output import PredictionJsonLines

    add, printed = PredictionJsonLines.add, []

    def interrupted(self, prediction):
        if len(printed) == 2:
            raise KeyboardInterrupt
        printed.append(prediction)
        add(self, prediction)

    monkeypatch.setattr(PredictionJsonLines, "add", interrupted)
    said = regraft("predict", trained.folder, new, "--format", "jsonl")
    assert said.code == 130 and len(answers(said)) == 2
    assert said.err.endswith("regraft: interrupted\n  2 of 6 photos are answered\n")


@pytest.mark.slow  # two processes
def test_rows_are_written_as_they_come_and_a_closed_pipe_ends_quietly(trained, new):
    watching_process = subprocess.Popen(
        [sys.executable, "-m", "regraft", "predict", str(trained.folder), "--watch", str(new), "--format", "jsonl"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8",
    )  # fmt: skip
    rows = [json.loads(watching_process.stdout.readline()) for _ in range(5)]  # while the process goes on
    watching_process.send_signal(2)
    assert watching_process.wait(timeout=60) == 130 and all(row["label"] for row in rows)
    many = in_shell("predict", trained.folder, *[new] * 1, "--format", "csv", "--quiet")
    assert many.returncode == 3 and many.stderr == ""
