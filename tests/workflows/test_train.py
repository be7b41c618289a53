"""From a folder of photos to a run folder, with every recipe."""

from __future__ import annotations

import hashlib
import json
import shutil
from functools import cache

import numpy as np
import pytest
import safetensors.numpy

from making import make_photos
from regraft.data.manifest import Manifest
from regraft.inference.predictor import Predictor
from regraft.screen import QuietScreen
from regraft.workflows.evaluate import evaluate_folder, evaluate_run
from regraft.workflows.train import train

RECIPES = ("linear-probe", "feature-extraction", "fine-tune", "auto")
FILES = ("config.json", "environment.json", "events.jsonl", "freeze.json", "manifest.csv", "model.safetensors")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return make_photos(tmp_path_factory.mktemp("photos"), {"ash": 60, "birch": 60, "cedar": 60})


def go(photos, out, **options):
    return train(photos, out=out, screen=QuietScreen(), **options)


@pytest.fixture(scope="module")
def one_epoch(photos, tiny, tmp_path_factory):
    """Return a function that returns the run of a recipe with one epoch; each happens once for all tests."""

    @cache
    def run(recipe):
        return go(photos, tmp_path_factory.mktemp(recipe) / "run", recipe=recipe, epochs=1, workers=0, **tiny)

    return run


def weights(run) -> str:
    tensors = safetensors.numpy.load_file(run.folder / "model.safetensors")
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_ends_in_a_complete_run_folder(one_epoch, recipe):
    run = one_epoch(recipe)
    for name in (*FILES, "predictions.csv", "metrics.json"):
        assert (run.folder / name).stat().st_size > 0, name
    metrics = json.loads((run.folder / "metrics.json").read_text())
    assert metrics == run.metrics
    headline = metrics["measured"][metrics["headline"]]
    assert headline["used_for_choosing"] is False
    assert headline["figures"]["accuracy"]["n"] == headline["n"]
    assert "linear-probe/out-of-fold" in metrics["measured"]
    assert run.accuracy > 0.5  # three classes of stripes; chance is a third
    rows = (run.folder / "predictions.csv").read_text().splitlines()
    assert len(rows) == 1 + headline["n"]


def test_a_gradient_recipe_reports_the_probe_on_the_same_photos(one_epoch):
    run = one_epoch("fine-tune")
    ours, probe = run.metrics["measured"]["final/test"], run.metrics["measured"]["linear-probe/test"]
    assert (
        ours["n"]
        == probe["n"]
        == len([e for e in Manifest.read(run.folder / "manifest.csv").usable if e.side == "test"])
    )
    assert (run.folder / "history.csv").read_text().startswith("stage,epoch,")


