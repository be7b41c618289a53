"""`regraft check` from end to end on the tiny network: what it finds, what it writes, and that it touches nothing."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
from pathlib import Path

import click
import numpy as np
import pytest

from audit.conftest import save, scene
from data.odd_files import write_odd_files
from making import make_photos


@pytest.fixture
def words(tiny):
    return [word for name, value in tiny.items() for word in (f"--{name}", value)]


@pytest.fixture(scope="session")
def scenes(tmp_path_factory):
    root = tmp_path_factory.mktemp("scenes")
    for k in range(24):
        save(scene(k), root / ("ash", "birch")[k % 2] / f"{k:02}.png")
    save(scene(3).resize((200, 150)), root / "birch" / "again.jpg", quality=70)
    shutil.copy(root / "ash" / "02.png", root / "birch" / "copy.png")
    (root / "ash" / "cut.jpg").write_bytes((root / "birch" / "again.jpg").read_bytes()[:3000])
    return root


@pytest.fixture
def photos(scenes, tmp_path):
    return Path(shutil.copytree(scenes, tmp_path / "photos"))


def state(root):
    return {
        path: (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def kinds(found):
    return {finding["kind"]: finding for finding in found["findings"]}


def test_what_is_found_is_said_and_written_and_no_file_is_touched(regraft, photos, words, tmp_path):
    before = state(photos)
    said = regraft("check", photos, *words, "-o", tmp_path / "out")
    assert said.code == 0, said.err
    assert state(photos) == before
    assert "26 photos · 2 classes · 1 unusable" in said.out
    assert re.search(r"error +two labels +1 +ash/02.png, birch/copy.png: the same picture under 2 labels", said.out)
    found = json.loads((tmp_path / "out" / "check.json").read_text())
    near = kinds(found)["near copies"]
    assert near["photos"] == ["birch/03.png", "birch/again.jpg"] and near["measure"]["least_fit"] > 0.9
    assert kinds(found)["truncated"]["photos"] == ["ash/cut.jpg"]
    rows = list(csv.DictReader((tmp_path / "out" / "check.csv").open(encoding="utf-8")))
    assert {row["kind"] for row in rows} == set(kinds(found))
    assert [row["class"] for row in rows if row["kind"] == "two labels"] == ["ash", "birch"]


def test_labels_are_doubted_by_the_second_look_and_the_accuracy_is_the_first_ones(regraft, photos, words, monkeypatch):
    looks = []

    def second(features, labels, probe, *, classes, groups, keys):
        assert len(features) == len(labels) == len(groups) == len(keys) == 26 and classes == 2
        looks.append(probe)
        p = np.eye(2)[labels]
        p[0] = 1 - p[0]
        return p

    monkeypatch.setattr("regraft.workflows.check.reweighted_probabilities", second)
    found = json.loads(regraft("check", photos, *words, "--json").out)
    assert kinds(found)["wrong label"]["photos"] == ["ash/00.png"]
    assert sum(finding["kind"] == "wrong label" for finding in found["findings"]) == 1
    assert found["accuracy"] == looks[0].cv_accuracy < 25 / 26


def test_classes_of_one_photo_each_are_not_cross_validated(regraft, words, tmp_path):
    for k in range(6):
        save(scene(k), tmp_path / "photos" / f"person{k}" / "1.png")
    (tmp_path / "photos" / "person1" / "1.cr2").write_bytes(b"II*\0")
    said = regraft("check", tmp_path / "photos", *words)
    assert said.code == 0, said.err
    assert "6 photos · 6 classes · 1 camera raw file skipped" in said.out
    assert "probe" not in said.out


def test_json_is_one_object(regraft, photos, words):
    found = json.loads(regraft("check", photos, *words, "--json").out)
    assert found["format"] == 1 and found["files"] == {"ok": 26, "put aside": 1} and found["counts"]["error"] == 2


def test_strict_makes_findings_an_error(regraft, photos, words):
    said = regraft("check", photos, *words, "--strict", "error", "-q")
    assert said.code == 1 and said.out == ""
    assert "2 findings of level error or above" in said.one_message()
    clean = make_photos(photos.parent / "clean", {"ash": 25, "birch": 25}, noise=20)
    assert regraft("check", clean, *words, "--strict", "error").code == 0


def test_strict_does_not_count_findings_that_were_decided(regraft, photos, words):
    decided = "path,decision,why\nash/cut.jpg,drop,truncated\nash/02.png,keep,\nbirch/copy.png,keep,\n"
    with open("mine.csv", "w", encoding="utf-8") as file:
        file.write(decided)
    said = regraft("check", photos, *words, "--strict", "error", "--decisions", "mine.csv", "--json")
    assert said.code == 0, said.err
    found = json.loads(said.out)
    assert found["counts"]["error"] == 0 and found["decisions"][0]["path"] == "ash/cut.jpg"
    settled = {finding["kind"] for finding in found["findings"] if finding["decided"]}
    assert "two labels" in settled and not kinds(found)["near copies"]["decided"] and "truncated" not in kinds(found)
    with open("mine.csv", "a", encoding="utf-8") as file:
        file.write("birch/01.png,drop,I do not like it\n")  # a dropped photo is not a damaged one
    found = json.loads(regraft("check", photos, *words, "--decisions", "mine.csv", "--json").out)
    assert not any("birch/01.png" in finding["photos"] for finding in found["findings"])


def test_answers_of_a_review_are_kept_when_it_is_interrupted(regraft, photos, words, monkeypatch):
    def prompts(*answers):
        left = iter(answers)

        def answer(*a, **k):
            given = next(left)
            if given is None:
                raise click.Abort
            return given

        monkeypatch.setattr("click.prompt", answer)

    prompts("k", None)
    said = regraft("check", photos, *words, "--review")
    assert said.code == 130 and "your decisions are in decisions.csv; the same command continues" in said.err
    with open("decisions.csv", encoding="utf-8") as file:
        assert file.read() == "path,decision,why\nash/02.png,keep,two labels\n"
    prompts("d", None)
    said = regraft("check", photos, *words, "--review")
    with open("decisions.csv", encoding="utf-8") as file:
        assert file.read() == "path,decision,why\nash/02.png,keep,two labels\nbirch/copy.png,drop,two labels\n"


def test_the_next_command_repeats_the_options(regraft, photos, words):
    said = regraft("check", photos, *words, "--group-by", r"/(\d)")
    (line,) = [line for line in said.out.splitlines() if line.startswith("look at ")]
    for part in (f"regraft check {photos}", r"--group-by '/(\d)'", "--size 64", "-o checked"):
        assert part in line


def test_nothing_is_written_into_the_photos(regraft, photos, words):
    assert "lies inside the photos" in regraft("check", photos, *words, "-o", photos / "out").one_message()
    assert not (photos / "out").exists()


def test_reviewing_in_the_terminal_makes_decisions_that_check_and_train_take(regraft, photos, words, monkeypatch):
    answers = iter(["", "r", "ash", "q"])
    monkeypatch.setattr("click.prompt", lambda *a, **k: next(answers))
    said = regraft("check", photos, *words, "--review")
    assert said.code == 0 and "1 decisions in decisions.csv; use them: regraft train " in said.out
    assert all(option in said.out for option in ("--decisions decisions.csv", "--size 64"))
    with open("decisions.csv", encoding="utf-8") as file:
        assert file.read() == "path,decision,why\nbirch/copy.png,relabel:ash,two labels\n"
    again = json.loads(regraft("check", photos, *words, "--decisions", "decisions.csv", "--json").out)
    assert "two labels" not in kinds(again) and again["classes"] == {"ash": 13, "birch": 13}
    run = regraft("train", photos, *words, "--recipe", "linear-probe", "--decisions", "decisions.csv", "-o", "run")
    assert run.code == 0 and "decisions.csv: 0 dropped, 1 relabeled, 0 kept" in run.out
    with open("run/manifest.csv", encoding="utf-8") as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    with open("run/metrics.json", encoding="utf-8") as file:
        effect = json.load(file)["decisions"]
    assert (effect["dropped"], effect["relabelled"], effect["n"]) == (0, 1, 25) and "value" in effect["difference"]
    assert "25 photos without a decision" in run.out
    assert rows["birch/copy.png"]["class"] == "ash" and "relabelled from birch" in rows["birch/copy.png"]["why"]


def test_a_training_says_what_belongs_together_and_what_a_naive_split_would_claim(regraft, photos, words, tmp_path):
    said = regraft("train", photos, *words, "--recipe", "linear-probe", "-o", tmp_path / "run", "--verbose")
    assert said.code == 0, said.err
    assert "copies   1 set of exact copies · 1 group of near-copies kept on one side   → regraft check" in said.out
    assert "1 picture has two different labels (ash/02.png and birch/copy.png)" in said.out
    claim = json.loads((tmp_path / "run" / "metrics.json").read_text())["naive_split"]
    assert claim["n"] == 26 and claim["beside_another"] == 2
    assert {"value", "n", "interval", "standard_error"} <= set(claim["difference"])
    assert "linear probe by a random split" in said.out


def test_leaks_across_a_given_split_are_said_and_left_out(regraft, words, tmp_path):
    root = tmp_path / "given"
    for k in range(24):
        save(scene(k), root / ("train" if k < 18 else "val") / ("ash", "birch")[k % 2] / f"{k:02}.png")
    save(scene(20).crop((10, 10, 230, 170)), root / "train" / "ash" / "leak.jpg", quality=80)
    found = json.loads(regraft("check", root, *words, "--json").out)
    assert kinds(found)["leak"]["photos"] == ["train/ash/leak.jpg", "val/ash/20.png"]
    command = ["train", root, *words, "--recipe", "linear-probe"]
    said = regraft(*command, "-o", tmp_path / "leaking")
    assert (
        "1 picture appears in more than one part of your split, so accuracy will look too high (see --fix-leaks)"
        in said.out
    )
    said = regraft(*command, "-o", tmp_path / "mended", "--fix-leaks")
    assert said.code == 0 and "1 photo of train left out" in said.out
    manifest = (tmp_path / "mended" / "manifest.csv").read_text(encoding="utf-8")
    assert "left out: a copy of it is on another side" in manifest


def test_wrong_decisions_are_all_named(regraft, photos, words, tmp_path):
    file = tmp_path / "wrong.csv"
    file.write_text("path,decision,why\nash/00.png,remove,\nash/02.png,relabel,\n")
    message = regraft("check", photos, *words, "--decisions", file).one_message()
    assert "2 problems" in message and "unknown decision 'remove'; expected keep, drop, relabel:CLASS" in message
    file.write_text("path,decision\nash/00.png,relabel:birsh\n")
    message = regraft("check", photos, *words, "--decisions", file).one_message()
    assert "no class 'birsh'; did you mean 'birch'" in message
    file.write_text("name;what\n")
    assert "its first line must be path,decision,why" in regraft("check", photos, "--decisions", file).one_message()


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_folder_of_odd_files_ends_normally_and_every_file_is_told(regraft, words, tmp_path):
    root = tmp_path / "photos"
    odd = write_odd_files(root / "odd")
    for k in range(3):
        save(scene(k), root / "plain" / f"{k}.png")
    assert len(odd) >= 80
    said = regraft("check", root, *words, "--json", "-o", tmp_path / "out")
    assert said.code == 0, said.err
    found = json.loads(said.out)
    told = {name for finding in found["findings"] for name in finding["photos"] if finding["level"] == "error"}
    aside = {f"odd/{o.name}" for o in odd if o.verdict == "put aside"}
    assert len(aside) > 25 and aside <= told
    expected = {"wrong extension", "turned by Exif", "odd colour mode", "tiny", "extreme shape", "blank", "same pixels"}
    assert expected <= set(kinds(found))
    run = regraft("train", root, *words, "--recipe", "linear-probe", "-o", tmp_path / "run")
    assert run.code == 0, run.err
    with (tmp_path / "run" / "manifest.csv").open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        status = {row["path"]: row["status"] for row in csv.DictReader(file)}
    assert all(status[f"odd/{o.name}"] == o.verdict for o in odd)
