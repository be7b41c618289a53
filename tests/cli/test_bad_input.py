"""Whatever is wrong with what is asked for is one message and exit code 2, and nothing is left behind."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from making import make_photos
from regraft.errors import BackboneError
from regraft.models.zoo import create_network


@pytest.fixture
def refused(regraft, tmp_path):
    """Call the command line and return its message, which must be a user's mistake that left nothing behind."""

    def run(*arguments, leaves=()) -> str:
        said = regraft(*arguments)
        assert said.code == 2, said.err
        assert said.out == "" or said.out.startswith("photos ")
        assert sorted(os.listdir(tmp_path / "here")) == sorted(leaves)
        return said.one_message()

    return run


@pytest.fixture
def photos(tmp_path):
    return make_photos(tmp_path / "trees", {"ash": 4, "birch": 4})


def test_no_such_folder(refused, photos):
    assert "no such folder: nowhere" in refused("train", "nowhere")
    assert "did you mean 'trees'" in refused("train", photos.parent / "tree")


def test_which_photos(refused):
    assert refused("train").startswith("expected a folder of photos: regraft train PHOTOS")


def test_an_empty_folder(refused, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "empty is empty: there are no photos in it." in refused("train", tmp_path / "empty")


def test_one_class(refused, photos):
    shutil.rmtree(photos / "birch")
    assert "has one class only: ash (4 photos)" in refused("train", photos)


def test_photos_without_class_folders(refused, photos):
    message = refused("train", photos / "ash")
    assert "ash has 4 photos but no class folders." in message
    assert "daisy/*.jpg" in message and "--labels labels.csv" in message


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_unreadable_permissions(regraft, photos):
    assert regraft("train", "nowhere").code == 2  # all that is imported on the way is readable
    photos.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # somebody whom permissions hold for
    try:
        said = regraft("train", photos)
    finally:
        os.seteuid(user)
        photos.chmod(0o755)
    assert said.code == 2 and "permission denied" in said.one_message()


def test_every_file_damaged(refused, photos, tiny):
    for path in photos.rglob("*.png"):
        path.write_bytes(b"no photo at all")
    message = refused("train", photos)
    assert "photo 000.png" in message and "not a photo: text" in message


def test_every_photo_cut_short(regraft, photos, tiny):
    for path in photos.rglob("*.png"):
        path.write_bytes(path.read_bytes()[:200])
    options = [word for name, value in tiny.items() for word in (f"--{name}", value)]
    said = regraft("train", photos, *options)
    assert said.code == 2 and "Traceback" not in said.err and "truncated" in said.err


def test_an_out_that_holds_something_else(refused, photos, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    assert "already contains other files; nothing is overwritten" in refused("train", photos, "-o", tmp_path / "mine")
    assert os.listdir(tmp_path / "mine") == ["thesis.txt"]
    assert "lies inside the photos" in refused("train", photos, "-o", photos / "run")
    assert not (photos / "run").exists()


def test_an_unknown_backbone(refused, photos):
    message = refused("train", photos, "--backbone", "resnet_50")
    assert message.startswith("unknown backbone 'resnet_50'; did you mean") and "resnet50" in message


def test_weights_that_are_not_there_or_do_not_fit(refused, photos, tiny, tmp_path):
    assert "gone.pt" in refused("train", photos, "--weights", "gone.pt")
    message = refused("train", photos, "--backbone", "test_vit", "--weights", tiny["weights"], "--size", "160")
    assert str(tiny["weights"].name) in message and "expected" in message


def test_wrong_rows_of_a_csv_are_all_said_at_once(refused, photos, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("file,class\na,b\n")
    assert "labels.csv" in refused("train", photos, "--labels", table)
    table.write_text("path,label\nash/photo 000.png,ash\nash/gone.png,ash\nash/photo 001.png,\n")
    message = refused("train", photos, "--labels", table)
    assert "3" in message and "gone.png" in message and "4" in message


def test_wrong_keys_of_a_configuration_are_all_said_at_once(refused, photos, tmp_path):
    config = tmp_path / "mine.yaml"
    config.write_text("recipee: auto\nbatchsize: 3\nlr: -1\n")
    message = refused("train", photos, "--config", config)
    for part in ("3 problems", "'recipee'", "did you mean 'recipe'", "'batchsize'", "'batch_size'", "lr: "):
        assert part in message
    assert "no such configuration file: gone.yaml" in refused("train", photos, "--config", "gone.yaml")


def test_wrong_values_are_all_said_at_once(refused, photos):
    message = refused("train", photos, "--budget", "soon", "--split", "50/50", "--epochs", "0")
    assert "3 problems" in message and "30s, 10m or 2h" in message and "80/10/10" in message


def test_an_option_wins_over_the_file(refused, photos, tmp_path):
    config = tmp_path / "mine.json"
    config.write_text(json.dumps({"backbone": "resnet18", "photos": "elsewhere"}))
    assert "'no_such'" in refused("train", photos, "--config", config, "--backbone", "no_such")


def test_a_split_from_what_is_no_run(refused, photos):
    assert "no such run folder: gone" in refused("train", photos, "--split-from", "gone")
    assert "is not a run folder" in refused("train", photos, "--split-from", photos)


def test_a_given_split_that_leaves_a_class_out_of_train(refused, tmp_path):
    root = tmp_path / "given"
    make_photos(root / "train", {"ash": 3, "birch": 3})
    make_photos(root / "val", {"ash": 2, "cedar": 2})
    message = refused("train", root)
    assert "cedar" in message and "train" in message


def test_evaluating_needs_photos_or_a_side(refused):
    assert refused("evaluate", "run").startswith("expected either PHOTOS")
    assert refused("evaluate", "run", "photos", "--split", "test").startswith("expected either PHOTOS")
    assert "no such run folder or model file: run" in refused("evaluate", "run", "photos")


def test_evaluating_classes_that_the_model_does_not_know(refused, trained, tmp_path):
    other = make_photos(tmp_path / "other", {"ash": 2, "beech": 2})
    message = refused("evaluate", trained.folder, other)
    assert "does not know the class 'beech'" in message and "it knows ash, birch, cedar" in message


def test_no_backbone_of_that_name(refused):
    assert refused("backbones", "resnett50").startswith("no backbone matches 'resnett50'; did you mean ")


def test_options_without_effect_are_named(regraft, trained, tmp_path):
    more = make_photos(tmp_path / "more", {"ash": 2, "birch": 2}, seed=5)
    said = regraft("predict", trained.folder, more, "--top", 99, "--format", "csv", "--json")
    assert said.code == 0 and json.loads(said.out)["classes"] == ["ash", "birch", "cedar"]
    assert "--top 99: the classifier has only 3 classes" in said.err and "--format csv is not used" in said.err
    assert "--top 99: the classifier has only 3 classes" in regraft("evaluate", trained.folder, more, "--top", 99).out
    message = regraft("check", more, "--review", "--json").one_message()
    assert message.startswith(
        "--review asks in the terminal and --serve in the browser; neither goes with the other, or with --json"
    )


@pytest.mark.parametrize("rule", ["parent", "photo", "^(ash|birch)"])
def test_groups_that_make_learning_impossible_are_refused_before_any_work(refused, photos, rule):
    assert "in one group" in refused("train", photos, "--group-by", rule)


def test_a_rule_that_groups_a_few_photos_says_so(regraft, photos, tiny, tmp_path):
    words = [word for name, value in tiny.items() for word in (f"--{name}", value)]
    said = regraft("train", photos, "--recipe", "linear-probe", "--group-by", "00[01]", "-o", tmp_path / "run", *words)
    assert said.code == 0, said.err
    assert "--group-by 00[01] applies to 4 of 8 photos" in said.out


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("train", "photos", "--model", "resnet18"), "'--model'. Did you mean '--backbone'?"),
        (("train", "photos", "--learning-rate", 1), "'--learning-rate'. Did you mean '--lr'?"),
        (("train", "photos", "--recipe", "finetune"), "Did you mean 'fine-tune'?"),
        (("train", "photos", "--class-weight", "ballanced"), "Did you mean 'balanced'?"),
        (("train", "photos", "--budget", 10), "such as 10s, 10m or 10h"),
        (("evaluate", "run", "--split", "val"), "Did you mean 'validation'?"),
        (("train", "/"), "/ is a folder of the system, not a folder of photos"),
    ],
)
def test_a_name_of_another_program_leads_to_ours(refused, words, meant):
    assert meant in refused(*words)


def test_an_unfinished_run_has_no_weights(regraft, trained, photos, tmp_path):
    (tmp_path / "unfinished").mkdir()
    shutil.copy(trained.folder / "config.json", tmp_path / "unfinished")
    message = regraft("train", photos, "--weights", tmp_path / "unfinished").one_message()
    assert "the run did not finish" in message and "regraft resume" in message


def test_a_run_has_the_weights_of_its_own_backbone(regraft, trained, photos):
    message = regraft("train", photos, "--weights", trained.folder, "--backbone", "resnet18").one_message()
    assert "is a classifier with the backbone test_resnet" in message and "found resnet18" in message


def test_a_size_that_a_network_does_not_accept_comes_with_others():
    with pytest.raises(BackboneError, match=r"does not accept 100 × 100 pixels.* is 160; it accepts 96 and 112"):
        create_network("test_vit.r160_in1k", 100)
