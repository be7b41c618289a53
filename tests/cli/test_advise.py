"""`regraft advise`: the way of training that suits a folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from making import make_photos
from regraft.advice.ranking import TOSS_UP
from regraft.advice.ways import WAYS


@pytest.fixture
def photos(tmp_path):
    return make_photos(tmp_path / "trees", {"ash": 15, "birch": 15, "cedar": 15}, size=32)


def network(tiny) -> list[object]:
    return ["--backbone", tiny["backbone"], "--weights", tiny["weights"], "--size", 64]


def test_every_way_has_its_accuracy_time_probability_regret_and_command(regraft, photos, tiny):
    said = regraft("advise", photos, "--json", *network(tiny))
    assert said.code == 0, said.err
    facts = json.loads(said.out)
    ways = {way["way"]: way for way in facts["ways"]}
    assert set(ways) == {"probe", "depth", "feature extraction", "upper blocks", "all blocks"} <= set(WAYS)
    for way in ways.values():
        low, high = way["interval"]
        assert 0 <= low <= way["accuracy"] <= high <= 1 and low < high
        assert way["minutes"] > 0 and way["command"].startswith(f"regraft train {photos} --recipe")
    assert sum(way["probability_of_best"] for way in ways.values()) == pytest.approx(1.0)
    assert ways[facts["advised"]]["expected_regret"] <= min(w["expected_regret"] for w in ways.values()) + 0.5
    assert facts["toss_up"] == (ways[facts["advised"]]["probability_of_best"] < TOSS_UP)
    assert "--unfreeze" in ways["upper blocks"]["command"] and "--all-depths" in ways["depth"]["command"]
    assert len(facts["learning_curve"]) == 3 and facts["figures"]["slope"] is not None
    assert facts["depth_profile"]["photos"] == 45 and facts["figures"]["lead"] is not None


@pytest.mark.parametrize("limit", [0.0, 1.1])
def test_the_next_command_takes_the_advised_way_or_measures_at_a_toss_up(regraft, photos, tiny, monkeypatch, limit):
    monkeypatch.setattr("regraft.advice.ranking.TOSS_UP", limit)
    facts = json.loads(regraft("advise", photos, "--json", "--budget", "9m", *network(tiny)).out)
    (advised,) = [way["command"] for way in facts["ways"] if way["way"] == facts["advised"]]
    said = regraft("advise", photos, "--budget", "9m", *network(tiny)).out
    assert facts["toss_up"] == (limit > 1) == ("measure  auto trains what is worth it" in said)
    assert ("--recipe" in facts["next"]) == (limit < 1)
    assert facts["next"] == advised if limit < 1 else "--budget 540s" in facts["next"]
    assert " ".join(facts["next"].split()) in " ".join(said.split())


def test_nothing_is_written_next_to_the_photos_or_here(regraft, photos, tiny):
    before = sorted(photos.rglob("*"))
    assert regraft("advise", photos, *network(tiny)).code == 0
    assert sorted(photos.rglob("*")) == before
    assert not list(Path.cwd().iterdir())


def test_the_screen_fits_80_columns_and_ends_with_the_command(regraft, photos, tiny, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    said = regraft("advise", photos, *network(tiny))
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    starts = {label: k for k, line in enumerate(lines) for label in ("curve", "ways", "next") if line.startswith(label)}
    assert "P(best)" in lines[starts["ways"]] and "regret" in lines[starts["ways"]]
    assert sum("→" in line for line in lines) == 1 and sum("◆" in line for line in lines) == 1
    assert max(len(line) for line in lines[starts["curve"] : starts["next"]]) <= 80
    quiet = regraft("advise", photos, "-q", *network(tiny))
    assert quiet.out.startswith("regraft train") and quiet.out.count("\n") == 1


@pytest.mark.slow
def test_a_budget_leaves_out_the_ways_that_take_longer(regraft, photos, tiny):
    said = regraft("advise", photos, "--budget", "1s", "--json", *network(tiny))
    facts = json.loads(said.out)
    assert facts["advised"] == "probe" and facts["budget_minutes"] == pytest.approx(1 / 60)
    assert [way["way"] for way in facts["ways"] if way["affordable"]] == ["probe"]


@pytest.mark.slow
def test_without_another_network_its_rows_say_what_to_install(regraft, photos, tiny, monkeypatch):
    monkeypatch.setattr("regraft.workflows.steps.way_costs.present_networks", lambda weights: [])
    weights = tiny["weights"].with_name(f"{tiny['backbone']}.safetensors")
    weights.write_bytes(tiny["weights"].read_bytes())
    said = regraft("advise", photos, "--json", "--backbone", tiny["backbone"], "--weights", weights.parent)
    rows = {way["way"]: way for way in json.loads(said.out)["ways"]}
    assert "pip install" in rows["two networks"]["missing"] and rows["two networks"]["command"] is None


@pytest.mark.slow
def test_the_users_own_runs_on_the_folder_count(regraft, photos, tiny, monkeypatch):
    monkeypatch.setattr("regraft.advice.own_runs.MIN_TEST", 1)
    before = json.loads(regraft("advise", photos, "--json", *network(tiny)).out)
    trained = regraft("train", photos, "--recipe", "fine-tune", "--unfreeze", 1, "--epochs", 1, *network(tiny))
    assert trained.code == 0, trained.err
    after = json.loads(regraft("advise", photos, "--json", *network(tiny)).out)
    assert before["evidence"]["own_runs"] == 0 and after["evidence"]["own_runs"] == 1
    points = [{w["way"]: w["points_over_probe"] for w in facts["ways"]} for facts in (before, after)]
    assert points[0]["upper blocks"] != points[1]["upper blocks"] and points[0]["depth"] == points[1]["depth"]


def test_the_end_of_a_training_has_one_line_of_advice(regraft, photos, tiny):
    said = regraft("train", photos, "--recipe", "linear-probe", *network(tiny))
    (line,) = [line for line in said.out.splitlines() if line.startswith("advice")]
    assert "points" in line or "no other way" in line
    assert f"regraft advise {photos}" in said.out


def test_bad_photos_and_too_few_photos_are_one_message(regraft, tmp_path, tiny):
    said = regraft("advise", tmp_path / "none")
    assert said.code == 2 and "no such folder" in said.one_message()
    few = make_photos(tmp_path / "few", {"ash": 6, "birch": 6}, size=32)
    said = regraft("advise", few, *network(tiny))
    assert said.code == 2 and "needs at least 20 training photos, found 12" in said.one_message()
    assert regraft("advise", few, "--budget", "5", *network(tiny)).code == 2


def test_the_place_in_the_picture_is_that_of_the_figures(regraft, photos, tiny):
    facts = json.loads(regraft("advise", photos, "--json", *network(tiny)).out)
    assert facts["size"] == "few" and facts["similarity"] in ("alike", "in between", "unlike")
