"""More frozen features in the probe of `auto`: all depths and a second network, in the budget and on a resume."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from making import make_photos
from regraft.errors import WeightsError
from regraft.inference.predictor import Predictor
from regraft.interrupts import TimeUp
from regraft.models.classifier import Classifier
from regraft.models.ensemble import Ensemble
from regraft.models.zoo import build_backbone
from regraft.probe import depth_probe
from regraft.recipes import auto
from regraft.recipes.steps import candidates, mixing, more_features
from regraft.recipes.steps.gain import Gain
from regraft.recipes.steps.outlook import Outlook
from regraft.screen import QuietScreen
from regraft.workflows.evaluate import evaluate_run
from regraft.workflows.train import resume, train

NAMES = ("test_resnet", "test_efficientnet")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the weights of two tiny networks, named like them."""
    folder = tmp_path_factory.mktemp("weights")
    for seed, name in enumerate(NAMES):
        backbone = build_backbone(name, pretrained=False, size=64, seed=seed)
        Classifier(backbone, ["a", "b"]).save(folder / f"{name}.safetensors")
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("photos"), {"ash": 10, "birch": 10, "cedar": 10}, noise=100.0)


@pytest.fixture
def go(photos: Path, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that runs `auto` where the second network gains a share of the mistakes."""
    monkeypatch.setattr(more_features, "COMPANIONS", dict([NAMES]))
    monkeypatch.setattr(more_features.Outlook, "expects", lambda self, points: self.step != "all depths")

    def run(gain: float = 0.5, out: str = "run", **options: Any) -> Any:
        measured = Gain(np.full(2, gain), 1e-6 * np.eye(2))
        for module in (more_features, candidates, mixing):
            monkeypatch.setattr(module, "measured_gain", lambda *_: measured)
        more = {"weights": weights, "size": 64, "device": "cpu", "recipe": "auto", **options}
        return train(photos, out=tmp_path / out, screen=QuietScreen(), backbone="test_resnet", **more)

    return run


def tuned(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Make every rung run, whatever the photos, and return options for a short one."""
    for name in ("MIN_TRAIN", "MIN_PER_CLASS", "MIN_VALIDATION"):
        monkeypatch.setattr(auto, name, 1)
    monkeypatch.setattr(Outlook, "pays", True)
    return {"split": "60/20/20", "epochs": 1, "unfreeze": 1}


def events(run: Any, name: str) -> list[dict[str, Any]]:
    return [event for event in map(json.loads, (run.folder / "events.jsonl").open()) if event["event"] == name]


def choices(run: Any) -> dict[str, Any]:
    return json.loads((run.folder / "config.json").read_text())["choices"]


def test_the_probe_on_two_networks_is_the_model_if_it_gains(go: Any) -> None:
    run = go()
    groups = Ensemble.load(run.folder).groups
    assert [[member.backbone.spec.name for member in group] for group in groups] == [[NAMES[0]], list(NAMES)]
    assert run.metrics["chosen"] == "linear-probe"
    (choice,) = run.metrics["training"]["choices"]
    assert (choice["kept"], choice["discarded"]) == ("linear probe on two networks", "linear probe")
    assert choice["photos"] == 30
    assert choices(run)["second network before fine-tuning"] == "test_efficientnet"
    assert [event.get("network") for event in events(run, "features")] == [None, "test_efficientnet"]
    rows = json.loads((run.folder / "freeze.json").read_text())["blocks"]
    assert {(row["member"], row["network"]) for row in rows} == set(enumerate((NAMES[0], *NAMES)))
    assert run.metrics["headline"] == "final/out-of-fold"
    figures = run.metrics["measured"]
    assert figures["final/out-of-fold"]["figures"] != figures["linear-probe/out-of-fold"]["figures"]


def test_one_network_is_kept_if_the_second_does_not_gain(go: Any) -> None:
    run = go(gain=-0.5)
    assert isinstance(Predictor.load(run.folder).classifier, Classifier)
    (choice,) = run.metrics["training"]["choices"]
    assert (choice["kept"], choice["discarded"]) == ("linear probe", "linear probe on two networks")


@pytest.mark.slow
def test_the_mean_with_the_probe_at_all_depths_is_the_model_if_that_gains_too(
    go: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(more_features.Outlook, "expects", lambda self, points: True)
    monkeypatch.setattr(depth_probe, "SCALES", (0.0, 1.0))
    monkeypatch.setattr(depth_probe, "CERTAINTY", -100.0)  # so few photos prove no gain
    run = go(**tuned(monkeypatch))
    ensemble = Ensemble.load(run.folder)
    assert [[member.backbone.spec.name for member in group] for group in ensemble.groups] == [
        [NAMES[0]], list(NAMES), [NAMES[0]]
    ]  # fmt: skip
    assert [bool(group[0].backbone.spec.pooled) for group in ensemble.groups] == [True, False, False]
    assert ensemble.weights[0] == ensemble.weights[1]
    kept = [choice["kept"] for choice in run.metrics["training"]["choices"]]
    assert kept[0] == "linear probe at all depths and on two networks"
    again = evaluate_run(run.folder, "test", Predictor.load(run.folder, device="cpu"))
    assert again["figures"] == run.metrics["measured"]["final/test"]["figures"]


def test_missing_weights_and_other_networks_leave_the_probe_alone(
    go: Any, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = go(weights=weights / "test_resnet.safetensors")
    assert choices(run)["second network before fine-tuning"] == "none"
    assert "choices" not in run.metrics["training"]
    monkeypatch.setattr(more_features, "COMPANIONS", {})
    assert not any("second network" in name for name in choices(go(out="other")))


def test_the_fine_tuned_first_network_is_mixed_with_the_probe_on_both(go: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run = go(**tuned(monkeypatch))
    groups = Ensemble.load(run.folder).groups
    assert [[member.backbone.spec.name for member in group] for group in groups] == [
        [NAMES[0]], list(NAMES), [NAMES[0]]
    ]  # fmt: skip
    kept = [choice["kept"] for choice in run.metrics["training"]["choices"]]
    assert kept[0] == "linear probe on two networks" and kept[-1].endswith("mixed with the linear probe")
    again = evaluate_run(run.folder, "test", Predictor.load(run.folder, device="cpu"))
    assert again["figures"] == run.metrics["measured"]["final/test"]["figures"]


@pytest.mark.parametrize(("moment", "shares"), [("before", (1.0, 1.0)), ("after", (0.0, 1.0)), ("never", (0.0, 0.0))])
def test_a_pass_that_is_long_for_the_budget_comes_after_fine_tuning_or_not_at_all(
    go: Any, monkeypatch: pytest.MonkeyPatch, moment: str, shares: tuple[float, float]
) -> None:
    monkeypatch.setattr(more_features, "FIRST_SHARE", shares[0])
    monkeypatch.setattr(more_features, "LATER_SHARE", shares[1])
    run = go(budget=10_000, **tuned(monkeypatch))
    order = [event["rung"] for event in events(run, "compared")]
    two, rung, mix = "linear probe on two networks", "upper 1 block", "upper 1 block mixed with the linear probe"
    assert order == {"before": [two, rung, mix], "after": [rung, two, mix], "never": [rung, mix]}[moment]
    networks = {member.backbone.spec.name for member in Ensemble.load(run.folder).members}
    assert networks == {"test_resnet"} if moment == "never" else set(NAMES)


@pytest.mark.parametrize("step", ["_with_table", "solve_probe"])
def test_an_interrupted_run_ends_with_the_same_bytes(
    go: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, step: str
) -> None:
    whole = go()
    plain = getattr(more_features, step)

    def stop(*_: Any, **__: Any) -> Any:
        raise TimeUp

    monkeypatch.setattr(more_features, step, stop)
    with pytest.raises(TimeUp):
        go(out="cut")
    monkeypatch.setattr(more_features, step, plain)
    again = resume(tmp_path / "cut", screen=QuietScreen())
    for name in ("model.safetensors", "predictions.csv"):
        assert (again.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def test_a_repeated_run_needs_the_network_that_was_used(go: Any, weights: Path, photos: Path, tmp_path: Path) -> None:
    run = go()
    config = json.loads((run.folder / "config.json").read_text())
    (tmp_path / "one").mkdir()
    shutil.copy(weights / "test_resnet.safetensors", tmp_path / "one")
    config["weights"] = str(tmp_path / "one")
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match="contains no weights of test_efficientnet"):
        train(photos, config=tmp_path / "config.json", out=tmp_path / "again", screen=QuietScreen())
