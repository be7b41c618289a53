"""Predictions of an ensemble: each member decodes photos for itself; the combination is that of the formulas."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from making import entries_of, make_photos
from regraft.cli.main import call
from regraft.errors import ConfigError
from regraft.features.stores.store import MemoryStore
from regraft.inference.predictor import Predictor
from regraft.models.classifier import Classifier
from regraft.models.ensemble import Ensemble
from regraft.models.zoo import build_backbone
from regraft.workflows.evaluate import evaluate_folder

SIZES = {"test_resnet": 64, "test_efficientnet": 96}
WEIGHTS = (0.25, 0.75)


def make_classifier(name: str, seed: int = 0) -> Classifier:
    classifier = Classifier(build_backbone(name, pretrained=False, size=SIZES[name], seed=seed), ["x", "y"], own=True)
    torch.nn.init.normal_(classifier.head.weight, generator=torch.Generator().manual_seed(seed))
    torch.nn.init.normal_(classifier.head.bias, generator=torch.Generator().manual_seed(seed + 1))
    return classifier


@pytest.fixture(scope="module")
def members():
    return [
        make_classifier("test_resnet", 0),
        make_classifier("test_efficientnet", 1),
        make_classifier("test_resnet", 2),
    ]


@pytest.fixture(scope="module")
def ensemble(members):
    return Ensemble([members[:2], members[2]], WEIGHTS)


@pytest.fixture
def photos(tmp_path):
    return sorted(make_photos(tmp_path / "photos", {"x": 6, "y": 6}, size=120).rglob("*.png"))


@pytest.mark.parametrize("views", [1, 2])
def test_probabilities_are_those_of_the_formula(members, ensemble, photos, views):
    """Logits are the logarithms of each member's probabilities, apart from a constant that cancels."""
    singles = [Predictor(member, device="cpu", own=True) for member in members]
    expected = np.zeros((len(photos), 2))
    for view in range(views):
        part = [one._view_scores(entries_of(photos), view, None, None)[0] for one in singles]
        joint = part[0] * part[1]
        expected += WEIGHTS[0] * joint / joint.sum(axis=1, keepdims=True) + WEIGHTS[1] * part[2]
    scores = Predictor(ensemble, device="cpu", views=views).scores(entries_of(photos))
    np.testing.assert_allclose(scores.values, expected / views, rtol=1e-9)
    np.testing.assert_allclose(scores.values.sum(axis=1), 1.0)


def test_an_ensemble_of_one_predicts_as_its_classifier_to_the_bit(members, photos):
    alone = Predictor(members[0], device="cpu", own=True).scores(entries_of(photos)).values
    assert np.array_equal(Predictor(Ensemble([members[0]]), device="cpu").scores(entries_of(photos)).values, alone)


def test_a_photo_gets_the_same_bits_in_any_company(ensemble, photos):
    predictor = Predictor(ensemble, device="cpu", views=2)
    together = predictor.predict(photos)
    assert predictor.predict(photos[5]) == together[5]
    assert predictor.predict(photos[::-1]) == together[::-1]
    with Image.open(photos[5]) as image:
        assert predictor.predict(image).top == Predictor(ensemble, device="cpu", views=2).predict(image).top
        assert predictor.predict(image).probability == pytest.approx(together[5].probability, abs=1e-6)


def test_each_member_has_its_own_entries_in_the_store(ensemble, photos):
    store = MemoryStore()
    predictor, entries = Predictor(ensemble, device="cpu"), entries_of(photos)
    scores = predictor.scores(entries, store=store)
    assert len(store) == predictor.passes * len(photos) == 3 * len(photos)
    for photo in photos:
        photo.unlink()  # so that features can only come from the store
    assert np.array_equal(Predictor(ensemble, device="cpu").scores(entries, store=store).values, scores.values)


