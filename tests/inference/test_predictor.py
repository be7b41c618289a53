"""A model file in use."""

from __future__ import annotations

import hashlib
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from making import make_photos
from regraft.data.loading.fixed_views import fixed_view_task
from regraft.data.manifest import Entry
from regraft.errors import ConfigError, ModelFileError
from regraft.inference.predictor import Predictor
from regraft.models.classifier import Classifier
from regraft.models.model_file import load_classifier, save_classifier
from regraft.models.zoo import build_backbone
from regraft.screen import QuietScreen
from regraft.workflows.train import train


@pytest.fixture
def model(tiny, tmp_path):
    classifier = Classifier(
        build_backbone(**{"name" if k == "backbone" else k: v for k, v in tiny.items()}), ["x", "y"]
    )
    save_classifier(tmp_path / "model.safetensors", classifier, {})
    return tmp_path / "model.safetensors"


@pytest.fixture
def classifier(model):
    found = load_classifier(model)
    draw = np.random.default_rng(0)
    weight = draw.normal(size=found.head.weight.shape).astype(np.float32)
    found.set_head(torch.from_numpy(weight), torch.zeros(2))
    return found


@pytest.fixture
def photos(tmp_path):
    return sorted(make_photos(tmp_path / "photos", {"x": 20, "y": 20}).rglob("*.png"))


def test_a_photo_gets_the_same_bits_alone_and_among_others(model, photos):
    predictor = Predictor.load(model)
    together = predictor.predict(photos)
    assert [p.path for p in together] == [str(p) for p in photos]
    for position in (0, 7, 39):
        assert predictor.predict(photos[position]) == together[position]
    assert predictor.predict(photos[::-1]) == together[::-1]


def test_probabilities_sum_to_one_and_the_best_is_first(model, photos):
    found = Predictor.load(model).predict(photos[0])
    assert found.top[0] == (found.label, found.probability)
    assert sum(p for _, p in found.top) == pytest.approx(1.0)
    assert [p for _, p in found.top] == sorted((p for _, p in found.top), reverse=True)


def test_an_image_in_memory_gives_what_its_file_gives(model, photos):
    predictor = Predictor.load(model)
    from_file = predictor.predict(photos[3])
    with Image.open(photos[3]) as image:
        assert predictor.predict(image).top == from_file.top
        assert [p.top for p in predictor.predict([image, photos[3]])] == [from_file.top] * 2


def test_what_cannot_be_read_is_an_answer_with_a_reason(model, photos, tmp_path):
    (tmp_path / "bad.jpg").write_text("no photo")
    good, bad, gone = Predictor.load(model).predict([photos[0], tmp_path / "bad.jpg", tmp_path / "gone.jpg"])
    assert good.error is None
    assert bad.label is None
    assert bad.error
    assert gone.error


def test_no_model_is_said_in_words(tmp_path, tiny):
    with pytest.raises(ModelFileError, match="no such run folder or model file"):
        Predictor.load(tmp_path / "nowhere")
    with pytest.raises(ModelFileError, match=r"it is not a run folder\n  name the folder of a finished training, or"):
        Predictor.load(tmp_path)
    shutil.copy(tiny["weights"], tmp_path / "foreign.safetensors")
    with pytest.raises(ModelFileError, match=r"foreign\.safetensors"):
        Predictor.load(tmp_path / "foreign.safetensors")


def test_scores_name_the_rows_that_could_be_read(model, photos, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"")
    entries = [
        Entry(name=p.name, path=p, content="", label="", side=None, group=None, status="ok", why="", given_side=None)
        for p in (tmp_path / "bad.jpg", photos[0], photos[1])
    ]
    scores = Predictor.load(model).scores(entries)
    assert scores.rows.tolist() == [1, 2]
    assert scores.values.shape == (2, 2)
    assert scores.failed[0][0] == 0
    np.testing.assert_allclose(scores.values.sum(axis=1), 1.0)


def test_a_run_predicts_from_its_folder(tiny, tmp_path, photos):
    run = train(tmp_path / "photos", out=tmp_path / "run", recipe="linear-probe", screen=QuietScreen(), **tiny)
    assert run.model.predict(photos[0]).top == Predictor.load(run.folder).predict(photos[0]).top


@pytest.mark.parametrize("views", [2, 4])
def test_views_are_averaged(classifier, photos, views):
    """By hand: the probabilities of the numbered views, one after another."""
    plain, several = Predictor(classifier, device="cpu"), Predictor(classifier, device="cpu", views=views)
    paths = sorted(photos)[:5]
    p = classifier.backbone.spec.preprocessing
    expected = []
    for path in paths:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        entry = Entry(str(path), path, content, "", None, None, "ok", "", None)
        pixels = np.stack([fixed_view_task(p, view)(entry) for view in range(views)])
        features = np.concatenate([plain._passes[0].engine.run(pixels[i : i + 1]) for i in range(views)])
        expected.append(plain._mix.probabilities({0: plain._passes[0].heads[0].logits(features)}).mean(axis=0))
    for path, prediction, values in zip(paths, several.predict(paths), expected, strict=True):
        assert prediction.label == classifier.classes[values.argmax()]
        assert prediction.probability == pytest.approx(values.max(), abs=1e-12)
        assert several.predict(path) == prediction
    assert [p.top for p in several.predict(paths)] != [p.top for p in plain.predict(paths)]


def test_views_of_an_image_in_memory_are_averaged(classifier, photos):
    with Image.open(min(photos)) as image:
        several = Predictor(classifier, device="cpu", views=2).predict(image)
        mirrored = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        other = Predictor(classifier, device="cpu", views=2).predict(mirrored)
    assert several.probability == pytest.approx(other.probability, abs=0.02)  # resizing is not quite symmetric


def test_fewer_than_one_view_is_refused(classifier):
    with pytest.raises(ConfigError, match="views: expected a positive number, found 0"):
        Predictor(classifier, views=0)


def test_a_photo_that_vanishes_between_two_views_has_failed_and_the_others_have_not(classifier, photos, monkeypatch):
    predictor = Predictor(classifier, views=2)
    expected = {str(found.path): found.probability for found in predictor.predict(photos)}
    look = predictor._passes[0].features

    def looks(entries, view, *more):
        if view == 1:
            photos[3].unlink(missing_ok=True)  # each thread predicts a group of photos
        return look(entries, view, *more)

    monkeypatch.setattr(predictor._passes[0], "features", looks)
    found = predictor.predict(photos)
    assert [f.path for f in found] == [str(path) for path in photos]
    assert found[3].label is None and "no longer there" in found[3].error
    assert all(f.probability == expected[f.path] for i, f in enumerate(found) if i != 3)
