"""`regraft` with labels from names and tables, with archives and several folders, and with photos that have moved."""

from __future__ import annotations

import csv
import io
import json
import shutil
import zipfile

import pytest

from data.labeled import state_of
from making import make_photos


@pytest.fixture
def words(tiny):
    return ["--recipe", "linear-probe", *(word for name, value in tiny.items() for word in (f"--{name}", value))]


@pytest.fixture
def photos(tmp_path):
    return make_photos(tmp_path / "trees", {"ash": 8, "birch": 8})


def model(tmp_path, name):
    return (tmp_path / name / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_predictions_corrected_in_a_spreadsheet_train_the_next_model(regraft, photos, words, tmp_path):
    regraft("train", photos, *words, "-o", tmp_path / "first")
    new = make_photos(tmp_path / "new", {"x": 6, "y": 6}, seed=5)
    (new / "x" / "cut.png").write_bytes((new / "x" / "photo 000.png").read_bytes()[:300])
    said = regraft("predict", tmp_path / "first", new, "--format", "csv", "--top", 2)
    rows = list(csv.reader(io.StringIO(said.out)))
    for row in rows[1:]:
        if row[1]:  # the photo was read
            row[1] = "Rotföhre" if "/x/" in row[0] else "Buche"
    text = "\r\n".join(";".join(cell.replace("/", "\\") for cell in row) for row in rows)
    (tmp_path / "corrected.csv").write_bytes(text.encode("cp1252"))
    before = state_of(new)
    said = regraft("train", new, "--labels", tmp_path / "corrected.csv", *words, "-o", tmp_path / "second")
    assert said.code == 0, said.err
    manifest = list(csv.DictReader((tmp_path / "second" / "manifest.csv").open(encoding="utf-8")))
    assert {(row["path"][0], row["class"]) for row in manifest} == {("x", "Rotföhre"), ("y", "Buche")}
    assert "row is left out, as regraft predict could not read its photo" in " ".join(said.out.split())
    assert state_of(new) == before


@pytest.mark.slow
def test_an_archive_gives_the_weights_of_the_folder_in_it(regraft, photos, words, tmp_path):
    shutil.make_archive(str(tmp_path / "trees"), "zip", tmp_path, "trees")
    shutil.make_archive(str(tmp_path / "trees"), "gztar", tmp_path, "trees")
    packed = [tmp_path / "trees.zip", tmp_path / "trees.tar.gz"]
    before = state_of(tmp_path)
    assert regraft("train", photos, *words, "-o", tmp_path / "runs" / "folder").code == 0
    for path in packed:
        said = regraft("train", path, *words, "-o", tmp_path / "runs" / path.name)
        assert said.code == 0, said.err
        assert model(tmp_path / "runs", path.name) == model(tmp_path / "runs", "folder")
    assert state_of(tmp_path).items() >= before.items()
    said = regraft("evaluate", tmp_path / "runs" / "folder", tmp_path / "trees.zip", "--include-training", "--json")
    assert json.loads(said.out)["n"] == 16
    said = regraft("predict", tmp_path / "runs" / "folder", tmp_path / "trees.zip", "--copy-to", tmp_path / "sorted")
    assert said.code == 0 and len(list((tmp_path / "sorted").rglob("*.png"))) == 16


def test_a_folder_in_an_archive(regraft, photos, words, tmp_path):
    shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "trees")
    said = regraft("train", tmp_path / "packed.zip" / "trees", *words, "-o", tmp_path / "run")
    assert said.code == 0, said.err
    assert "no such folder" in regraft("train", tmp_path / "packed.zip" / "tree").one_message()
    inside = [tmp_path / "packed.zip" / "trees" / "ash", tmp_path / "packed.zip" / "trees" / "birch" / "photo 000.png"]
    said = regraft("predict", tmp_path / "run", *inside, "--json")
    assert [row["error"] for row in json.loads(said.out)["predictions"]] == [None] * 9


def test_a_run_of_an_archive_has_a_plain_name(regraft, photos, words, tmp_path):
    shutil.make_archive(str(tmp_path / "trees"), "zip", photos)
    assert regraft("train", tmp_path / "trees.zip", *words, "--quiet").out.strip() == "runs/trees-linear-probe-001"


