"""An evaluation leaves out photos that the model was trained on, unless it is told to measure them."""

from __future__ import annotations

import shutil

import pytest

from making import make_photos
from regraft.errors import PhotosError
from regraft.inference.predictor import Predictor
from regraft.screen import QuietScreen
from regraft.workflows.evaluate import evaluate_folder, evaluate_run
from regraft.workflows.steps.used_photos import used_photos
from regraft.workflows.train import train


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Photos with train/ and val/."""
    root = tmp_path_factory.mktemp("given")
    make_photos(root / "Training", {"ash": 8, "birch": 8})
    make_photos(root / "val", {"ash": 5, "birch": 6}, seed=1)
    return root


@pytest.fixture(scope="module")
def run(given, tmp_path_factory, tiny):
    return train(given, out=tmp_path_factory.mktemp("out") / "run", recipe="linear-probe", screen=QuietScreen(), **tiny)


@pytest.fixture(scope="module")
def out_of_fold(given, tmp_path_factory, tiny):
    out = tmp_path_factory.mktemp("out") / "run"
    return train(given / "Training", out=out, recipe="linear-probe", screen=QuietScreen(), **tiny)


def test_only_new_photos_are_measured(run, given):
    found = run.evaluate(given, screen=QuietScreen())
    assert (found["n"], found["trained_on"], found["training_included"]) == (11, 16, False)
    assert found["figures"] == run.metrics["measured"]["final/validation"]["figures"]
    everything = run.evaluate(given, include_training=True, screen=QuietScreen())
    assert (everything["n"], everything["trained_on"], everything["training_included"]) == (27, 16, True)


def test_photos_are_known_by_their_bytes_wherever_they_are(run, given, tmp_path):
    shutil.copytree(given / "Training" / "ash", tmp_path / "more" / "ash")
    new = make_photos(tmp_path / "new", {"ash": 3}, seed=7)
    for photo in (new / "ash").iterdir():
        shutil.copy(photo, tmp_path / "more" / "ash" / f"new {photo.name}")
    found = run.evaluate(tmp_path / "more", screen=QuietScreen())
    assert (found["n"], found["trained_on"]) == (3, 8)


def test_nothing_new_is_an_error_that_names_the_figure_to_look_at(run, out_of_fold, given):
    with pytest.raises(PhotosError) as error:
        run.evaluate(given / "Training", screen=QuietScreen())
    first, second, third = str(error.value).splitlines()
    assert first.startswith(f"{given}/Training: this model was trained on all 16 photos, so there are no new photos")
    assert second.endswith(f"regraft evaluate {run.folder} --split validation")
    assert third.startswith("  --include-training")
    with pytest.raises(PhotosError, match=r"trained on all 16 photos.*\n  its accuracy by cross-validation: .* of 16 "):
        out_of_fold.evaluate(given / "Training", screen=QuietScreen())


def test_a_model_file_in_its_run_folder_knows_its_photos_and_a_copy_does_not(run, given, tmp_path):
    assert used_photos(run.folder / "model.safetensors").contents == used_photos(run.folder).contents
    copy = shutil.copy(run.folder / "model.safetensors", tmp_path / "model.safetensors")
    assert used_photos(tmp_path / "model.safetensors") is None
    found = evaluate_folder(Predictor.load(copy), given)
    assert (found["n"], found["trained_on"], found["training_included"]) == (27, None, True)


def test_a_side_says_how_many_of_its_photos_were_trained_on(run):
    counts = {side: evaluate_run(run.folder, side, run.model)["trained_on"] for side in ("train", "validation")}
    assert counts == {"train": 16, "validation": 0}


def test_folders_with_names_of_classes_are_classes(tiny, tmp_path):
    photos = make_photos(tmp_path / "words", {"training": 6, "testing": 6, "meeting": 6})
    words = train(photos, out=tmp_path / "run", recipe="linear-probe", screen=QuietScreen(), **tiny)
    for name in ("training", "testing"):
        make_photos(tmp_path / "new" / name, {"day": 2, "night": 2}, seed=len(name))
    assert words.evaluate(tmp_path / "new", screen=QuietScreen())["n"] == 8
