"""The linear probe at all depths in a run: model file, cache, resume, predictions, refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import regraft as rg
from making import make_photos
from regraft.errors import ConfigError
from regraft.models.classifier import Classifier
from regraft.probe import depth_probe
from regraft.recipes.steps import solve_all_depths
from regraft.recipes.steps.solve_all_depths import solve_depth_probe
from regraft.screen import QuietScreen
from regraft.workflows import run_training
from regraft.workflows.train import train

OPTIONS = {"recipe": "linear-probe", "all_depths": True, "screen": QuietScreen()}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_photos(tmp_path_factory.mktemp("photos"), {"ash": 14, "birch": 14, "cedar": 14}, noise=200)


def fix_scale(patch: pytest.MonkeyPatch, scale: float) -> None:
    """Fix the scale that the probe chooses."""
    choose_scales = depth_probe._chosen_scales

    def chosen(validated: Any, data: Any) -> Any:
        index = depth_probe.SCALES.index(scale)
        return [replace(choice, index=index) for choice in choose_scales(validated, data)]

    patch.setattr(depth_probe, "_chosen_scales", chosen)


@pytest.fixture
def with_scale(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Return a function that fixes the scale that the probe chooses."""
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "cache"))  # solved probes are cached
    return partial(fix_scale, monkeypatch)


@pytest.fixture(scope="module")
def first(photos: Path, tiny: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The run with the scale 0.3; its cache, a folder ``cache`` beside it, was empty before."""
    place = tmp_path_factory.mktemp("first")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REGRAFT_CACHE", str(place / "cache"))
        fix_scale(patch, 0.3)
        return train(photos, out=place / "run", **OPTIONS, **tiny)


def events(run: Any, name: str) -> list[dict[str, Any]]:
    lines = (run.folder / "events.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == name]


def test_the_model_file_predicts_with_the_lower_blocks(photos: Path, first: Any) -> None:
    run = first
    classifier = Classifier.load(run.folder)
    assert len(classifier.backbone.spec.pooled) == 4
    assert classifier.feature_bounds is not None
    assert run.metrics["training"]["depth_scale"] == 0.3
    (event,) = events(run, "probe")
    assert (event["label"], event["depth_scale"]) == ("all depths", 0.3)
    assert run.metrics["measured"]["final/out-of-fold"]["used_for_choosing"] is False
    ledger = json.loads((run.folder / "freeze.json").read_text())["blocks"]
    assert all(row["before"] == row["after"] for row in ledger)
    paths = sorted(photos.rglob("*.png"))
    predicted = rg.Predictor.load(run.folder).predict(paths)
    right = np.mean([one.label == path.parent.name for one, path in zip(predicted, paths, strict=True)])
    assert right > 0.6


def test_a_probe_without_lower_blocks_is_saved_with_the_plain_network(
    photos: Path, tiny: dict[str, Any], tmp_path: Path, with_scale: Any
) -> None:
    with_scale(0.0)
    run = train(photos, out=tmp_path / "run", **OPTIONS, **tiny)
    plain = train(photos, out=tmp_path / "plain", recipe="linear-probe", screen=QuietScreen(), **tiny)
    assert (run.folder / "model.safetensors").read_bytes() == (plain.folder / "model.safetensors").read_bytes()


def test_one_pass_computes_all_depths_and_a_second_run_computes_nothing(
    photos: Path, tiny: dict[str, Any], tmp_path: Path, first: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGRAFT_CACHE", str(first.folder.parent / "cache"))
    assert [event["photos"] for event in events(first, "features")] == [42]
    monkeypatch.setattr(solve_all_depths, "fit_depth_probe", lambda *_, **__: pytest.fail("solved again"))
    second = train(photos, out=tmp_path / "second", **OPTIONS, **tiny)
    assert [event["photos"] for event in events(second, "features")] == [0]
    assert (first.folder / "model.safetensors").read_bytes() == (second.folder / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_an_interrupted_run_ends_with_the_same_file(
    photos: Path, tiny: dict[str, Any], tmp_path: Path, first: Any, with_scale: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_scale(0.3)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(run_training, "save_model", _interrupt)
        train(photos, out=tmp_path / "run", **OPTIONS, **tiny)
    monkeypatch.setattr(solve_all_depths, "fit_depth_probe", lambda *_, **__: pytest.fail("solved again"))
    run = rg.resume(tmp_path / "run", screen=QuietScreen())
    assert (run.folder / "model.safetensors").read_bytes() == (first.folder / "model.safetensors").read_bytes()


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def test_the_step_also_starts_from_features_of_the_plain_network(
    photos: Path, tiny: dict[str, Any], tmp_path: Path, first: Any, with_scale: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a rung of `auto` would use it."""
    with_scale(0.3)
    solved: list[Any] = []
    recipe = run_training.RUN_RECIPE["linear-probe"]

    def both(context: Any) -> Any:
        solved.append(solve_depth_probe(context, context.parts.linear.refit))
        return recipe(context)

    monkeypatch.setitem(run_training.RUN_RECIPE, "linear-probe", both)
    train(photos, out=tmp_path / "plain", recipe="linear-probe", screen=QuietScreen(), **tiny)
    weight, _ = Classifier.load(first.folder).linear_head()
    assert weight.numpy() == pytest.approx(solved[0].probe.weight, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recipe": "fine-tune"}, "all_depths adds features .* expected the recipe linear-probe, found fine-tune"),
        ({"recipe": "linear-probe", "views": 3}, "all_depths uses each photo once, .* expected 1, found 3"),
        ({"recipe": "linear-probe", "backbone": "a+b"}, r"all_depths works with one network; .* 'a\+b'"),
    ],
)
def test_options_with_which_it_cannot_act_are_refused(
    photos: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        train(photos, out=tmp_path / "run", all_depths=True, screen=QuietScreen(), **options)
