"""`regraft train` and `regraft evaluate` from end to end, on the tiny network."""

from __future__ import annotations

import json

import pytest

from making import make_photos


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return make_photos(tmp_path_factory.mktemp("photos") / "trees", {"ash": 10, "birch": 10})


@pytest.fixture
def words(tiny):
    return ["--recipe", "linear-probe", *(word for name, value in tiny.items() for word in (f"--{name}", value))]


def test_the_end_says_how_good_on_what_and_what_next(regraft, photos, words):
    said = regraft("train", photos, *words)
    assert said.code == 0 and said.err == ""
    end = said.out[said.out.index("\naccuracy ") :]
    assert "20 photos, each scored by a linear probe that was trained without it" in end
    assert "largest class alone (ash)  50.0 %" in end
    assert "use it   regraft predict runs/trees-linear-probe-001 new/*.jpg\n" in end
    assert "improve" not in end  # 20 photos are too few to fine-tune on
    assert "\x1b" not in said.out  # no terminal: no colors, no live bars


def test_json_is_one_object_and_progress_goes_elsewhere(regraft, photos, words):
    said = regraft("train", photos, *words, "--json")
    found = json.loads(said.out)
    assert found["run"].endswith("trees-linear-probe-001") and found["headline"] in found["measured"]
    assert "photos   20 photos · 2 classes" in said.err


def test_quiet_prints_the_run_folder(regraft, photos, words):
    said = regraft("train", photos, *words, "--quiet")
    assert (said.out.strip(), said.err) == ("runs/trees-linear-probe-001", "")


def test_a_run_is_repeated_from_its_config(regraft, photos, words, tmp_path):
    regraft("train", photos, *words, "-o", tmp_path / "first", "--seed", "3", "--split", "60/20/20")
    said = regraft("train", "--config", tmp_path / "first" / "config.json", "-o", tmp_path / "second")
    assert said.code == 0, said.err
    first, second = (json.loads((tmp_path / name / "config.json").read_text()) for name in ("first", "second"))
    assert first.pop("out") != second.pop("out") and first == second and first["seed"] == 3
    assert (tmp_path / "first" / "model.safetensors").read_bytes() == (
        tmp_path / "second" / "model.safetensors"
    ).read_bytes()


def test_evaluating_a_folder_class_by_class(regraft, trained, tmp_path):
    more = make_photos(tmp_path / "more", {"ash": 4, "birch": 3, "cedar": 2}, seed=1)
    said = regraft("evaluate", trained.folder, more, "--top", 1, "--top", 3)
    assert said.code == 0 and f"9 photos of {more}" in said.out
    assert "top-1" in said.out and "top-2" in said.out and "log-loss" in said.out
    for label, n in (("ash", 4), ("birch", 3), ("cedar", 2)):
        assert any(line.split()[:2] == [label, str(n)] for line in said.out.splitlines())
    found = json.loads(regraft("evaluate", trained.folder, more, "--top", 3, "--json").out)
    assert found["n"] == 9 and found["figures"]["top_k"]["3"]["value"] == 1.0
    quiet = regraft("evaluate", trained.folder, more, "--quiet")
    assert quiet.out.startswith("accuracy ") and quiet.err == ""


def test_evaluating_a_side_that_the_run_has_not(regraft, trained):
    assert "has no test photos" in regraft("evaluate", trained.folder, "--split", "test").one_message()


def test_evaluating_a_side_gives_the_figures_of_the_run(regraft, tmp_path, words):
    root = make_photos(tmp_path / "given" / "train", {"ash": 8, "birch": 8}).parent
    make_photos(root / "val", {"ash": 5, "birch": 5}, seed=1)
    assert regraft("train", root, *words, "-o", tmp_path / "run").code == 0
    found = json.loads(regraft("evaluate", tmp_path / "run", "--split", "validation", "--json").out)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert found["figures"] == metrics["measured"]["final/validation"]["figures"]


def test_the_sample_is_said_and_written(regraft, tmp_path):
    said = regraft("sample", "digits", "digits")
    assert said.code == 0 and "1,797 scans" in said.out and "regraft train digits" in said.out
    again = json.loads(regraft("sample", "digits", "digits", "--json").out)
    assert again == {"sample": "digits", "folder": "digits", "photos": 1797}


@pytest.mark.slow
def test_the_demo_on_photos_of_ones_own(regraft, photos, tmp_path):
    said = regraft("demo", photos)
    assert said.code == 0, said.err
    assert "accuracy " in said.out and "trees/ash/photo 000.png" in said.out
    assert [p.name for p in (tmp_path / "here").iterdir()] == ["runs"]


def test_backbones_say_size_licence_and_what_is_here(regraft):
    said = regraft("backbones", "tf_efficientnet_lite0")
    (row,) = [line for line in said.out.splitlines() if line.startswith("tf_efficientnet_lite0 ")]
    for part in ("3.4 M", "224", "Apache-2.0", "ImageNet-1k", "local"):
        assert part in row
    first = regraft("backbones")
    assert "resnet18 " in first.out and "more: regraft backbones PATTERN" in first.out
    every = json.loads(regraft("backbones", "--json").out)["backbones"]
    assert len(every) > 1000 and any(row["commercial"] is False for row in every)
    assert "tf_efficientnet_lite0" in regraft("backbones", "lite", "--quiet").out.split("\n")


def test_evaluating_training_photos(regraft, trained, tmp_path):
    photos = trained.config.photos
    message = regraft("evaluate", trained.folder, photos).one_message()
    assert "trained on all 36 photos" in message and "--include-training" in message
    assert regraft("evaluate", trained.folder, photos).code == 2
    said = regraft("evaluate", trained.folder, photos, "--include-training")
    assert f"36 photos of {photos}" in said.out
    assert "it was trained on 36 of these 36 photos" in said.out + said.err
    more = make_photos(tmp_path / "more", {"ash": 4}, seed=1)
    (more / "birch").symlink_to(photos / "birch", target_is_directory=True)
    said = regraft("evaluate", trained.folder, more)
    assert f"4 new photos of {more}" in said.out and "12 photos that it was trained on left out" in said.out
    copied = tmp_path / "copied.safetensors"
    copied.write_bytes((trained.folder / "model.safetensors").read_bytes())
    assert "name its run folder" in regraft("evaluate", copied, more).out


@pytest.mark.parametrize("option", [("--include-training",), ("--folders", "classes"), ("--labels", "labels.csv")])
def test_evaluating_a_side_takes_no_options_of_photos(regraft, trained, option):
    message = regraft("evaluate", trained.folder, "--split", "train", *option).one_message()
    assert message.startswith(f"{option[0]} applies only with PHOTOS")
