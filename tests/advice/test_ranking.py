"""The ranking of the ways: probabilities, regrets, budget, toss-ups."""

from __future__ import annotations

from dataclasses import replace

import pytest

from regraft.advice.evidence import Evidence
from regraft.advice.folder_figures import FolderFigures
from regraft.advice.gain_model import NO_GAIN, WayGain
from regraft.advice.ranking import TOSS_UP, rank, way_gains

FOLDER = FolderFigures(
    photos=200, classes=4, error=0.2, error_deviation=0.03, log_loss=0.6, lead=0.1, added=0.0, slope=0.1
)
NONE = NO_GAIN


def test_probabilities_sum_to_one_and_the_better_way_has_less_regret():
    ranking = rank(FOLDER, {"probe": NONE, "depth": WayGain(0.1, 0.1), "upper blocks": WayGain(-0.1, 0.1)}, {})
    assert sum(one.best for one in ranking.ways) == pytest.approx(1.0)
    regrets = {one.way: one.regret for one in ranking.ways}
    assert regrets["depth"] < regrets["probe"] < regrets["upper blocks"]
    assert ranking.advised == "depth"


def test_a_clear_gain_is_no_toss_up_and_an_unclear_one_is():
    clear = rank(FOLDER, {"probe": NONE, "depth": WayGain(0.5, 0.1)}, {})
    unclear = rank(FOLDER, {"probe": NONE, "depth": WayGain(0.02, 0.3)}, {})
    assert not clear.is_toss_up and clear.of("depth").best > 0.99
    assert unclear.is_toss_up and unclear.of(unclear.advised).best < TOSS_UP


def test_the_budget_leaves_out_ways_but_never_the_probe():
    gains = {"probe": NONE, "depth": WayGain(0.1, 0.1), "all blocks": WayGain(0.5, 0.1)}
    minutes = {"probe": 2.0, "depth": 0.5, "all blocks": 30.0}
    ranking = rank(FOLDER, gains, minutes, budget=1.0)
    assert [one.way for one in ranking.ways if one.affordable] == ["probe", "depth"]
    assert ranking.advised == "depth"
    assert ranking.of("all blocks").best is None and ranking.of("all blocks").regret is None


def test_of_two_ways_as_good_as_each_other_the_faster_is_advised():
    gains = {"probe": NONE, "depth": WayGain(0.100, 0.1), "upper blocks": WayGain(0.105, 0.1)}
    assert rank(FOLDER, gains, {"probe": 0.1, "depth": 0.5, "upper blocks": 5.0}).advised == "depth"


def test_the_interval_of_the_probe_is_that_of_its_error():
    (probe,) = rank(FOLDER, {"probe": NONE}, {}).ways
    assert probe.accuracy == pytest.approx(0.8)
    assert (probe.low, probe.high) == pytest.approx((0.8 - 1.645 * 0.03, 0.8 + 1.645 * 0.03), abs=1e-4)


def test_the_fitted_probe_is_better_than_out_of_fold_and_so_are_all_ways():
    gains = {"probe": NONE, "depth": WayGain(0.2, 0.1)}
    plain, refitted = rank(FOLDER, gains, {}), rank(FOLDER, gains, {}, refit=WayGain(0.1, 0.05))
    for before, after in zip(plain.ways, refitted.ways, strict=True):
        assert after.accuracy == pytest.approx(before.accuracy + 0.02)
        assert (after.points, after.best, after.regret) == (before.points, before.best, before.regret)


def test_the_same_folder_gets_the_same_advice():
    gains = {"probe": NONE, "depth": WayGain(0.1, 0.3)}
    assert rank(FOLDER, gains, {}) == rank(FOLDER, gains, {})


def test_own_runs_on_the_folder_outweigh_other_folders():
    other = [Evidence(f"folder {n}", FOLDER, "upper blocks", 0.0, 1000) for n in range(10)]
    own = [Evidence("own", replace(FOLDER, lead=None), "upper blocks", 0.6, 1000)]
    before = way_gains(FOLDER, ["probe", "upper blocks"], other)["upper blocks"].mean
    after = way_gains(FOLDER, ["probe", "upper blocks"], other, own)["upper blocks"].mean
    assert before == pytest.approx(0.0, abs=0.02) and after > 0.2