@pytest.mark.parametrize("recipe", ["linear-probe", "fine-tune"])
def test_evaluate_gives_the_figures_of_the_run(photos, tiny, tmp_path, recipe):
    given = tmp_path / "given"
    for i, folder in enumerate(sorted(photos.iterdir())):
        for j, photo in enumerate(sorted(folder.iterdir())):
            side = "train" if j < 40 else "val"
            (given / side / folder.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(photo, given / side / folder.name / f"{i} {photo.name}")
    run = go(given, tmp_path / "run", recipe=recipe, epochs=1, **tiny)
    again = evaluate_run(run.folder, "validation", Predictor.load(run.folder))
    assert again["figures"] == run.metrics["measured"]["final/validation"]["figures"]
    copied = shutil.copy(run.folder / "model.safetensors", tmp_path / "elsewhere.safetensors")
    assert evaluate_folder(Predictor.load(copied), given / "val")["figures"] == again["figures"]


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_same_command_gives_the_same_weights_whatever_the_order_and_the_workers(
    one_epoch, photos, tiny, tmp_path, recipe
):
    first = one_epoch(recipe)
    other = tmp_path / "renamed"
    for folder in sorted(photos.iterdir(), reverse=True):
        (other / folder.name).mkdir(parents=True)
        for photo in sorted(folder.iterdir(), reverse=True):
            shutil.copy(photo, other / folder.name / photo.name)
    second = go(other, tmp_path / "second", recipe=recipe, epochs=1, workers=3, **tiny)
    assert weights(first) == weights(second)
    assert first.metrics == second.metrics


@pytest.mark.slow
def test_another_seed_gives_other_weights(one_epoch, photos, tiny, tmp_path):
    another = go(photos, tmp_path / "run", recipe="fine-tune", epochs=1, seed=1, **tiny)
    assert weights(another) != weights(one_epoch("fine-tune"))


@pytest.mark.parametrize(
    "counts",
    [
        {"a": 5, "b": 5},
        pytest.param({f"c{i}": 3 for i in range(30)}, marks=pytest.mark.slow),
        {"many": 300, "few": 5},
    ],
)
def test_small_and_lopsided_folders_train(tiny, tmp_path, counts):
    photos = make_photos(tmp_path / "photos", counts, size=32)
    run = go(photos, tmp_path / "run", recipe="auto", **tiny)
    figures = run.metrics["measured"][run.metrics["headline"]]["figures"]
    low, high = figures["accuracy"]["interval"]
    assert 0 <= low < high <= 1
    assert figures["accuracy"]["n"] == sum(counts.values())
    assert run.metrics["chosen"] == "linear-probe"


def test_damaged_photos_are_put_aside_and_the_run_goes_on(tiny, tmp_path):
    photos = make_photos(tmp_path / "photos", {"a": 20, "b": 20}, size=32)
    whole = (photos / "a" / "photo 000.png").read_bytes()
    (photos / "a" / "half.png").write_bytes(whole[: len(whole) // 2])
    (photos / "b" / "text.jpg").write_text("not a photo")
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in photos.rglob("*") if p.is_file()}
    run = go(photos, tmp_path / "run", recipe="linear-probe", **tiny)
    fate = {e.name: (e.status, e.why) for e in Manifest.read(run.folder / "manifest.csv").entries}
    assert len(fate) == 42
    assert fate["a/half.png"][0] == fate["b/text.jpg"][0] == "put aside"
    assert all(why for status, why in fate.values() if status == "put aside")
    assert before == {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in photos.rglob("*") if p.is_file()}


@pytest.mark.slow
def test_choosing_on_the_given_validation_side_is_flagged(tiny, tmp_path):
    photos = tmp_path / "photos"
    make_photos(photos / "train", {"a": 30, "b": 30}, size=32)
    make_photos(photos / "val", {"a": 10, "b": 10}, size=32, seed=1)
    plain = go(photos, tmp_path / "plain", recipe="fine-tune", epochs=2, **tiny)
    flagged = go(photos, tmp_path / "flagged", recipe="fine-tune", epochs=2, choose_on_val=True, **tiny)
    assert plain.metrics["measured"]["final/validation"]["used_for_choosing"] is False
    assert flagged.metrics["measured"]["final/validation"]["used_for_choosing"] is True
    assert flagged.metrics["training"]["photos"] == 60 > plain.metrics["training"]["photos"]


@pytest.fixture(scope="module")
def hard_photos(tmp_path_factory):
    return make_photos(tmp_path_factory.mktemp("hard"), {"ash": 60, "birch": 60, "cedar": 60}, size=32, noise=200.0)


@pytest.mark.slow
def test_a_run_with_a_budget_is_repeated_from_its_configuration(hard_photos, tiny, tmp_path):
    first = go(hard_photos, tmp_path / "first", recipe="auto", budget="40s", epochs=2, split="60/20/20", **tiny)
    config = json.loads((first.folder / "config.json").read_text())
    assert any(choice.startswith("epochs and views") for choice in config["choices"])
    second = train(hard_photos, config=first.folder / "config.json", out=tmp_path / "second", screen=QuietScreen())
    assert weights(first) == weights(second)
    replayed = json.loads((second.folder / "config.json").read_text())["choices"]
    assert replayed == config["choices"]


@pytest.mark.slow
def test_a_budget_that_is_spent_leaves_the_probe(hard_photos, tiny, tmp_path):
    run = go(hard_photos, tmp_path / "run", recipe="auto", budget="0.1s", split="60/20/20", **tiny)
    assert run.metrics["chosen"] == "linear-probe"
    assert "budget" in run.metrics["training"]["fine_tuning"]


def test_photos_keep_their_sides_from_an_earlier_run(one_epoch, photos, tiny, tmp_path):
    first = go(photos, tmp_path / "first", recipe="feature-extraction", epochs=1, split_seed=3, **tiny)
    second = go(photos, tmp_path / "second", recipe="feature-extraction", epochs=1, split_from=first.folder, **tiny)
    runs = (first, second, one_epoch("feature-extraction"))
    sides = [{e.content: e.side for e in Manifest.read(r.folder / "manifest.csv").usable} for r in runs]
    assert sides[0] == sides[1] != sides[2]


@pytest.mark.slow
def test_balanced_weights_help_the_small_class(tiny, tmp_path):
    photos = make_photos(tmp_path / "photos", {"many": 200, "few": 20}, size=32, noise=110.0)
    recall = []
    for weight in (None, "balanced"):
        run = go(photos, tmp_path / str(weight), recipe="linear-probe", class_weight=weight, **tiny)
        per_class = run.metrics["measured"]["final/out-of-fold"]["figures"]["per_class"]
        recall.append(np.array([c["recall"]["value"] for c in per_class if c["label"] == "few"]))
    assert recall[1] >= recall[0]
