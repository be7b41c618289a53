"""Run folders, model files and interrupted trainings of earlier versions: see README.md here."""

from __future__ import annotations

import csv
import importlib.util
import json
import shutil
import tarfile
from pathlib import Path

import pytest
import safetensors.torch
import torch

import regraft as rg
from regraft.screen import QuietScreen
from regraft.workflows.evaluate import evaluate_run

HERE = Path(__file__).resolve().parent
ARCHIVES = sorted(HERE.glob("*.tar.xz"))
MADE_IN = "/tmp/old-runs"
RECIPES = ("linear-probe", "feature-extraction", "fine-tune", "auto")
FILES = ("checkpoint.safetensors", "classifier.safetensors", "classifier.weights.h5")
MODELS = (*RECIPES, *(f"files/{name}" for name in FILES))
CLOSE = 2e-4  # processors add up in different orders


@pytest.fixture(scope="module")
def made():
    """The functions that made the archives."""
    specification = importlib.util.spec_from_file_location("make_old_runs", HERE / "make.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def unpack(archive, folder):
    """Unpack an archive as if its runs had been made in ``folder``."""
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    configs = sorted(folder.glob("*/config.json"))
    assert len(configs) == len(RECIPES) + 1
    for config in configs:
        config.write_text(config.read_text().replace(MADE_IN, folder.as_posix()))
    return folder


@pytest.fixture(scope="module", params=ARCHIVES, ids=lambda path: path.name)
def old(request, tmp_path_factory):
    """The unpacked archive, which tests only read."""
    return unpack(request.param, tmp_path_factory.mktemp("old"))


@pytest.fixture(params=ARCHIVES, ids=lambda path: path.name)
def fresh(request, tmp_path):
    """The unpacked archive, for a test that changes it."""
    return unpack(request.param, tmp_path)


class Count(rg.callbacks.Callback):
    """Counts the batches that are trained on."""

    batches = 0

    def on_train_batch_begin(self, batch, logs=None):
        self.batches += 1


def state(path):
    return safetensors.torch.load_file(path / "model.safetensors")


def assert_close(a, b):
    assert a.keys() == b.keys()
    for name, value in a.items():
        torch.testing.assert_close(value, b[name], rtol=1e-3, atol=1e-4)


def test_the_archives_are_there_and_small():
    assert ARCHIVES
    assert sum(path.stat().st_size for path in ARCHIVES) < 1_000_000


@pytest.mark.parametrize("model", MODELS)
def test_models_predict_what_they_predicted(model, old):
    record = json.loads((old / "predictions.json").read_text())
    assert set(record["models"]) == set(MODELS)
    predictions = rg.Predictor.load(old / model).predict([old / photo for photo in record["photos"]])
    assert len(predictions) == 3
    for prediction, probabilities in zip(predictions, record["models"][model], strict=True):
        assert dict(prediction.top) == pytest.approx(probabilities, abs=CLOSE)


@pytest.mark.parametrize("name", ["checkpoint.safetensors", "classifier.weights.h5"])
def test_a_trainer_reads_weights_of_a_classifier(name, old):
    trained = rg.Classifier.load(old / "files" / name)
    backbone = rg.build_backbone(trained.backbone.spec.name, weights=old / "weights.safetensors", size=64)
    classifier = rg.Classifier(backbone, trained.classes)
    trainer = rg.Trainer(classifier, "adam", "cross_entropy", learning_rate=0.01)
    trainer.load_weights(old / "files" / name)
    assert torch.equal(classifier.head.weight, trained.head.weight)
    assert classifier.head.weight.abs().sum() > 0


@pytest.mark.parametrize("recipe", RECIPES)
def test_finished_runs_are_read_and_evaluated(recipe, old):
    metrics = json.loads((old / recipe / "metrics.json").read_text())
    sides = {row["split"] for row in csv.DictReader((old / recipe / "manifest.csv").open(newline=""))}
    measured = {side: evaluate_run(old / recipe, side, rg.Predictor.load(old / recipe)) for side in sides}
    assert sum(report["n"] for report in measured.values()) == 32
    recorded = {side: metrics["measured"].get(f"final/{side}") for side in sides}
    assert any(recorded.values()) == (metrics["headline"] == "final/test")
    for side, then in recorded.items():
        if then:
            assert measured[side]["figures"]["accuracy"] == then["figures"]["accuracy"]
    assert rg.resume(old / recipe, screen=QuietScreen()).metrics == metrics


def without_novelty(tensors):
    """Return ``tensors`` without the novelty of photos, which earlier versions did not measure."""
    novelty = {name for name in tensors if "novelty." in name}
    assert len(novelty) % 3 == 0
    return {name: value for name, value in tensors.items() if name not in novelty}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_run_is_repeated_from_its_configuration(recipe, fresh):
    again = rg.train(None, config=fresh / recipe / "config.json", out=fresh / "again", screen=QuietScreen())
    assert again.metrics["chosen"] == json.loads((fresh / recipe / "metrics.json").read_text())["chosen"]
    now = without_novelty(state(again.folder))
    bounds = {name: now.pop(name) for name in ("head.lower", "head.upper") if name in now}
    assert len(bounds) == (2 if again.metrics["chosen"] == "linear-probe" else 0)  # earlier probes clip no feature
    assert_close(now, state(fresh / recipe))


def test_an_interrupted_run_is_resumed_inside_its_epoch(fresh):
    run = rg.resume(fresh / "interrupted", screen=QuietScreen())
    events = [json.loads(line) for line in (run.folder / "events.jsonl").read_text().splitlines()]
    names = [event["event"] for event in events]
    assert names.count("resume") == 1
    assert [event["epoch"] for event in events if event["event"] == "epoch"] == [1, 2]
    assert names.index("epoch") < names.index("resume")
    assert_close(without_novelty(state(run.folder)), state(fresh / "fine-tune"))


def test_a_run_of_a_version_that_cannot_be_resumed_is_refused_with_that_version(fresh):
    identity = fresh / "interrupted" / "resume" / "identity.json"
    identity.write_text(json.dumps(json.loads(identity.read_text()) | {"version": 1}))
    before = {path: path.read_bytes() for path in fresh.glob("interrupted/**/*") if path.is_file()}
    with pytest.raises(rg.RunFolderError, match=r"another version of regraft .*version 1\b"):
        rg.resume(fresh / "interrupted", screen=QuietScreen())
    assert {path: path.read_bytes() for path in before if path.name != "lock"} == {
        path: content for path, content in before.items() if path.name != "lock"
    }


def test_a_backup_of_a_training_is_restored(fresh, made, monkeypatch):
    monkeypatch.chdir(fresh)
    count = Count()
    history = made.fit(made.trainer_of(), rg.callbacks.BackupAndRestore("backup", save_freq=2), count)
    compare_histories(history, json.loads(Path("history.json").read_text()))
    assert 0 < count.batches <= 2 * 6  # of four epochs
    assert not list(Path("backup").glob("*.safetensors"))


@pytest.mark.parametrize("damaged", [None, "a.safetensors", "b.safetensors"])
def test_snapshots_of_a_training_are_restored(damaged, fresh, made, monkeypatch):
    monkeypatch.chdir(fresh)
    if damaged:
        path = Path("snapshots", damaged)
        path.write_bytes(path.read_bytes()[:-100])
    count = Count()
    history = made.fit(made.trainer_of(), count, resume="snapshots")
    compare_histories(history, json.loads(Path("history.json").read_text()))
    assert 0 < count.batches <= 2 * 6


def compare_histories(now, then):
    assert now.keys() == then.keys()
    for name, values in then.items():
        assert now[name] == pytest.approx(values, rel=1e-3, abs=1e-4), name
    assert len(then["loss"]) == 4


def test_an_uninterrupted_training_has_the_recorded_history(fresh, made):
    """Without this, the two tests above could pass by chance."""
    shutil.rmtree(fresh / "backup")
    compare_histories(made.fit(made.trainer_of()), json.loads((fresh / "history.json").read_text()))
