"""The point between the probe and the fine-tuned network that is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from making import make_photos
from regraft.models.classifier import Classifier
from regraft.models.zoo import build_backbone
from regraft.recipes.steps import tuning_plan
from regraft.recipes.steps.after_training import INTERPOLATION_STEPS, set_interpolated_weights, trained_weights
from regraft.screen import QuietScreen
from regraft.workflows.train import train


@pytest.fixture
def classifier(tiny: dict[str, Any]) -> Classifier:
    made = Classifier(build_backbone(tiny["backbone"], weights=tiny.get("weights"), size=64), ("ant", "bee"))
    made.unfreeze(1)
    return made


def test_a_move_goes_along_the_line_and_touches_nothing_else(classifier: Classifier) -> None:
    start = trained_weights(classifier)
    others = {name: t.clone() for name, t in classifier.state_dict().items() if name not in start}
    with torch.no_grad():
        for parameter in classifier.parameters():
            parameter.add_(1.0 if parameter.requires_grad else 0.0)
    end = trained_weights(classifier)
    set_interpolated_weights(classifier, start, end, 0.25)
    for name, parameter in classifier.named_parameters():
        if name in start:
            assert torch.allclose(parameter, start[name] + 0.25, atol=1e-5)
    assert all(torch.equal(classifier.state_dict()[name], tensor) for name, tensor in others.items())
    set_interpolated_weights(classifier, start, end, 1.0)
    assert all(torch.equal(p, end[name]) for name, p in classifier.named_parameters() if name in end)


@pytest.mark.parametrize("shares", [(1.0,), (0.0, 1.0), INTERPOLATION_STEPS])
def test_a_point_that_is_as_good_as_the_best_is_kept_and_written_down(
    shares: tuple[float, ...], tiny: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tuning_plan, "INTERPOLATION_STEPS", shares)
    photos = make_photos(tmp_path / "photos", {"ant": 20, "bee": 20})
    options = {"recipe": "fine-tune", "epochs": 2, "batch_size": 8, "lr": 1e-2, "out": tmp_path / "run"}
    run = train(photos, screen=QuietScreen(), **{**tiny, **options})
    events = [json.loads(line) for line in (run.folder / "events.jsonl").read_text().splitlines()]
    found = next(e for e in events if e["event"] == "between")
    assert [float(share) for share in found["log_loss"]] == list(shares)
    best = min(found["log_loss"], key=found["log_loss"].__getitem__)
    assert shares.index(found["share"]) <= shares.index(float(best))  # none that is as good is passed over
    assert found["log_loss"][str(found["share"])] - found["log_loss"][best] < 1.0
    assert run.metrics["training"]["share_of_the_way"] == found["share"]


def test_without_photos_to_choose_by_it_stays(tiny: dict[str, Any], tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos", {"ant": 20, "bee": 20})
    options = {"recipe": "fine-tune", "epochs": 1, "split": "90/0/10", "out": tmp_path / "run"}
    run = train(photos, screen=QuietScreen(), **{**tiny, **options})
    assert run.metrics["training"]["share_of_the_way"] == 1.0
