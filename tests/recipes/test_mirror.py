"""Predictions that average a photo and its mirror image: when, and that the model file alone brings it along."""

from __future__ import annotations

import csv
import errno
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from making import make_photos
from regraft.errors import StorageError
from regraft.inference.prediction import views_in_file
from regraft.inference.predictor import Predictor
from regraft.recipes.steps import after_training
from regraft.screen import QuietScreen
from regraft.workflows.train import train


@pytest.fixture
def options(tiny: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """A network of 160 pixels and photos of 40: fine-tuning takes 96, of which two passes cost less than one of 160."""
    photos = make_photos(tmp_path / "photos", {"ant": 20, "bee": 20}, size=40, noise=200.0)
    own = {name: value for name, value in tiny.items() if name != "size"}
    return {"photos": photos, "recipe": "fine-tune", "epochs": 1, "split": "50/25/25", "screen": QuietScreen(), **own}


def gains(monkeypatch: pytest.MonkeyPatch, gain: float) -> None:
    difference = after_training.log_loss_difference

    def found(*given: Any) -> Any:
        return replace(difference(*given), value=gain, standard_error=0.01)

    monkeypatch.setattr(after_training, "log_loss_difference", found)


def said(run: Any) -> list[Any]:
    events = [json.loads(line) for line in (run.folder / "events.jsonl").read_text().splitlines()]
    return [event["views"] for event in events if event["event"] == "mirror"]


@pytest.mark.slow
def test_what_is_kept_is_what_the_file_predicts(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gains(monkeypatch, 0.02)
    run = train(out=tmp_path / "run", **options)
    assert said(run) == [2] and run.metrics["training"]["views_at_prediction"] == 2
    copied = tmp_path / "copied.safetensors"
    copied.write_bytes((run.folder / "model.safetensors").read_bytes())
    both, plain = Predictor.load(copied), Predictor.load(copied, views=1)
    assert (both.views, plain.views, run.model.views) == (2, 1, 2)
    with open(run.folder / "predictions.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    paths = [str(options["photos"] / row["path"]) for row in rows]
    assert [f"{found.probability:.6f}" for found in both.predict(paths)] == [row["probability"] for row in rows]
    assert [f"{found.probability:.6f}" for found in plain.predict(paths)] != [row["probability"] for row in rows]


@pytest.mark.parametrize("gain", [-0.02, 0.005])
def test_without_a_clear_gain_it_is_the_photo_alone(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gain: float
) -> None:
    gains(monkeypatch, gain)
    run = train(out=tmp_path / "run", **options)
    assert said(run) == [1] and run.model.views == 1


@pytest.mark.parametrize("more", [{"size": 160}, {"size": 96}, {"split": "75/0/25"}])
def test_where_it_would_cost_more_or_nothing_can_be_compared_it_is_not_tried(
    options: dict[str, Any], tmp_path: Path, more: dict[str, Any]
) -> None:
    run = train(out=tmp_path / "run", **{**options, **more})
    assert said(run) == [] and run.model.views == 1


@pytest.mark.parametrize(("text", "views"), [("2", 2), ("0", 1), ("-1", 1), ("many", 1), ("10000", 64), ("", 1)])
def test_a_file_may_say_anything(text: str, views: int) -> None:
    assert views_in_file({"views": text}) == views


def test_a_rescued_model_predicts_as_the_saved_one_would(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gains(monkeypatch, 0.02)
    monkeypatch.setattr("regraft.workflows.steps.results.write_json", _full)
    with pytest.raises(StorageError, match="No space left"):
        train(out=tmp_path / "run", rescue_dir=tmp_path / "rescued", **options)
    (model,) = (tmp_path / "rescued").rglob("model.safetensors")
    assert Predictor.load(model).views == 2


def _full(*_: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_validation_photo_that_has_gone_means_the_photo_alone(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = Predictor.scores

    def scores(predictor: Predictor, entries: Any, **more: Any) -> Any:
        found = look(predictor, entries, **more)
        return replace(found, failed=((0, "no longer there"),)) if "bar" in more and predictor.views == 2 else found

    monkeypatch.setattr(Predictor, "scores", scores)
    run = train(out=tmp_path / "run", **options)
    assert said(run) == [] and run.model.views == 1
