"""A classifier's graph answers as its `Predictor` does, in every form."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image

import regraft as rg
from exported_models import CLASSES, tiny_classifier
from regraft.data.preprocessing import evaluation_pixels, normalise
from regraft.errors import ConfigError
from regraft.export.classifier_graph import GraphOptions, classifier_graph


def answers(classifier, options, fed):
    session = onnxruntime.InferenceSession(classifier_graph(classifier, options).SerializeToString())
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {options.input: fed}), strict=True))


def expected(classifier, photo, views=1):
    by_class = dict(rg.Predictor(classifier, views=views).predict(Image.fromarray(photo)).top)
    return np.array([by_class[name] for name in CLASSES])


@pytest.fixture(scope="module")
def photo():
    return np.random.default_rng(1).integers(0, 256, (90, 131, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def several():
    probe, other = tiny_classifier(seed=1), tiny_classifier(size=96, seed=2, bounds=False)
    return rg.Ensemble([[probe, other], tiny_classifier(seed=3)], weights=[0.3, 0.7])


@pytest.mark.parametrize("views", [1, 2])
def test_one_network(photo, views):
    classifier = tiny_classifier()
    found = answers(classifier, GraphOptions(views=views), photo)
    want = expected(classifier, photo, views)
    assert found["probabilities"] == pytest.approx(want, abs=1e-6)
    assert int(found["label"]) == int(want.argmax())
    assert found["top"].tolist() == np.argsort(-want).tolist()


def test_the_mirror_image_counts(photo):
    one, two = (answers(tiny_classifier(), GraphOptions(views=n), photo)["probabilities"] for n in (1, 2))
    assert np.abs(one - two).max() > 1e-4


def test_features_are_clipped(photo):
    clipped, plain = (expected(tiny_classifier(bounds=bounds), photo) for bounds in (True, False))
    assert np.abs(clipped - plain).max() > 1e-3  # so that the next line shows something
    assert answers(tiny_classifier(), GraphOptions(), photo)["probabilities"] == pytest.approx(clipped, abs=1e-6)


def test_several_networks_of_several_sizes(several, photo):
    found = answers(several, GraphOptions(views=2), photo)["probabilities"]
    assert found == pytest.approx(expected(several, photo, 2), abs=1e-6)


@pytest.mark.parametrize(("threshold", "unsure"), [(0.0, False), (1.1, True)])
def test_unsure_is_below_the_threshold(photo, threshold, unsure):
    assert bool(answers(tiny_classifier(), GraphOptions(unsure_below=threshold), photo)["unsure"]) is unsure


def test_several_photos(photo):
    classifier, photos = tiny_classifier(), np.stack([photo, photo[:, ::-1]])
    found = answers(classifier, GraphOptions("photos"), photos)
    assert found["probabilities"].shape == (2, 3)
    assert found["label"].shape == found["unsure"].shape == (2,)
    for row, one in zip(found["probabilities"], photos, strict=True):
        assert row == pytest.approx(expected(classifier, np.ascontiguousarray(one)), abs=1e-6)


def test_prepared_pixels(photo):
    classifier = tiny_classifier()
    pixels = evaluation_pixels(Image.fromarray(photo), classifier.preprocessing)
    x = normalise(pixels[None], classifier.preprocessing).contiguous(memory_format=torch.contiguous_format).numpy()
    found = answers(classifier, GraphOptions("tensor"), x)
    assert found["probabilities"][0] == pytest.approx(expected(classifier, photo), abs=1e-6)


def test_prepared_pixels_need_one_size(several):
    with pytest.raises(ConfigError, match="prepares each photo in several ways; expected input photo"):
        classifier_graph(several, GraphOptions("tensor"))
