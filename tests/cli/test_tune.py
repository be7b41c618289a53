"""`regraft tune` measures every engine that is there, and the choice goes by it."""

from __future__ import annotations

import json

import pytest
import torch

from making import make_photos
from regraft.features.engines import engine_costs, tune
from regraft.models.zoo import build_backbone
from tiny_network import TINY


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(tune, "_SECONDS", 0.02)
    monkeypatch.setattr(tune, "ROUNDS", 2)
    monkeypatch.setattr(tune.os, "getloadavg", lambda: (0.0, 0.0, 0.0))


@pytest.fixture
def words(tiny) -> list[str]:
    return [str(word) for name in ("backbone", "weights", "size") for word in (f"--{name}", tiny[name])]


@pytest.mark.slow
def test_engines_are_measured_and_certified(regraft, words, tmp_path):
    photos = make_photos(tmp_path / "photos", {"a": 10, "b": 10})
    said = regraft("tune", photos, *words, "--json")
    assert said.code == 0, said.err
    found = json.loads(said.out)
    names = {engine["engine"] for engine in found["engines"]}
    assert {"eager fp32", "ONNX Runtime fp32"} <= names
    assert all(engine["photos_per_second"] > 0 for engine in found["engines"])
    certified = {engine["engine"]: engine["certified"] for engine in found["engines"]}
    assert certified["eager fp32"] and certified["ONNX Runtime fp32"]
    backbone = build_backbone(TINY, pretrained=False, size=64)
    kept = {engine["engine"]: engine["photos_per_second"] for engine in found["engines"]}
    assert engine_costs.measured_speed("eager fp32", backbone) == pytest.approx(kept["eager fp32"], abs=0.1)
    assert regraft("tune", photos, *words, "-q").out.strip() in names


@pytest.mark.slow
def test_without_photos_speed_alone_is_measured(regraft, words):
    said = regraft("tune", *words)
    assert said.code == 0
    assert "certified at first use" in said.out
    assert torch.get_num_threads() > 0


@pytest.mark.slow
def test_nothing_is_kept_of_a_busy_machine(regraft, words, monkeypatch):
    monkeypatch.setattr(tune.os, "getloadavg", lambda: (99.0, 0.0, 0.0))
    assert "busy with other work" in regraft("tune", *words).out
    assert engine_costs.measured_speed("eager fp32", build_backbone(TINY, pretrained=False, size=64)) is None


def test_too_few_photos_are_named(regraft, words, tmp_path):
    photos = make_photos(tmp_path / "photos", {"a": 3, "b": 3})
    assert (
        "certifying engines needs 16 photos, but only 6 could be decoded"
        in regraft("tune", photos, *words).one_message()
    )
