"""The input size of a fine-tuning: what suits the photos, and what of a run it reaches."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from making import make_photos
from regraft.errors import BackboneError
from regraft.inference.predictor import Predictor
from regraft.recipes.steps import input_size
from regraft.screen import QuietScreen
from regraft.workflows.train import train


@dataclass
class Some:
    median_side: int | None
    size: int | None = None
    own: tuple[int, int] = (224, 224)

    @property
    def dataset(self) -> Any:
        return SimpleNamespace(median_side=self.median_side)

    @property
    def config(self) -> Any:
        return SimpleNamespace(size=self.size)

    @property
    def backbone(self) -> Any:
        p = SimpleNamespace(height=self.own[0], width=self.own[1])
        return SimpleNamespace(spec=SimpleNamespace(preprocessing=p))


@pytest.mark.parametrize(
    ("context", "size"),
    [
        (Some(128), 128),
        (Some(129), 160),
        (Some(192), 192),
        (Some(193), None),
        (Some(4000), None),
        (Some(8), 128),  # 112 is half, and 128 the next that networks take
        (Some(20, own=(518, 518)), 288),
        (Some(128, size=96), None),  # what a person asks for is done
        (Some(None), None),
        (Some(128, own=(224, 192)), None),
    ],
)
def test_photos_are_not_enlarged_and_the_network_is_not_halved(context: Any, size: int | None) -> None:
    assert input_size.suitable_size(context) == size


@pytest.fixture
def options(tiny: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """A network of 160 pixels and photos of 40: fine-tuning takes 96."""
    photos = make_photos(tmp_path / "photos", {"ant": 20, "bee": 20}, size=40)
    own = {name: value for name, value in tiny.items() if name != "size"}
    return {"photos": photos, "recipe": "fine-tune", "epochs": 1, "split": "50/25/25", "screen": QuietScreen(), **own}


@pytest.mark.slow
def test_the_model_has_the_smaller_size_and_the_probe_the_networks_own(options: dict[str, Any], tmp_path: Path) -> None:
    probe = train(out=tmp_path / "probe", **{**options, "recipe": "linear-probe", "epochs": None})
    run = train(out=tmp_path / "run", **options)
    assert probe.model.classifier.backbone.spec.preprocessing.height == 160
    assert run.model.classifier.backbone.spec.preprocessing.height == 96
    events = [json.loads(line) for line in (run.folder / "events.jsonl").read_text().splitlines()]
    (said,) = [event for event in events if event["event"] == "input"]
    assert (said["size"], said["photo_side"]) == (96, 40)
    figures = [r.metrics["measured"]["linear-probe/out-of-fold"]["figures"] for r in (train(
        out=tmp_path / "large", **{**options, "size": 160}), run)]  # fmt: skip
    assert figures[0] == figures[1]


def test_the_model_file_alone_says_what_the_run_said(options: dict[str, Any], tmp_path: Path) -> None:
    run = train(out=tmp_path / "run", **options)
    rows = [line.split(",") for line in (run.folder / "predictions.csv").read_text().splitlines()]
    column = rows[0].index("path")
    predictor = Predictor.load(run.folder / "model.safetensors")
    for row in rows[1:5]:
        (found,) = predictor.predict([options["photos"] / row[column]])
        assert found.label == row[rows[0].index("predicted")]


def test_a_network_that_takes_no_other_size_keeps_its_own(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise BackboneError("160 alone")

    monkeypatch.setattr(input_size, "build_backbone", refuse)
    run = train(out=tmp_path / "run", **options)
    assert run.model.classifier.backbone.spec.preprocessing.height == 160
