"""`regraft lr`, and what the command line says of callbacks."""

from __future__ import annotations

import csv
import json
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace

import pytest

from making import make_photos
from regraft.training.lr_finder import LearningRateCurve
from regraft.workflows.find_learning_rate import FoundRate


@pytest.fixture
def photos(tmp_path):
    return make_photos(tmp_path / "trees", {"ash": 15, "birch": 15}, size=32)


def network(tiny) -> list[object]:
    return ["--backbone", tiny["backbone"], "--weights", tiny["weights"], "--size", 64]


def test_the_finder_writes_the_curve_and_says_a_rate(regraft, photos, tiny, tmp_path):
    out = tmp_path / "rates"
    said = regraft("lr", photos, "-o", out, "--steps", 8, "--batch-size", 8, "--json", *network(tiny))
    assert said.code == 0, said.err
    found = json.loads(said.out)
    keys = {"run", "suggestion", "at_minimum", "default", "agrees", "why", "rates", "plot", "table"}
    assert set(found) == keys
    rates = list(found["rates"].values())
    assert next(iter(found["rates"])) == "head" and rates[0] == pytest.approx(found["default"])
    assert rates == sorted(rates, reverse=True) and rates[-1] < rates[0]
    assert ET.parse(found["plot"]).getroot().tag.endswith("svg")
    rows = list(csv.DictReader(Path(found["table"]).read_text().splitlines()))
    assert list(rows[0]) == ["learning_rate", "loss"] and 2 <= len(rows) <= 8
    rates = [float(row["learning_rate"]) for row in rows]
    assert rates == sorted(rates) and rates[0] == 1e-6
    assert not (out / "model.safetensors").exists()


def test_the_screen_names_rate_curve_and_the_next_command(regraft, photos, tiny):
    said = regraft("lr", photos, "--steps", 4, "--unfreeze", 1, *network(tiny))
    assert said.code == 0, said.err
    assert "runs/trees-lr-001/learning_rate.svg" in said.out
    assert any(line.startswith(("agrees ", "differs ")) for line in said.out.splitlines())
    (rates,) = [line for line in said.out.splitlines() if line.startswith("rates ")]
    assert "head" in rates and "layer4" in rates
    (command,) = [line for line in said.out.splitlines() if line.startswith("next ")]
    assert f"regraft train {photos} --recipe fine-tune" in command
    for option in ("--unfreeze 1", f"--backbone {tiny['backbone']}", f"--weights {tiny['weights']}", "--size 64"):
        assert option in command
    quiet = regraft("lr", photos, "--steps", 4, "--unfreeze", 1, "-q", *network(tiny))
    assert float(quiet.out) > 0


def test_a_rate_is_only_suggested_where_the_loss_fell():
    def found(*losses: float) -> FoundRate:
        rates = tuple(10.0 ** (i - 6) for i in range(len(losses)))
        return FoundRate(None, LearningRateCurve(rates, losses), 1e-4, None, None, {}, 24)

    assert found(1.0, 0.95, 0.6, 0.5, 0.9).suggestion == pytest.approx(1e-4)
    assert found(1.0, 1.0, 0.99, 1.2, 2.0).suggestion is None
    assert found(1.0, 1.1, 1.2, 1.3).suggestion is None


@pytest.mark.parametrize(
    ("default", "losses", "agrees", "why"),
    [
        (1e-4, (1.0, 0.95, 0.6, 0.5, 0.9), True, "lies where the loss falls"),
        (1e-5, (1.0, 1.0, 1.0, 0.99, 2.0), True, "the loss is flat up to 0.001"),
        (1e-3, (1.0, 1.0, 1.0, 1.5, 2.0), False, "the loss rises above 0.0001"),
        (1e-3, (1.0, 1.5, 2.0, 2.5, 3.0), False, "the loss rises at the lowest rate already"),
        (1e-6, (1.0, 1.0, 1.0, 0.7, 0.6), False, "times lower: it grows with the steps of a training, and 24"),
    ],
)
def test_the_recipes_own_rate_agrees_or_the_reason_is_given(default, losses, agrees, why):
    curve = LearningRateCurve(tuple(10.0 ** (i - 6) for i in range(len(losses))), losses)
    agreement = FoundRate(None, curve, default, None, None, {}, 24).agreement
    assert agreement.agrees is agrees and why in agreement.why


def test_bad_photos_and_steps_are_one_message(regraft, tmp_path):
    said = regraft("lr", tmp_path / "none")
    assert said.code == 2 and "no such folder" in said.one_message()
    assert regraft("lr", tmp_path, "--steps", 1).code == 2


def test_an_error_in_ones_own_callback_names_it_and_the_hook(regraft, photos, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "here" / "mine_raises.py").write_text(
        "from regraft.callbacks import Callback\n"
        "class Shout(Callback):\n"
        "    def on_epoch_end(self, epoch, logs=None):\n"
        "        raise ZeroDivisionError('oh')\n"
    )
    said = regraft(
        "train", photos, "--recipe", "fine-tune", "--epochs", 1, "--callback", "mine_raises:Shout", *network(tiny)
    )
    assert said.code == 1
    assert said.err.rstrip("\n").split("\n")[-3:] == [
        "regraft: unexpected ZeroDivisionError: oh",
        "  raised by the callback Shout in on_epoch_end (epoch 0)",
        "  run the command again with --debug for a traceback",
    ]


def test_options_reach_the_configuration(regraft, monkeypatch, photos, tmp_path):
    seen = []

    def stop(config, screen, started=None):
        seen.append(config)
        raise KeyboardInterrupt

    monkeypatch.setattr("regraft.workflows.train.train_config", stop)
    regraft(
        "train", photos, "--early-stop", 2, "--tensorboard", "--remote-monitor", "http://localhost:9000", "--callback",
        "a:B", "--callback", "c:D", "--lr-schedule", "linear",
    )  # fmt: skip
    regraft("train", photos, "--reduce-lr-on-plateau")
    file = tmp_path / "c.yaml"
    file.write_text("tensorboard: true\ncallback: [a:B]\n")
    regraft("train", photos, "--config", file)
    got = [SimpleNamespace(**config.as_dict()) for config in seen]
    assert (got[0].early_stop, got[0].tensorboard, got[0].remote_monitor) == (2, True, "http://localhost:9000")
    assert (got[0].callback, got[0].lr_schedule) == (["a:B", "c:D"], "linear")
    assert got[1].reduce_lr_on_plateau is True and got[1].callback == []
    assert got[2].tensorboard is True and got[2].callback == ["a:B"]


def test_a_callback_for_a_recipe_without_epochs_is_one_message(regraft, photos):
    said = regraft("train", photos, "--recipe", "linear-probe", "--early-stop", 2)
    assert said.code == 2
    assert said.one_message().startswith("options: early_stop needs a recipe that trains in epochs; linear-probe is")
