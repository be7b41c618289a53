"""Features unlike those of the training photos have a novelty above 1, and few others have."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from regraft.disk.safetensors_file import read_header
from regraft.errors import ModelFileError
from regraft.inference.predictor import Predictor
from regraft.models.classifier import Classifier
from regraft.models.classifier_tensors import set_novelty
from regraft.models.ensemble import Ensemble
from regraft.models.feature_novelty import MAX_PHOTOS, MIN_PHOTOS, FeatureNovelty, fit_novelty, mean_novelty
from regraft.models.model_file import load_classifier, save_classifier
from regraft.models.zoo import build_backbone

SIZE = 40


def features_of(n: int, seed: int, *, center: float = 3.0) -> np.ndarray:
    """Return positive features that vary most in a few directions, as those of a network do."""
    draw = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(6, SIZE))
    return np.abs(center + draw.normal(size=(n, 6)) @ mixing * 0.3 + 0.2 * draw.normal(size=(n, SIZE))).astype(
        np.float32
    )


def novelties(novelty, features):
    return np.array([novelty.of(row) for row in features])


@pytest.mark.parametrize("n", [40, 200, 3000])
def test_few_usual_photos_and_all_foreign_ones_are_above_the_limit(n):
    novelty = fit_novelty(features_of(n, 0))
    assert novelty is not None
    usual = novelties(novelty, features_of(500, 1))
    foreign = novelties(novelty, np.abs(np.random.default_rng(2).normal(size=(200, SIZE))).astype(np.float32))
    assert (usual > 1).mean() <= 0.05
    assert foreign.min() > 1 and foreign.min() > np.quantile(usual, 0.99)


def test_the_length_of_the_features_does_not_count():
    novelty, rows = fit_novelty(features_of(100, 0)), features_of(5, 1)
    assert novelty is not None
    assert novelties(novelty, 7 * rows) == pytest.approx(novelties(novelty, rows), rel=1e-4)


def test_the_distance_is_that_of_the_full_covariance_where_all_directions_are_kept():
    draw = np.random.default_rng(0)
    rows = (5 + draw.normal(size=(400, 4)) * [1, 2, 0.5, 1]).astype(np.float32)
    novelty = fit_novelty(rows)
    assert novelty is not None and len(novelty.directions) == 3
    unit = rows / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    values, vectors = np.linalg.eigh(np.cov(unit.T, ddof=0))
    along = (unit - unit.mean(axis=0)) @ vectors
    expected = (along**2 / np.maximum(values, values[0])).sum(axis=1)
    assert np.corrcoef(novelties(novelty, rows), expected)[0, 1] > 0.999


def test_the_limit_of_a_trained_network_comes_from_photos_that_it_was_not_trained_on():
    tight = features_of(100, 0)
    loose = features_of(100, 1) + np.random.default_rng(5).normal(size=(100, SIZE)).astype(np.float32)
    from_training, from_held_out = fit_novelty(tight), fit_novelty(tight, loose)
    assert from_training is not None and from_held_out is not None
    assert (novelties(from_training, loose) > 1).mean() > 0.9
    assert (novelties(from_held_out, loose) > 1).mean() < 0.08


def test_too_few_photos_have_no_novelty_and_very_many_are_thinned():
    assert fit_novelty(features_of(MIN_PHOTOS - 1, 0)) is None
    many = features_of(4 * MAX_PHOTOS, 0)
    again = fit_novelty(many)
    assert again is not None and again.directions.shape[0] <= 32
    few_held_out = fit_novelty(features_of(50, 0), features_of(3, 1))
    alone = fit_novelty(features_of(50, 0))
    assert few_held_out is not None and alone is not None
    assert few_held_out.variances.tolist() == alone.variances.tolist()


def test_equal_photos_give_numbers():
    novelty = fit_novelty(np.ones((30, SIZE), np.float32))
    assert novelty is not None and np.isfinite(novelties(novelty, features_of(3, 0))).all()


def test_novelty_survives_the_file_and_training_removes_it(tmp_path):
    classifier = Classifier(build_backbone("test_resnet", pretrained=False, size=32), ["ant", "bee"])
    size = classifier.backbone.spec.num_features
    rows = np.abs(np.random.default_rng(0).normal(size=(60, size))).astype(np.float32)
    set_novelty(classifier, fit_novelty(rows))
    path = tmp_path / "model.safetensors"
    save_classifier(path, classifier)
    assert {"novelty.mean", "novelty.directions", "novelty.variances"} <= set(read_header(path).tensors)
    loaded = load_classifier(path)
    assert isinstance(loaded, Classifier) and loaded.novelty is not None and classifier.novelty is not None
    assert loaded.novelty.of(rows[0]) == classifier.novelty.of(rows[0])
    save_classifier(tmp_path / "again.safetensors", loaded)
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()
    loaded.train()
    assert loaded.novelty is None


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("mean", torch.zeros(3), "do not match"),
        ("variances", torch.zeros(34), "do not match"),
        ("directions", None, "expected mean, directions, variances, found"),
    ],
)
def test_damaged_novelty_in_a_file_is_refused(tmp_path, name, value, why):
    classifier = Classifier(build_backbone("test_resnet", pretrained=False, size=32), ["ant", "bee"])
    rows = np.abs(np.random.default_rng(0).normal(size=(60, classifier.backbone.spec.num_features)))
    novelty = fit_novelty(rows.astype(np.float32))
    assert novelty is not None
    tensors = {key: tensor for key, tensor in {**novelty.tensors(), name: value}.items() if tensor is not None}
    with pytest.raises(ValueError, match=why):
        FeatureNovelty.from_tensors(tensors, classifier.backbone.spec.num_features)
    foreign = FeatureNovelty(np.zeros(3, np.float32), np.zeros((1, 3), np.float32), np.ones(3, np.float32))
    set_novelty(classifier, foreign)
    save_classifier(tmp_path / "model.safetensors", classifier)
    with pytest.raises(ModelFileError, match="novelty of its features: its shapes do not match"):
        load_classifier(tmp_path / "model.safetensors")


def test_a_predictor_tells_novelty_alone_and_in_an_ensemble(tmp_path):
    from PIL import Image

    draw = np.random.default_rng(0)
    pictures = [Image.fromarray(draw.integers(0, 255, (40, 40, 3), dtype=np.uint8)) for _ in range(3)]
    classifier = Classifier(build_backbone("test_resnet", pretrained=False, size=32), ["ant", "bee"])
    plain = Predictor(classifier).predict(pictures[0])
    assert plain.novelty is None and not plain.unlike
    size = classifier.backbone.spec.num_features
    set_novelty(classifier, fit_novelty(np.abs(draw.normal(size=(60, size))).astype(np.float32)))
    alone = Predictor(classifier).predict(pictures[0])
    assert alone.novelty is not None and alone.unlike == (alone.novelty > 1)
    assert alone.top == plain.top
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path, picture in zip(paths, pictures, strict=True):
        picture.save(path)
    together = Predictor(Ensemble([classifier, classifier])).predict([*paths, tmp_path / "none.png"])
    assert [one.novelty is None for one in together] == [False, False, False, True]
    assert together[0].novelty == pytest.approx(alone.novelty)
    assert mean_novelty([]) is None
