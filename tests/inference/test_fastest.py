"""The fastest engine that answers as torch does: compared once, recorded, and replaced by torch where it must be."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

import regraft as rg
from exported_models import tiny_classifier
from making import make_photos
from regraft.data.manifest import Entry, Manifest
from regraft.disk.atomic import write_json
from regraft.inference import engine_comparison, prepared
from regraft.inference.fastest import fastest_engines
from regraft.inference.predictor import Predictor
from regraft.inference.preparation import prepare
from regraft.inference.prepared import open_prepared
from regraft.inference.run_photos import held_out_photos

ONNX = "ONNX Runtime fp32"


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(engine_comparison, "_speed_ratio", lambda *_: 1.5)  # as if it had been measured


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = make_photos(tmp_path_factory.mktemp("photos"), {"new": 6})
    return sorted((folder / "new").iterdir())


@pytest.fixture
def path(tmp_path):
    tiny_classifier().save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def compared(path):
    """Return the engines for a model file, and the messages of the comparison."""
    told = []
    return fastest_engines(path, Predictor.load(path, device="cpu"), report=told.append), told


def titles(predictor):
    return [one.engine.title for one in predictor.network_passes]


def test_engines_are_compared_once_and_all_uses_have_the_same_bits(path, photos):
    found, told = compared(path)
    assert (found.engines.titles, found.comparison) == ((ONNX,), "done")
    assert told == ["this model is new on this machine: another engine is compared with torch, once"]
    assert found.why.startswith(
        f"the network runs on {ONNX}, 1.5 times as fast as torch; 16 pictures had the same answ"
    )
    again, told = compared(path)
    assert again == found and told == []
    fastest, plain = Predictor.load(path, fastest=True), Predictor.load(path)
    assert titles(fastest) == [ONNX] and titles(plain) == ["eager fp32"]
    answers = fastest.predict(photos)
    assert answers == list(open_prepared(path).stream(photos))  # as `regraft predict`
    contents = fastest.predict([one.read_bytes() for one in photos])
    assert [one.top for one in contents] == [one.top for one in answers]
    for one, other in zip(answers, plain.predict(photos), strict=True):
        assert one.label == other.label and dict(one.top) == pytest.approx(dict(other.top), abs=1e-4)


def test_a_mix_and_several_views_are_compared_network_by_network(tmp_path, photos):
    probe, other = tiny_classifier(), tiny_classifier(size=32, seed=2)
    tuned = rg.Classifier(copy.deepcopy(probe.backbone), probe.classes)
    tuned.load_state_dict(probe.state_dict())
    with torch.no_grad():
        [*tuned.backbone.network.parameters()][-1].add_(0.1)
    probe.facts["engine"] = ONNX  # its features; nothing is certified for the other members
    mix = rg.Ensemble([[probe], [tuned, other]], [0.25, 0.75])
    mix.facts["views"] = "3"
    mix.save(tmp_path / "mix.safetensors")
    fastest = Predictor.load(tmp_path / "mix.safetensors", fastest=True)
    assert titles(fastest) == [ONNX, ONNX] and fastest.views == 3  # two networks for three members
    assert fastest.predict(photos) == list(open_prepared(tmp_path / "mix.safetensors").stream(photos))
    alone = [fastest.predict(photo) for photo in photos]
    assert alone == fastest.predict(photos)
    for one, other in zip(alone, Predictor.load(tmp_path / "mix.safetensors").predict(photos), strict=True):
        assert one.label == other.label and dict(one.top) == pytest.approx(dict(other.top), abs=1e-4)


def test_a_close_answer_is_that_of_torch(tmp_path, photos):
    made = tiny_classifier(bounds=False)
    exact = Predictor(made).predict(photos)
    made.facts["reject_below"] = str(exact[2].probability)
    made.save(tmp_path / "m.safetensors")
    fastest = Predictor.load(tmp_path / "m.safetensors", fastest=True)
    for answers in (fastest.predict(photos), fastest.predict([np.asarray(one) for one in map(opened, photos)])):
        close = [one.top == other.top for one, other in zip(answers, exact, strict=True)]
        assert close[2] and not all(close)


def opened(path):
    from PIL import Image

    return Image.open(path).convert("RGB")


def test_a_file_of_a_trainer_is_compared_too(tmp_path, photos):
    trainer = rg.Trainer(tiny_classifier(bounds=False), "sgd", "cross_entropy")
    trainer.save(tmp_path / "trainer.safetensors")
    file = tmp_path / "trainer.safetensors"
    plain = Predictor.load(file)
    assert not prepared.is_to_be_prepared(file, plain) and open_prepared(file) is None  # it needs torch
    fastest = Predictor.load(file, fastest=True)
    assert titles(fastest) == [ONNX] and open_prepared(file) is None
    for one, other in zip(fastest.predict(photos), plain.predict(photos), strict=True):
        assert one.label == other.label and dict(one.top) == pytest.approx(dict(other.top), abs=1e-4)


def test_torch_stays_where_it_is_faster(path, monkeypatch):
    monkeypatch.setattr(engine_comparison, "_speed_ratio", lambda *_: 0.5)
    found, _ = compared(path)
    assert (found.engines, found.why) == (None, "the network runs on torch, which is the fastest engine for it here")
    assert titles(Predictor.load(path, fastest=True)) == ["eager fp32"]
    assert open_prepared(path) is not None  # a process that needs no torch is faster all the same


@pytest.mark.parametrize(
    ("place", "value", "why"),
    [
        ("torch.onnx.export", None, "no other engine that is installed can run it"),
        ("regraft.inference.engine_comparison.candidates", lambda **_: ["eager fp32"], "no other engine that is inst"),
        ("regraft.inference.preparation.TOLERANCE", 0.0, "a probability by another engine differs by "),
        ("regraft.inference.preparation._MAX_PARAMETERS", 10, "it has more than 10 parameters"),
    ],
)
def test_the_reason_for_torch_is_told_and_recorded(path, monkeypatch, place, value, why):
    with monkeypatch.context() as patch:
        patch.setattr(place, value)
        found, told = compared(path)
    assert found.engines is None and found.why.startswith(f"the network runs on torch: {why}") and len(told) == 1
    assert found.comparison == "done"
    assert compared(path) == (found, [])
    assert titles(Predictor.load(path, fastest=True)) == ["eager fp32"]


def test_a_preparation_by_predict_lacks_the_speeds(path, photos, monkeypatch):
    plain = Predictor.load(path)
    monkeypatch.setattr(engine_comparison, "_speed_ratio", lambda *_: pytest.fail("it was measured"))
    assert prepare(path, plain, plain.predict(photos)).networks[0].speed_ratio is None
    assert open_prepared(path) is not None
    monkeypatch.setattr(engine_comparison, "_speed_ratio", lambda *_: 3.0)
    assert len(compared(path)[1]) == 1 and compared(path)[1] == []
    assert open_prepared(path).preparation.networks[0].speed_ratio == 3.0


def test_another_processor_is_compared_again(path, monkeypatch):
    assert len(compared(path)[1]) == 1
    monkeypatch.setattr(prepared, "processor_name", lambda: "another one")
    assert len(compared(path)[1]) == 1 and compared(path)[1] == []


def test_without_a_cache_nothing_is_compared(path, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path / "file"))
    found, told = compared(path)
    assert (found.engines, found.comparison, told) == (None, "not possible", [])
    folder = tmp_path / "file"
    assert found.why == f"the network runs on torch: {folder} cannot be written; REGRAFT_CACHE names another folder"


def test_the_engine_of_the_features_stays(tmp_path, monkeypatch):
    monkeypatch.setattr("regraft.features.engines.engine_choice.certificate", lambda *_: 1.0)
    made = tiny_classifier()
    made.facts["engine"] = ONNX
    made.save(tmp_path / "m.safetensors")
    found, told = compared(tmp_path / "m.safetensors")
    assert (found.engines, found.why, told) == (None, f"the network runs on {ONNX}", [])
    assert found.comparison == "not needed"


def test_the_photos_of_a_comparison_are_validation_and_test_photos_of_the_run(tmp_path, path, photos):
    assert held_out_photos(path, 5) == []
    folder = photos[0].parent
    entries = [Entry(one.name, one, f"{number:064x}", "ant") for number, one in enumerate(photos)]
    for entry, side in zip(entries, ["train", "validation", "test"] * 2, strict=True):
        entry.side = side
    entries.append(Entry("moved.png", folder / "moved.png", "f" * 64, "ant", side="test"))
    write_json(tmp_path / "config.json", {"format": 1, "photos": str(folder)})
    Manifest(folder, ("ant",), entries).write(tmp_path / "manifest.csv")
    held_out = [photos[number] for number in (1, 2, 4, 5)]
    assert sorted(held_out_photos(path, 9)) == sorted(held_out_photos(tmp_path, 9)) == held_out
    assert len(held_out_photos(path, 3)) == 3 - 1  # every second one of five, of which one has moved
    for entry in entries:
        entry.side = "train"
    Manifest(folder, ("ant",), entries).write(tmp_path / "manifest.csv")
    assert sorted(held_out_photos(path, 9)) == photos
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    assert held_out_photos(path, 9) == []
