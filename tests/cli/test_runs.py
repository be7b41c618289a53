"""`regraft runs`: list, compare and remove runs; a finished command is not repeated in silence."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from making import make_photos
from regraft.screen.line_breaks import cells


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return make_photos(tmp_path_factory.mktemp("photos") / "trees", {"ash": 12, "birch": 12})


@pytest.fixture
def words(tiny):
    return ["--recipe", "linear-probe", *(word for name, value in tiny.items() for word in (f"--{name}", value))]


@pytest.fixture
def two_runs(regraft, photos, words):
    """Two finished runs in runs/, which differ in the seed."""
    for number, seed in enumerate((0, 7), start=1):
        assert regraft("train", photos, *words, "--seed", seed, "-o", f"runs/trees-{number}").code == 0
    return "trees-1", "trees-2"


def test_without_runs(regraft):
    said = regraft("runs")
    assert said.code == 0 and "no runs in runs" in said.out and "regraft train" in said.out
    assert json.loads(regraft("runs", "--json").out) == {"runs": []}


def test_the_list_has_figure_recipe_photos_size_and_date(regraft, two_runs, monkeypatch):
    Path("runs/notes").mkdir()
    shutil.copytree("runs/trees-1", "runs/broken")
    Path("runs/broken/metrics.json").write_text("{", encoding="utf-8")
    shutil.copytree("runs/trees-1", "runs/odd")
    odd = {"format": 1, "headline": "a", "measured": {"a": {"figures": 5}}}
    Path("runs/odd/metrics.json").write_text(json.dumps(odd), encoding="utf-8")
    said = regraft("runs")
    head, *rows = said.out.splitlines()
    assert head.split() == ["run", "accuracy", "on", "recipe", "photos", "size", "date"]
    row = next(row.split() for row in rows if row.startswith("trees-1"))
    assert row[1:3] == ["100.0", "%"] and row[4:7] == ["folds", "linear-probe", "24"]
    assert sum(row.startswith(("broken", "odd")) and "unreadable" in row for row in rows) == 2
    assert not any(row.startswith("notes") for row in rows)
    monkeypatch.setenv("COLUMNS", "60")
    assert max(map(cells, regraft("runs").out.splitlines())) <= 60
    found = {run["run"]: run for run in json.loads(regraft("runs", "--json").out)["runs"]}
    one = found["runs/trees-2"]
    assert (one["state"], one["recipe"], one["number_of_photos"]) == ("finished", "linear-probe", 24)
    assert one["accuracy"]["value"] == 1.0 and one["bytes"] > 1000
    assert regraft("runs", "--quiet").out.split() == list(found)


def test_a_single_run_is_not_a_folder_of_runs(regraft, two_runs):
    assert "is a single run" in regraft("runs", "--in", "runs/trees-1").one_message()


def test_two_runs_are_compared_photo_by_photo(regraft, two_runs):
    said = regraft("runs", "compare", *two_runs)
    assert said.code == 0, said.err
    assert "A 100.0 % · B 100.0 %   on the 24 photos that both were measured on" in said.out
    assert "no clear difference: B − A = +0.0 points" in said.out
    assert "settings option  A  B\n         seed    0  7\n" in said.out
    found = json.loads(regraft("runs", "compare", *two_runs, "--json").out)
    assert found["n"] == 24 and found["settings"] == {"seed": [0, 7]}
    assert regraft("runs", "compare", *two_runs, "--quiet").out == "+0.0000\n"


def test_a_run_with_a_typing_error(regraft, two_runs):
    said = regraft("runs", "compare", "trees-1", "tree-2")
    assert said.code == 2 and "no such run: tree-2; did you mean 'trees-2'" in said.one_message()


def test_removing_asks_and_keeps_what_is_not_of_the_run(regraft, two_runs):
    assert "expected --yes" in regraft("runs", "remove", "trees-1").one_message()
    Path("runs/trees-2/my notes.txt").write_text("mine", encoding="utf-8")
    said = regraft("runs", "remove", "trees-1", "runs/trees-2", "--yes")
    assert said.code == 0 and "removed  2 runs" in said.out
    assert "kept runs/trees-2/my notes.txt, which regraft did not write" in said.out
    assert [path.as_posix() for path in Path("runs").rglob("*")] == ["runs/trees-2", "runs/trees-2/my notes.txt"]


def test_a_finished_command_says_so(regraft, photos, words):
    assert regraft("train", photos, *words).code == 0
    said = regraft("train", photos, *words)
    assert said.code == 0
    assert "finished runs/trees-linear-probe-001 has this result already: same options, same photos" in said.out
    assert "add --fresh to train again" in said.out and "accuracy " in said.out
    assert regraft("runs", "--quiet").out.split() == ["runs/trees-linear-probe-001"]
    assert regraft("train", photos, *words, "--fresh").code == 0
    assert regraft("train", photos, *words, "--seed", 1).code == 0
    assert len(regraft("runs", "--quiet").out.split()) == 3


def test_other_labels_are_not_the_same_command(regraft, photos, words, tmp_path):
    labels = tmp_path / "labels.csv"
    rows = [f"{path.relative_to(photos).as_posix()},{path.parent.name}" for path in sorted(photos.rglob("*.png"))]
    labels.write_text("\n".join(["path,label", *rows]), encoding="utf-8")
    assert regraft("train", photos, *words, "--labels", labels).code == 0
    changed = [row.replace(",birch", ",ash") if "photo 003" in row else row for row in rows]
    labels.write_text("\n".join(["path,label", *changed]), encoding="utf-8")
    said = regraft("train", photos, *words, "--labels", labels)
    assert said.code == 0 and "has this result already" not in said.out
    assert len(regraft("runs", "--quiet").out.split()) == 2
