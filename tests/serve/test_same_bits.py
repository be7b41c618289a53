"""The bits of an answer do not depend on who else asks: random requests at the same time, against a running server."""

from __future__ import annotations

import http.client
import json
import random
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

import regraft as rg
from exported_models import tiny_classifier
from regraft.features.engines import single_photo
from regraft.features.engines.engine import EagerEngine
from regraft.features.engines.graph_engines import OnnxEngine, synthetic_pixels
from regraft.features.engines.single_photo import lone_photo_engine, single_photo_engine
from regraft.inference import pictures
from regraft.inference.two_steps import TwoStepPredictor
from regraft.models.backbone import Backbone
from regraft.models.classifier import Classifier
from regraft.serve import served_model
from serve.conftest import photo, running

SIZES = [(80, 60), (64, 64), (300, 40), (1, 1), (200, 333), (65, 64)]
PHOTOS = [photo(seed, *SIZES[seed % len(SIZES)], form=("JPEG", "PNG", "WEBP")[seed % 3]) for seed in range(24)]


def ask(address, photos):
    """Return the probabilities of the classes of photos, in one form."""
    parts = [b'--x\r\nContent-Disposition: form-data; name="photos"; filename="a"\r\n\r\n' + one for one in photos]
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    connection.request("POST", "/predict?top=3", b"\r\n".join([*parts, b"--x--\r\n"]), headers)
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    assert answer.status == 200, text
    return [{one["label"]: one["probability"] for one in row["top"]} for row in json.loads(text)["predictions"]]


def expected_of(path):
    predictor = rg.Predictor.load(path, fastest=True)
    return [dict(predictor.predict(one).top) for one in PHOTOS]


def with_a_close_photo(model_file, folder):
    """Return a copy of a model file whose threshold is the probability of a photo, so that torch answers it."""
    classifier = Classifier.load(model_file)
    exact = rg.Predictor(classifier).predict(PHOTOS[5])
    classifier.facts["reject_below"] = str(exact.probability)
    classifier.save(folder / "close.safetensors")
    fastest = rg.Predictor.load(folder / "close.safetensors", fastest=True)
    assert fastest.close_answers.is_close(exact) and fastest.predict(PHOTOS[5]).top == exact.top
    return folder / "close.safetensors"


@pytest.mark.parametrize("one_at_a_time", [pytest.param(True, marks=pytest.mark.slow), False])
def test_answers_are_those_of_the_predictor_whoever_else_asks(model_file, tmp_path, monkeypatch, one_at_a_time):
    if not one_at_a_time:
        monkeypatch.setattr(served_model, "single_photo_engine", lambda engine: engine)
    model_file, draw = with_a_close_photo(model_file, tmp_path), random.Random(0)
    expected = expected_of(model_file)
    requests = [[draw.randrange(len(PHOTOS)) for _ in range(draw.choice([1, 1, 1, 2, 5]))] for _ in range(60)]
    with running(model_file) as (app, address), ThreadPoolExecutor(12) as threads:
        assert (app._pipeline.model.steps.batch_size == 1) == one_at_a_time
        answers = list(threads.map(lambda numbers: ask(address, [PHOTOS[k] for k in numbers]), requests))
    assert len(answers) == 60
    for numbers, answer in zip(requests, answers, strict=True):
        assert answer == [expected[number] for number in numbers]
    if not one_at_a_time:
        counts = app._metrics.batches._counts
        assert sum(counts) < sum(map(len, requests))  # some photos shared a batch


def test_a_photo_is_decoded_once_for_equal_preprocessing(tmp_path, monkeypatch):
    members = [tiny_classifier(seed=3), tiny_classifier(seed=4), tiny_classifier(size=32)]
    with torch.no_grad():
        next(members[1].backbone.network.parameters()).add_(0.1)  # otherwise both are one network
    rg.Ensemble([members]).save(tmp_path / "three.safetensors")
    predictor = rg.Predictor.load(tmp_path / "three.safetensors", views=3)
    expected = predictor.predict(PHOTOS[3])
    steps, decoded = TwoStepPredictor(predictor, lambda engine: engine), []
    usual = pictures.read_photo
    monkeypatch.setattr(pictures, "read_photo", lambda *given, **more: decoded.append(1) or usual(*given, **more))
    pixels = steps.pixels_of("bytes", PHOTOS[3])
    assert len(pixels.pixels) == 3 * 3 and len(decoded) == 2 + 3  # two sizes, and a crop for each network
    assert steps.predict([pixels]) == [expected]


@pytest.mark.slow
def test_an_ensemble_and_several_views_too(tmp_path, model_file):
    members = [tiny_classifier(seed=3), tiny_classifier("test_vit", seed=4)]
    members[0].facts["views"] = "4"
    rg.Ensemble([[members[0]], [members[1]]]).save(tmp_path / "ensemble.safetensors")
    members[0].save(tmp_path / "views.safetensors")
    for name in ("ensemble.safetensors", "views.safetensors"):
        expected = expected_of(tmp_path / name)
        with running(tmp_path / name) as (_, address), ThreadPoolExecutor(6) as threads:
            answers = list(threads.map(lambda one: ask(address, [one]), PHOTOS))
        assert [answer for (answer,) in answers] == expected


def test_one_photo_on_several_threads_has_the_same_bits():
    backbone = rg.build_backbone("test_resnet", pretrained=False, size=64)
    plain = OnnxEngine(backbone, batch_size=1)
    lone = lone_photo_engine(plain, 2)
    assert lone is not plain and lone_photo_engine(plain, 1) is plain
    pixels = synthetic_pixels(64, 64, 20)
    for number in range(20):
        one = pixels[number : number + 1]
        assert lone.run(one).tobytes() == plain.run(one).tobytes()
    batches = OnnxEngine(backbone)
    assert batches.batch_size == 1 or lone_photo_engine(batches, 2) is batches
    eager = EagerEngine(backbone, batch_size=1)
    assert lone_photo_engine(eager, 2) is eager


def test_the_trial_of_single_photos_is_recorded(tmp_path, monkeypatch):
    monkeypatch.setenv("REGRAFT_CACHE", str(tmp_path))
    engine = OnnxEngine(rg.build_backbone("test_resnet", pretrained=False, size=64))
    single = single_photo_engine(engine)
    assert (engine.batch_size, single.batch_size) == (8, 1) and lone_photo_engine(single, 2) is not single
    monkeypatch.setattr(single_photo, "_have_same_bits", lambda *_: pytest.fail("it was tried again"))
    assert single_photo_engine(engine).batch_size == 1 and lone_photo_engine(single, 2) is not single


def test_networks_whose_bits_may_differ_keep_their_batches():
    silu = rg.build_backbone("test_efficientnet", pretrained=False, size=64)
    engine = EagerEngine(silu, batch_size=8)
    assert single_photo_engine(engine) is engine
    plain = rg.build_backbone("test_resnet", pretrained=False, size=64)
    single = single_photo_engine(EagerEngine(plain, batch_size=8))
    assert isinstance(plain, Backbone) and single.batch_size == 1
    assert single_photo_engine(single) is single
