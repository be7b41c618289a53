"""A network that also returns pooled activations of its blocks: its features, its files, its engines."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from regraft.errors import ConfigError, ModelFileError
from regraft.features.engines.certification import certify
from regraft.features.engines.engine import EagerEngine
from regraft.features.engines.graph_engines import OnnxEngine
from regraft.models.backbone import Backbone
from regraft.models.blocks import Block
from regraft.models.classifier import Classifier
from regraft.models.classifier_tensors import classifier_from_tensors, classifier_tensors
from regraft.models.cut import NoCutError
from regraft.models.freeze_ledger import freeze_ledger
from regraft.models.model_file import load_classifier, read_metadata
from regraft.models.model_metadata import ModelMetadata
from regraft.models.pooled_depth import pool_blocks
from regraft.models.spec import BackboneSpec
from regraft.models.zoo import build_backbone


@pytest.fixture(scope="module")
def plain() -> Backbone:
    return build_backbone("test_resnet", pretrained=False, size=64, seed=1)


@pytest.fixture(scope="module")
def pooled(plain) -> Backbone:
    return plain.with_pooled_depth()


@pytest.fixture(scope="module")
def x():
    return torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def test_the_features_of_the_top_layer_are_those_of_the_plain_network(plain, pooled, x):
    with torch.inference_mode():
        assert torch.equal(pooled(x)[:, : plain.spec.num_features], plain(x))
    assert pooled.spec.top_features == plain.spec.num_features
    assert pooled(x).shape == (3, pooled.spec.num_features)


def test_the_others_are_mean_and_deviation_of_each_block_over_space(plain, pooled, x):
    network = copy.deepcopy(plain.network)
    seen: list[torch.Tensor] = []
    for module in (network.maxpool, network.layer1, network.layer2, network.layer3):
        module.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    with torch.inference_mode():
        network(x)
        found = pooled(x)[:, pooled.spec.top_features :]
    expected = [part for one in seen for part in (one.mean((2, 3)), one.std((2, 3), unbiased=False))]
    assert pooled.spec.pooled == tuple(one.shape[1] for one in seen)
    assert torch.allclose(found, torch.cat(expected, dim=1), atol=1e-5)


@pytest.mark.parametrize("name", ["test_efficientnet", "test_vit", "test_convnext", "test_byobnet"])
def test_networks_of_many_families_are_pooled(name):
    backbone = build_backbone(name, pretrained=False)
    pooled = backbone.with_pooled_depth()
    assert len(pooled.spec.pooled) == len(backbone.blocks) - 1
    assert set(pooled.network.state_dict()) == set(backbone.network.state_dict())


def test_a_pooled_network_is_another_network_for_caches_and_a_frozen_one(plain, pooled):
    assert pooled.weights_hash() != plain.weights_hash()
    assert [block.name for block in pooled.blocks] == [block.name for block in plain.blocks]
    with pytest.raises(ConfigError, match="can only be used frozen"):
        pooled.unfreeze(1)
    with pytest.raises(NoCutError, match="end with pooled activations already"):
        pooled.with_pooled_depth()


UPPER = ("two.weight", "two.bias", "three.weight", "three.bias")


class _TwoPaths(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Conv2d(3, 4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.two(self.one(x)) + self.three(x)).mean((2, 3))


def test_a_network_without_a_single_tensor_between_its_blocks_is_refused():
    blocks = (Block("one", ("one.weight", "one.bias"), ()), Block("two", UPPER, ()))
    with pytest.raises(NoCutError, match="more than a single tensor with axes of space passes between any two"):
        pool_blocks(_TwoPaths().eval(), blocks, 16, 16)


def test_the_description_of_a_plain_network_is_what_it_was(plain, pooled):
    assert "pooled" not in plain.spec.as_dict()
    assert BackboneSpec.from_dict(plain.spec.as_dict()) == plain.spec
    assert BackboneSpec.from_dict(pooled.spec.as_dict()) == pooled.spec
    for damaged in ("x", [1.5], [10_000]):
        with pytest.raises(ValueError, match=r"another type|more pooled channels than features"):
            BackboneSpec.from_dict({**pooled.spec.as_dict(), "pooled": damaged})


def test_a_model_file_restores_the_network_with_its_pooled_activations(pooled, tmp_path, x):
    classifier = Classifier(pooled, ["a", "b"])
    d = pooled.spec.num_features
    classifier.set_head(torch.randn(2, d), torch.zeros(2), (torch.zeros(d), torch.ones(d)))
    classifier.save(tmp_path / "model.safetensors")
    loaded = load_classifier(tmp_path / "model.safetensors")
    assert read_metadata(tmp_path / "model.safetensors").backbone == pooled.spec
    assert loaded.backbone.weights_hash() == pooled.weights_hash()
    with torch.inference_mode():
        assert torch.equal(loaded(x), classifier(x))
    rows = freeze_ledger(loaded, None, {})
    assert [row["block"] for row in rows] == [*(block.name for block in pooled.blocks), "head"]
    assert not any(row["trainable"] for row in rows[:-1])


def test_a_file_of_other_channels_is_refused(pooled, tmp_path):
    classifier = Classifier(pooled, ["a", "b"])
    values = {**pooled.spec.as_dict(), "pooled": [*pooled.spec.pooled[:-2], *pooled.spec.pooled[:-3:-1]]}
    metadata = ModelMetadata(classifier.classes, BackboneSpec.from_dict(values), {}, "")
    with pytest.raises(ModelFileError, match=r"expected blocks of \(32, 32, 192, 48\) channels"):
        classifier_from_tensors(tmp_path / "model.safetensors", metadata, classifier_tensors(classifier))


def test_engines_compute_it_in_one_pass_and_in_batches_as_large_as_of_the_plain_network(plain, pooled):
    pixels = np.random.default_rng(0).integers(0, 255, (5, 64, 64, 3)).astype(np.uint8)
    expected = EagerEngine(pooled).run(pixels)
    for kind in (EagerEngine, OnnxEngine):
        engine = kind(pooled)
        assert engine.batch_size == kind(plain).batch_size == 8
        found = engine.run(pixels)
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)
        assert np.array_equal(found[2:3], engine.run(pixels[2:3]))


def test_an_engine_that_is_wrong_in_a_small_part_of_the_features_is_not_certified(pooled, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 255, (8, 64, 64, 3)).astype(np.uint8)
    engine = EagerEngine(pooled)
    assert certify(engine, pooled, pixels) > 0.9999
    run, top = engine.run, pooled.spec.top_features

    def wrong_below(pixels):
        features = run(pixels).copy()
        features[:, top : top + 8] *= -1
        return features

    monkeypatch.setattr(engine, "run", wrong_below)
    assert certify(engine, pooled, pixels) < 0.999
