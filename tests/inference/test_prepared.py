"""Predictions without torch, by the graphs that an earlier prediction prepared: the answers are the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import regraft as rg
from making import make_photos
from regraft.errors import ConfigError
from regraft.features.engines.graph_files import graph_files
from regraft.features.engines.machine_facts import read_fact, write_fact
from regraft.inference import prepared
from regraft.inference.predictor import Predictor
from regraft.inference.preparation import prepare
from regraft.inference.prepared import is_to_be_prepared, open_prepared, preparation_key

CLASSES = ["ant", "bee", "wasp"]


def classifier(seed=0, size=64, engine=None):
    backbone = rg.build_backbone("test_resnet", pretrained=False, size=size)
    made = rg.Classifier(backbone, CLASSES)
    draw = torch.Generator().manual_seed(seed)
    width = backbone.spec.num_features
    bounds = torch.full((width,), -0.01), torch.full((width,), 0.02)
    made.set_head(torch.randn(3, width, generator=draw), torch.randn(3, generator=draw) / 10, bounds)
    if engine:
        made.facts["engine"] = engine
    return made


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = make_photos(tmp_path_factory.mktemp("photos"), {"new": 11})
    (folder / "new" / "damaged.png").write_bytes((folder / "new" / "photo 000.png").read_bytes()[:300])
    return sorted((folder / "new").iterdir())


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "cache"))


def certified(monkeypatch):
    monkeypatch.setattr("regraft.features.engines.engine_choice.certificate", lambda *_: 1.0)


def prepared_file(made, path, photos, views=None):
    made.facts["reject_below"] = "0.5"
    made.save(path)
    predictor = Predictor.load(path, device="cpu", views=views)
    expected = predictor.predict(photos)
    return expected, prepare(path, predictor, expected)


@pytest.mark.parametrize(
    ("engine", "views"), [("ONNX Runtime fp32", None), ("ONNX Runtime fp32", 3), ("OpenVINO fp32", None)]
)
def test_the_same_engine_gives_the_same_bits(photos, tmp_path, monkeypatch, engine, views):
    if engine.startswith("OpenVINO"):
        pytest.importorskip("openvino")
    certified(monkeypatch)
    path = tmp_path / "model.safetensors"
    made = classifier(engine=engine)
    expected, preparation = prepared_file(made, path, photos, views)
    assert preparation.same_bits and preparation.largest_difference == 0.0
    found = open_prepared(path, views=views)
    assert found.network_passes[0].engine.title == engine
    assert list(found.stream(photos)) == expected
    assert list(found.stream(photos[:1])) == expected[:1]
    assert found.reject_below == 0.5 and found.classes == ("ant", "bee", "wasp")
    assert [one.unsure for one in expected] == [
        one.probability is not None and one.probability < 0.5 for one in expected
    ]


def test_an_ensemble_with_a_shared_network_is_prepared(photos, tmp_path):
    first = classifier()
    second = classifier(seed=1)
    second.backbone.load_state_dict(first.backbone.state_dict())
    with torch.no_grad():
        [*second.backbone.network.parameters()][-1].add_(0.1)
    third = classifier(seed=2, size=32)
    expected, preparation = prepared_file(
        rg.Ensemble([[first, third], [second]], [0.25, 0.75]), tmp_path / "m.safetensors", photos
    )
    assert not preparation.same_bits and 0 < preparation.largest_difference < 1e-5
    assert len(preparation.networks) == 2 and preparation.networks[0].members == (0, 2)
    found = list(open_prepared(tmp_path / "m.safetensors").stream(photos))
    assert [one.label for one in found] == [one.label for one in expected]
    assert [one.error for one in found] == [one.error for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert dict(one.top) == pytest.approx(dict(other.top), abs=1e-5)


def test_a_close_answer_comes_from_the_engine_of_the_run(photos, tmp_path, monkeypatch):
    expected, _ = prepared_file(classifier(), tmp_path / "m.safetensors", photos)
    found = open_prepared(tmp_path / "m.safetensors", limits=[expected[3].probability])
    assert found.close_answers._reference is None
    answers = list(found.stream(photos))
    assert found.close_answers._reference is not None and answers[3] == expected[3]
    assert not found.close_answers.is_close(replace(expected[3], probability=None))


def test_another_file_or_a_missing_graph_has_no_preparation(photos, tmp_path):
    path = tmp_path / "m.safetensors"
    assert open_prepared(path) is None
    prepared_file(classifier(), path, photos)
    assert open_prepared(path) is not None
    assert not is_to_be_prepared(path, Predictor.load(path))
    assert not is_to_be_prepared(path, open_prepared(path))
    classifier(seed=5).save(path)
    assert open_prepared(path) is None and is_to_be_prepared(path, Predictor.load(path))
    prepared_file(classifier(), path, photos)
    for graph in graph_files():
        graph.write_bytes(graph.read_bytes()[:-100])
    assert open_prepared(path) is None
    for graph in graph_files():
        graph.unlink()
    assert open_prepared(path) is None and is_to_be_prepared(path, Predictor.load(path))


def test_a_preparation_that_answers_differently_is_refused(photos, tmp_path, monkeypatch):
    monkeypatch.setattr("regraft.inference.preparation.TOLERANCE", 0.0)
    path = tmp_path / "m.safetensors"
    _, preparation = prepared_file(classifier(), path, photos)
    assert preparation is None
    assert open_prepared(path) is None and not is_to_be_prepared(path, Predictor.load(path))


def test_a_network_that_needs_torch_is_refused(photos, tmp_path, monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("no operator")

    monkeypatch.setattr("torch.onnx.export", fails)
    path = tmp_path / "m.safetensors"
    assert prepared_file(classifier(), path, photos)[1] is None
    assert open_prepared(path) is None


def test_without_a_cache_nothing_is_exported(photos, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr("torch.onnx.export", lambda *_, **__: pytest.fail("it was exported"))
    path = tmp_path / "m.safetensors"
    assert prepared_file(classifier(), path, photos)[1] is None
    assert open_prepared(path) is None


def test_a_damaged_record_means_torch(photos, tmp_path):
    path = tmp_path / "m.safetensors"
    prepared_file(classifier(), path, photos)
    key = preparation_key(path.read_bytes())
    record = read_fact(key)
    for damaged in ({}, record | {"networks": [{"graph": {}}]}, record | {"networks": 3}, "text"):
        write_fact(key, damaged)
        assert open_prepared(path) is None


def test_views_are_checked_as_by_a_predictor(photos, tmp_path):
    path = tmp_path / "m.safetensors"
    prepared_file(classifier(), path, photos)
    with pytest.raises(ConfigError, match="views: expected a positive number, found 0"):
        open_prepared(path, views=0)


def test_a_gpu_means_torch(monkeypatch, tmp_path):
    assert prepared.may_use_prepared("cpu") and not prepared.may_use_prepared("cuda")
    (tmp_path / "gpu").touch()
    monkeypatch.setattr(prepared, "_GPU_FILES", (str(tmp_path / "gpu"),))
    assert not prepared.may_use_prepared("auto") and prepared.may_use_prepared("cpu")


def test_novelty_is_that_of_the_file(tmp_path, photos, monkeypatch):
    from regraft.models.classifier_tensors import set_novelty
    from regraft.models.feature_novelty import fit_novelty

    certified(monkeypatch)
    made = classifier(engine="ONNX Runtime fp32")
    features = torch.randn(40, made.backbone.spec.num_features, generator=torch.Generator().manual_seed(0))
    set_novelty(made, fit_novelty(features.numpy()))
    expected, preparation = prepared_file(made, tmp_path / "m.safetensors", photos)
    assert preparation.same_bits and expected[1].novelty is not None
    assert list(open_prepared(tmp_path / "m.safetensors").stream(photos)) == expected
