"""The line of advice at the end of a run: its probability, nothing to gain, and what a run has gained."""

from __future__ import annotations

import re
from statistics import NormalDist

import pytest

from regraft.report.advice_line import advice_line


@pytest.fixture(autouse=True)
def no_runs_of_the_user(tmp_path, monkeypatch):
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path))


def metrics_of(accuracy, n, *, log_loss=None, classes=2, chosen="linear-probe", final=None):
    """The metrics of a run whose linear probe was cross-validated on ``n`` photos."""
    loss = log_loss if log_loss is not None else 3 * (1 - accuracy)
    figures = {"accuracy": {"value": accuracy}, "log_loss": {"value": loss}, "per_class": [{}] * classes}
    ended = {**figures, "accuracy": {"value": accuracy if final is None else final}}
    measured = {
        "linear-probe/out-of-fold": {"n": n, "figures": figures},
        "linear-probe/test": {"n": 100, "figures": figures},
        "final/test": {"n": 100, "figures": ended},
    }
    return {"measured": measured, "chosen": chosen, "headline": "final/test", "training": {}, "recipe": chosen}


def bounds(line):
    return [float(text) for text in re.findall(r"[-+]\d+\.\d", line)]


@pytest.mark.parametrize("accuracy", [0.5, 0.7, 0.9, 0.96, 0.99])
@pytest.mark.parametrize("n", [60, 250, 1000, 4000])
def test_the_probability_of_a_gain_fits_its_interval(accuracy, n):
    line = advice_line(metrics_of(accuracy, n, classes=3))
    if line.startswith("no other way"):
        assert bounds(line) == []
        return
    points, low, high = bounds(line)
    chance = int(re.search(r"better on (\d+) of 100", line)[1]) / 100
    assert points >= 0.5 and chance > 0.5
    assert chance == pytest.approx(1 - NormalDist(points, (high - low) / 2 / 1.645).cdf(0), abs=0.03)
    assert line.startswith("a toss-up") == (chance < 0.6)


def test_a_run_that_was_fine_tuned_says_what_it_gained():
    metrics = metrics_of(0.8, 500, chosen="fine-tune", final=0.85)
    metrics["training"] = {"trained": "all blocks"}
    line = advice_line(metrics)
    assert "paid: +5.0 points over the linear probe" in line


def test_without_a_cross_validated_probe_there_is_no_advice():
    metrics = metrics_of(0.8, 500)
    del metrics["measured"]["linear-probe/out-of-fold"]
    assert advice_line(metrics) == ""
