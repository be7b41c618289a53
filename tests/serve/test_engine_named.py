"""The engine that answers, as `/health` and `/metrics` name it, and the state of the comparison of engines."""

from __future__ import annotations

import shutil

import pytest

import regraft as rg
from exported_models import tiny_classifier
from regraft.inference import engine_comparison
from serve.conftest import client_of


def engine_of(path):
    """Return the values of `/health` about the engine, and the lines of `/metrics` about it."""
    with client_of(path) as client:
        lines = client.get("/metrics").text.splitlines()
        return client.get("/health").json()["engine"], [one for one in lines if one.startswith("regraft_engine_info{")]


@pytest.mark.parametrize(("ratio", "package"), [(1.5, "onnxruntime"), (0.5, "torch")])
def test_the_faster_engine_is_named(model_file, tmp_path, monkeypatch, ratio, package):
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(engine_comparison, "_speed_ratio", lambda *_: ratio)  # as if it had been measured
    shutil.copy(model_file, tmp_path / "model.safetensors")
    engine, lines = engine_of(tmp_path / "model.safetensors")
    assert (engine["packages"], engine["comparison"]) == ([package], "done")
    assert engine["reason"].startswith("the network runs on ")
    assert lines == [f'regraft_engine_info{{worker="0",engine="{package}",comparison="done"}} 1']


def test_a_comparison_that_is_not_possible_or_not_needed(model_file, tmp_path, monkeypatch):
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    engine, lines = engine_of(model_file)
    assert (engine["packages"], engine["comparison"]) == (["torch"], "not possible")
    assert "cannot be written" in engine["reason"] and len(lines) == 1 and 'comparison="not possible"' in lines[0]
    monkeypatch.setattr("regraft.features.engines.engine_choice.certificate", lambda *_: 1.0)
    made = tiny_classifier()
    made.facts["engine"] = "ONNX Runtime fp32"
    made.save(tmp_path / "probe.safetensors")
    engine, _ = engine_of(tmp_path / "probe.safetensors")
    assert (engine["packages"], engine["comparison"]) == (["onnxruntime"], "not needed")


def test_each_engine_of_a_mix_is_named_once(tmp_path, monkeypatch):
    monkeypatch.setattr("regraft.features.engines.engine_choice.certificate", lambda *_: 1.0)
    monkeypatch.setattr(engine_comparison, "_speed_ratio", lambda *_: 0.5)
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "cache"))
    probe, other, third = tiny_classifier(), tiny_classifier(size=32), tiny_classifier(size=96)
    probe.facts["engine"] = "ONNX Runtime fp32"
    rg.Ensemble([[probe], [other], [third]]).save(tmp_path / "mix.safetensors")
    engine, lines = engine_of(tmp_path / "mix.safetensors")
    assert sorted(engine["packages"]) == ["onnxruntime", "torch"] and len(lines) == 2
