"""The classifier: a backbone of its own, a head in single precision, groups for the optimizer."""

from __future__ import annotations

import copy

import pytest
import torch

from regraft.errors import ConfigError
from regraft.models.classifier import Classifier
from regraft.models.zoo import build_backbone


@pytest.fixture(scope="module")
def backbone():
    return build_backbone("test_vit", pretrained=False)


def test_a_new_one_is_frozen_and_predicts_nothing(backbone):
    classifier = Classifier(backbone, ["a", "b"])
    logits = classifier(torch.randn(2, 3, 160, 160))
    assert logits.shape == (2, 2)
    assert torch.equal(logits, torch.zeros(2, 2))
    assert not classifier.training
    assert classifier.trainable_blocks == ()


def test_training_one_leaves_the_backbone_and_its_siblings_alone(backbone):
    before = backbone.weights_hash()
    first, second = Classifier(backbone, ["a", "b"]), Classifier(backbone, ["a", "b"])
    first.unfreeze("all")
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.add_(1)
    assert backbone.weights_hash() == before == second.backbone.weights_hash() != first.backbone.weights_hash()
    assert not any(p.requires_grad for p in backbone.parameters())
    assert Classifier(backbone, ["a", "b"], own=True).backbone is backbone


def test_building_one_draws_no_random_number(backbone):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    Classifier(backbone, ["a", "b"])
    build_backbone("test_vit", pretrained=False, seed=5)
    assert torch.equal(torch.rand(1), expected)


def test_a_deep_copy_freezes_on_its_own(backbone):
    original = Classifier(backbone, ["a", "b"])
    other = copy.deepcopy(original)
    other.unfreeze("all", norm_statistics=True)
    other.train()
    assert any(m.training for m in other.backbone.network.modules())
    assert original.trainable_blocks == ()
    original.train()
    assert not any(m.training for m in original.backbone.network.modules())


def test_logits_are_single_precision_under_autocast(backbone):
    classifier = Classifier(backbone, ["a", "b"])
    classifier.set_head(torch.randn(2, 64, dtype=torch.float64), torch.ones(2))
    with torch.autocast("cpu", torch.bfloat16):
        assert classifier(torch.randn(2, 3, 160, 160)).dtype == torch.float32


def test_a_head_of_another_shape_is_refused(backbone):
    classifier = Classifier(backbone, ["a", "b"])
    with pytest.raises(ConfigError, match=r"head weight: expected shape \(2, 64\), found \(3, 64\)"):
        classifier.set_head(torch.zeros(3, 64), torch.zeros(3))
    with pytest.raises(ConfigError, match=r"head bias: expected shape \(2,\), found \(1,\)"):
        classifier.set_head(torch.zeros(2, 64), torch.zeros(1))


@pytest.mark.parametrize("classes", [[], ["a"], ["a", "a"]])
def test_classes_must_differ(backbone, classes):
    with pytest.raises(ConfigError, match="two or more different classes"):
        Classifier(backbone, classes)


def test_groups_hold_each_trained_parameter_once_and_decay_towards_the_bottom(backbone):
    classifier = Classifier(backbone, ["a", "b"])
    assert {g["name"] for g in classifier.parameter_groups(1e-3)} == {"head"}
    classifier.unfreeze(3)
    groups = classifier.parameter_groups(1e-3, layer_decay=0.5, weight_decay=0.05, head_lr=1e-2)
    held = [p for g in groups for p in g["params"]]
    assert len(held) == len(set(map(id, held)))
    assert {id(p) for p in held} == {id(p) for p in classifier.parameters() if p.requires_grad}
    rates = {g["name"]: g["lr"] for g in groups}
    assert rates == pytest.approx({"blocks.3": 2.5e-4, "blocks.4": 5e-4, "blocks.5": 1e-3, "head": 1e-2})
    for group in groups:
        assert all((p.ndim > 1) == (group["weight_decay"] > 0) for p in group["params"])
    torch.optim.AdamW(groups, lr=1e-3)


def test_position_tables_are_spared_weight_decay(backbone):
    classifier = Classifier(backbone, ["a", "b"])
    classifier.unfreeze("stem")
    table = classifier.backbone.network.pos_embed
    (group,) = [g for g in classifier.parameter_groups(1e-3, weight_decay=0.1) if any(p is table for p in g["params"])]
    assert group["weight_decay"] == 0.0