def test_each_member_runs_on_the_engine_in_its_facts(members):
    ensemble = Ensemble(members[:2])
    ensemble.members[1].facts["engine"] = "ONNX Runtime fp32"
    titles = [network.title for network in Predictor(ensemble)._passes]
    assert titles == ["eager fp32", "ONNX Runtime fp32"]
    assert {network.title for network in Predictor(ensemble, engine="fused fp32")._passes} == {"fused fp32"}


def test_a_photo_that_one_member_cannot_read_has_failed(ensemble, photos, monkeypatch):
    predictor = Predictor(ensemble, device="cpu")
    expected = predictor.predict(photos)
    features = predictor._passes[1].features

    def later(*arguments):
        photos[2].unlink(missing_ok=True)  # after the first member has read it
        return features(*arguments)

    monkeypatch.setattr(predictor._passes[1], "features", later)
    predictions = predictor.predict(photos)
    assert "no longer there" in predictions[2].error
    assert [*predictions[:2], *predictions[3:]] == [*expected[:2], *expected[3:]]


def test_a_saved_ensemble_predicts_and_evaluates(ensemble, photos, tmp_path, capsys):
    ensemble.save(tmp_path / "model.safetensors")
    predictor = Predictor.load(tmp_path / "model.safetensors", device="cpu")
    expected = Predictor(ensemble, device="cpu").predict(photos)
    assert predictor.predict(photos) == expected
    figures = evaluate_folder(predictor, tmp_path / "photos")
    right = sum(one.label == photo.parent.name for one, photo in zip(expected, photos, strict=True))
    assert figures["figures"]["accuracy"]["value"] == pytest.approx(right / len(photos))
    assert call(["predict", str(tmp_path / "model.safetensors"), str(photos[0]), "--json"]) == 0
    (prediction,) = json.loads(capsys.readouterr().out)["predictions"]
    assert prediction["label"] == expected[0].label


def test_an_ensemble_with_a_forward_of_its_own_is_refused(members):
    class Doubled(Ensemble):
        def forward(self, x):
            return 2 * super().forward(x)

    with pytest.raises(ConfigError, match="Doubled overrides forward"):
        Predictor(Doubled(members))


def tuned_from(classifier: Classifier, blocks: int) -> Classifier:
    """Return a copy with another head, and other weights in that many upper blocks."""
    changed = Classifier(classifier.backbone, classifier.classes)
    torch.nn.init.normal_(changed.head.weight, generator=torch.Generator().manual_seed(9))
    changed.unfreeze(blocks) if blocks else None
    with torch.no_grad():
        for parameter in changed.backbone.parameters():
            if parameter.requires_grad:
                parameter.mul_(0.9)
    changed.freeze()
    return changed


@pytest.mark.parametrize(("name", "blocks"), [("test_resnet", 1), ("test_efficientnet", 2), ("test_resnet", 0)])
def test_shared_lower_blocks_run_once_and_predict_the_same(photos, name, blocks):
    probe = make_classifier(name)
    tuned = tuned_from(probe, blocks)
    predictor = Predictor(Ensemble([probe, tuned], WEIGHTS), device="cpu")
    assert predictor.passes == 1
    scores = predictor.scores(entries_of(photos))
    alone = [Predictor(one, device="cpu").scores(entries_of(photos)).values for one in (probe, tuned)]
    np.testing.assert_allclose(scores.values, WEIGHTS[0] * alone[0] + WEIGHTS[1] * alone[1], rtol=1e-3, atol=1e-5)
    one = predictor.predict(photos[3])
    assert one.top == predictor.predict(photos)[3].top


def test_networks_that_share_too_little_run_by_themselves(members):
    probe = members[0]
    few = len(probe.backbone.blocks) // 2 + 1
    assert Predictor(Ensemble([probe, tuned_from(probe, few)])).passes == 2
    larger = Classifier(build_backbone("test_resnet", pretrained=False, size=96, seed=0), probe.classes)
    assert Predictor(Ensemble([probe, larger])).passes == 2