def test_several_folders_are_merged_and_commands_repeat_them(regraft, photos, words, tmp_path):
    more = make_photos(tmp_path / "more", {"ash": 3, "cedar": 5}, seed=2)
    shutil.copy(photos / "ash" / "photo 000.png", more / "cedar" / "same.png")
    said = regraft("train", photos, more, *words, "-o", tmp_path / "run", "--json")
    assert json.loads(said.out)["classes"] == ["ash", "birch", "cedar"], said.err
    notes = " ".join(said.err.split())
    assert "classes of all: ash" in notes
    assert "1 picture has two different labels (more/cedar/same.png and trees/ash/photo 000.png)" in notes
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["photos"], config["more_photos"]) == (str(photos), [str(more)])
    again = regraft("train", "--config", tmp_path / "run" / "config.json", "-o", tmp_path / "again")
    assert again.code == 0 and model(tmp_path, "again") == model(tmp_path, "run")
    checked = regraft("check", photos, more, *words[2:], "-o", tmp_path / "checked")
    assert checked.code == 0, checked.err
    assert f"regraft train {photos} {more} " in (tmp_path / "checked" / "check.html").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "checked" / "check.json").read_text())["more_photos"] == [str(more)]


def test_labels_in_names(regraft, words, tmp_path):
    flat = tmp_path / "pets"
    flat.mkdir()
    for path in make_photos(tmp_path / "folders", {"cat": 6, "dog": 6}).rglob("*.png"):
        shutil.copy(path, flat / f"{path.parent.name}.{int(path.stem[-3:])}.png")
    refused = regraft("train", flat)
    assert refused.one_message().endswith(f"regraft train {flat} --label-from prefix")
    assert regraft("train", flat, "--label-from", "prefix", *words, "-o", tmp_path / "names").code == 0
    assert regraft("train", tmp_path / "folders", *words, "-o", tmp_path / "run").code == 0
    assert model(tmp_path, "names") == model(tmp_path, "run")
    said = regraft("evaluate", tmp_path / "run", flat, "--label-from", "prefix", "--include-training", "--json")
    assert json.loads(said.out)["n"] == 12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--labels", "a.csv", "--label-from", "prefix"], "labels and label_from are two places of the labels"),
        (["--skip-missing"], "skip_missing applies only with labels"),
        (["--path-column", "x"], "path_column applies only with labels"),
        (["--label-from", "("], "label_from: '\\(' is not a regular expression"),
    ],
)
def test_options_that_do_not_go_together(regraft, photos, options, message):
    said = regraft("train", photos, *options)
    assert said.code == 2
    assert message.replace("\\", "") in said.one_message()


def test_photos_that_have_moved_are_found_by_content(regraft, photos, words, tmp_path):
    regraft("train", photos, *words, "--split", "60/20/20", "-o", tmp_path / "run")
    checked = regraft("check", tmp_path / "run", "--json")
    there = regraft("evaluate", tmp_path / "run", "--split", "train", "--json")
    with zipfile.ZipFile(tmp_path / "new.zip", "w") as file:
        for number, path in enumerate(sorted(photos.rglob("*.png"))):
            file.write(path, f"all/{number}.png")
    photos.rename(tmp_path / "gone")
    said = regraft("evaluate", tmp_path / "run", "--split", "train")
    assert "if they have moved: --photos FOLDER finds them by their content" in said.one_message()
    moved = regraft("evaluate", tmp_path / "run", "--split", "train", "--photos", tmp_path / "new.zip", "--json")
    assert json.loads(moved.out) == json.loads(there.out)
    again = regraft("check", tmp_path / "run", "--photos", tmp_path / "new.zip", "-o", tmp_path / "checked", "--json")
    before, after = json.loads(checked.out), json.loads(again.out)
    assert {**after, "seconds": 0} == {**before, "seconds": 0}
    assert "no preview" not in (tmp_path / "checked" / "check.html").read_text(encoding="utf-8")


def test_photos_applies_only_where_photos_can_have_moved(regraft, photos, words, tmp_path):
    assert "applies only with --split" in regraft("evaluate", "run", photos, "--photos", "x").one_message()
    assert "applies only with a run folder" in regraft("check", photos, "--photos", "x").one_message()
