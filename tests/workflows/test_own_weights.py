"""A training that starts from an earlier run (`--weights RUN`): its backbone, its head's rows, and its sides."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

import pytest
import torch

from making import make_photos
from recorded_screen import RecordedScreen
from regraft.context.config import resolve
from regraft.data.manifest import Manifest
from regraft.models.classifier import Classifier
from regraft.models.own_weights import own_weights
from regraft.models.zoo import build_backbone
from regraft.recipes.steps.earlier_head import take_over_head
from regraft.workflows.train import train

FINE_TUNE = {"recipe": "fine-tune", "epochs": 1, "unfreeze": 1, "split": "60/20/20", "views": 1}


@pytest.fixture(scope="module")
def first(tmp_path_factory, tiny):
    """Return a fine-tuned run over three classes."""
    root = tmp_path_factory.mktemp("first")
    photos = make_photos(root / "trees", {"ash": 20, "birch": 20, "cedar": 20})
    return train(photos, out=root / "run", screen=RecordedScreen(), **FINE_TUNE, **tiny)


@pytest.fixture
def more(first, tmp_path):
    """Return a folder of the photos of the first run but one class, with more photos and another class."""
    root = tmp_path / "trees"
    shutil.copytree(first.config.photos, root)
    shutil.rmtree(root / "cedar")
    make_photos(tmp_path / "new", {"ash": 10, "birch": 10, "elm": 20}, seed=5)
    for path in sorted((tmp_path / "new").rglob("*.png")):
        (root / path.parent.name).mkdir(exist_ok=True)
        shutil.move(path, root / path.parent.name / f"new {path.name}")
    return root


def sides_of(run):
    return {entry.content: entry.side for entry in Manifest.read(run.folder / "manifest.csv").usable}


def rows_of(run):
    """Return checksums before and after by block."""
    return {row["block"]: row for row in json.loads((run.folder / "freeze.json").read_text())["blocks"]}


def test_it_continues_from_backbone_head_and_sides(first, more, tmp_path):
    screen = RecordedScreen()
    run = train(more, out=tmp_path / "run", weights=first.folder, screen=screen, **FINE_TUNE)
    assert run.config.backbone == first.config.backbone and run.config.size == 64
    assert run.config.weights == first.folder / "model.safetensors"
    earlier, now = rows_of(first), rows_of(run)
    backbone = [name for name in earlier if name != "head"]
    assert len(backbone) > 2
    assert all(now[name]["before"] == earlier[name]["after"] for name in backbone)
    before, after = sides_of(first), sides_of(run)
    shared = before.keys() & after.keys()
    assert len(shared) == 40 and {name: before[name] for name in shared} == {name: after[name] for name in shared}
    assert "starts from the earlier rows of ash, birch · new: elm · left out: cedar" in screen.texts
    assert "40 photos of that run keep their side; the others are assigned now" in screen.texts
    events = [json.loads(line) for line in (run.folder / "events.jsonl").read_text().splitlines()]
    taken = next(event for event in events if event["event"] == "earlier head")
    assert (taken["kept"], taken["new"], taken["gone"]) == (["ash", "birch"], ["elm"], ["cedar"])


def test_the_rows_are_those_of_the_earlier_head(first):
    backbone = build_backbone(first.config.backbone, weights=first.folder, size=64)
    classifier = Classifier(backbone, ["birch", "elm", "ash"])
    classifier.set_head(torch.ones_like(classifier.head.weight), torch.zeros(3))
    taken = take_over_head(
        SimpleNamespace(config=first.config.model_copy(update={"weights": first.folder})), classifier
    )
    assert taken.kept == ("birch", "ash")
    earlier = Classifier.load(first.folder / "model.safetensors")
    weight, bias = classifier.linear_head()
    for name in taken.kept:
        row, old = classifier.classes.index(name), earlier.classes.index(name)
        assert torch.equal(weight[row], earlier.linear_head()[0][old])
        assert bias[row] == earlier.linear_head()[1][old]
    assert torch.equal(weight[1], torch.ones_like(weight[1]))


def test_feature_extraction_starts_from_the_rows_too(first, more, tmp_path):
    screen = RecordedScreen()
    options = {"recipe": "feature-extraction", "epochs": 1, "split": "60/20/20", "views": 1}
    train(more, out=tmp_path / "run", weights=first.folder, screen=screen, **options)
    assert "starts from the earlier rows of ash, birch · new: elm · left out: cedar" in screen.texts


def test_a_probe_on_a_trained_backbone_is_tested_on_photos_that_it_was_not_trained_on(first, more, tmp_path):
    screen = RecordedScreen()
    run = train(more, out=tmp_path / "run", weights=first.folder, recipe="linear-probe", screen=screen)
    assert run.metrics["headline"] == "final/test"
    trained_on = {content for content, side in sides_of(first).items() if side == "train"}
    tested = {content for content, side in sides_of(run).items() if side == "test"}
    assert tested and not tested & trained_on
    assert "its head is not taken over: the linear probe is solved again on its features" in screen.texts


def test_a_model_file_alone_cannot_tell_its_photos(first, more, tmp_path):
    shutil.copy(first.folder / "model.safetensors", tmp_path / "mine.safetensors")
    assert own_weights(first.folder).run == first.folder
    alone = own_weights(tmp_path / "mine.safetensors")
    assert (alone.run, alone.trained, alone.held_back, alone.classes) == (None, True, False, ("ash", "birch", "cedar"))
    screen = RecordedScreen()
    train(more, out=tmp_path / "run", weights=tmp_path / "mine.safetensors", screen=screen, **FINE_TUNE)
    assert any("may be among the test photos" in text for text in screen.texts)
    assert "its head is not taken over: no photos were held back from it to test the result" in screen.texts


def test_other_weights_are_left_alone(tiny):
    config = resolve(None, photos="photos", weights=tiny["weights"], backbone=tiny["backbone"])
    assert config.weights == tiny["weights"] and config.size is None
