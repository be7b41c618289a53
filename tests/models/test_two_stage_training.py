"""Freezing, layer-wise rates and a training in two stages, as people write them by hand."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

import regraft as rg
from making import make_photos
from regraft.errors import ConfigError, WeightsError
from regraft.models.freeze_ledger import block_checksums
from regraft.training import Trainer, discriminative_groups


@pytest.fixture(scope="module")
def backbone():
    return rg.build_backbone("test_resnet.r160_in1k", pretrained=False, size=64, seed=1)


@pytest.fixture
def classifier(backbone):
    return rg.Classifier(backbone, ["a", "b"])


def data():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(12, 3, 64, 64, generator=generator), torch.arange(12) % 2


def trained(classifier, **options):
    """Return which blocks a short training changes."""
    before = block_checksums(classifier)
    Trainer(classifier, "sgd", "cross_entropy", learning_rate=0.1, **options).fit(*data(), batch_size=4, verbose=0)
    return [name for name, checksum in block_checksums(classifier).items() if checksum != before[name]]


def names(classifier):
    return [block.name for block in classifier.backbone.blocks]


def training_modules(classifier):
    return {name for name, module in classifier.backbone.network.named_modules() if module.training}


def test_in_two_stages_first_the_head_and_then_the_upper_blocks(classifier, tmp_path):
    photos = rg.ImageFolder(make_photos(tmp_path / "photos", {"a": 20, "b": 20}), network=classifier)
    before = block_checksums(classifier)

    def moved():
        return [name for name, checksum in block_checksums(classifier).items() if checksum != before[name]]

    Trainer(classifier, "adam", "cross_entropy", ["accuracy"], learning_rate=0.01).fit(photos, epochs=2, verbose=0)
    assert moved() == ["head"]
    classifier.unfreeze(2)
    assert classifier.trainable_blocks == tuple(names(classifier)[-2:])
    groups = classifier.parameter_groups(1e-3, layer_decay=0.5, head_lr=1e-2)
    trainer = Trainer(classifier, "adamw", "cross_entropy", ["accuracy"], parameters=groups)
    trainer.fit(photos, epochs=2, verbose=0)
    assert moved() == [*names(classifier)[-2:], "head"]
    rates = {group["name"]: group["lr"] for group in trainer.optimizer.param_groups}
    assert rates == pytest.approx(dict(zip([*names(classifier)[-2:], "head"], [5e-4, 1e-3, 1e-2], strict=True)))
    classifier.save(tmp_path / "model.safetensors")
    logits = torch.from_numpy(trainer.predict(photos.validation, verbose=0)).double().softmax(dim=1).numpy()
    found = rg.Predictor.load(tmp_path / "model.safetensors").predict([e.path for e in photos.validation.entries])
    np.testing.assert_allclose([[dict(one.top)[name] for name in "ab"] for one in found], logits, atol=1e-5)
    classifier.freeze()
    assert trained(classifier) == ["head"]


@pytest.mark.parametrize("way", ["unfreeze", "requires_grad_", "of the backbone", "a parameter at a time", "attribute"])
def test_every_way_to_unfreeze_is_one(classifier, way):
    ways = {
        "unfreeze": lambda: classifier.unfreeze("all"),
        "requires_grad_": lambda: classifier.requires_grad_(True),
        "of the backbone": lambda: classifier.backbone.requires_grad_(True),
        "a parameter at a time": lambda: [p.requires_grad_(True) for p in classifier.backbone.parameters()],
        "attribute": lambda: [setattr(p, "requires_grad", True) for p in classifier.parameters()],
    }
    ways[way]()
    assert classifier.trainable_blocks == tuple(names(classifier))
    reference = copy.deepcopy(classifier)
    reference.freeze()
    reference.unfreeze("all")
    classifier.train()
    reference.train()
    assert training_modules(classifier) == training_modules(reference) != set()
    assert trained(classifier) == [*names(classifier), "head"]


@pytest.mark.parametrize("way", ["freeze", "of the backbone", "a parameter at a time"])
def test_every_way_to_freeze_is_one(classifier, way):
    classifier.unfreeze("all", norm_statistics=True)
    classifier.train()
    assert training_modules(classifier)
    ways = {
        "freeze": classifier.freeze,
        "of the backbone": lambda: classifier.backbone.requires_grad_(False),
        "a parameter at a time": lambda: [p.requires_grad_(False) for p in classifier.backbone.parameters()],
    }
    ways[way]()
    classifier.train()
    assert training_modules(classifier) == set()
    assert classifier.trainable_blocks == ()
    assert trained(classifier) == ["head"]


def test_one_layer_by_hand_is_its_block_and_nothing_else_is_trained(classifier):
    network = classifier.backbone.network
    network.layer4.requires_grad_(True)
    assert classifier.trainable_blocks == ("layer4",)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert trained(classifier) == ["layer4", "head"]
    moved = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert moved and all(name.startswith("layer4.") for name in moved)
    classifier.unfreeze("layer3")
    assert classifier.trainable_blocks == ("layer3", "layer4")


def test_a_classifier_that_is_frozen_whole(classifier):
    classifier.requires_grad_(False)
    assert not any(p.requires_grad for p in classifier.parameters())
    classifier.requires_grad_(True)
    assert all(p.requires_grad for p in classifier.parameters())


def test_weights_that_are_put_in_the_place_of_others_are_frozen_as_these_were(classifier):
    other = copy.deepcopy(classifier.state_dict())
    classifier.unfreeze(1)
    classifier.load_state_dict(other, assign=True)
    classifier.freeze()
    assert not any(p.requires_grad for p in classifier.backbone.parameters())
    assert trained(classifier) == ["head"]


def test_discriminative_rates_go_by_the_blocks_of_the_backbone(classifier):
    classifier.unfreeze(2)
    groups = discriminative_groups(classifier, 1e-2, decay=0.5)
    assert [group["lr"] for group in groups] == pytest.approx([2.5e-3, 5e-3, 1e-2])
    held = [id(p) for group in groups for p in group["params"]]
    assert sorted(held) == sorted(id(p) for p in classifier.parameters() if p.requires_grad)
    assert [id(p) for p in groups[-1]["params"]] == [id(p) for p in classifier.head.parameters()]
    low, high = discriminative_groups(classifier, (1e-4, 1e-2))[0]["lr"], 1e-2
    assert (low, high) == pytest.approx((1e-4, 1e-2))


def test_a_head_of_ones_own_is_trained(classifier):
    torch.manual_seed(0)
    classifier.head = nn.Linear(classifier.backbone.spec.num_features, 2)
    assert trained(classifier) == ["head"]
    classifier.set_head(torch.zeros(2, classifier.backbone.spec.num_features), torch.tensor([0.0, 5.0]))
    assert rg.Predictor(classifier).classes == ("a", "b")


@pytest.mark.parametrize(
    ("classes", "match"),
    [
        ("ab", r"classes: expected the names of the classes in the order of the outputs, .* found 'ab'"),
        (2, "found 2"),
        ([0, 1], "found 0, a int"),
        (range(3), "found 0, a int"),
        ({"a": 1, "b": 0}, r"found a dict; of \{name: index\}, sorted\(d, key=d.get\)"),
        ({"a", "b"}, "found {"),
        (["a"], r"two or more different classes, not \['a'\]"),
        (["a", "b", "a"], r"two or more different classes, .*; 'a' appears twice"),
        (None, "found None"),
    ],
)
def test_what_names_no_classes(backbone, classes, match):
    with pytest.raises(ConfigError, match=match):
        rg.Classifier(backbone, classes)


def test_names_may_come_as_an_array(backbone, tmp_path):
    classifier = rg.Classifier(backbone, np.array(["b", "a"]))
    assert [type(name) for name in classifier.classes] == [str, str]
    classifier.save(tmp_path / "m.safetensors")
    assert rg.Classifier.load(tmp_path / "m.safetensors").classes == ("b", "a")


def test_load_weights_of_a_model_file_names_only_the_way_to_read_it(classifier, tmp_path):
    classifier.save(tmp_path / "m.safetensors")
    with pytest.raises(WeightsError) as raised:
        Trainer(nn.Linear(4, 2)).load_weights(tmp_path / "m.safetensors")
    first, hint = str(raised.value).splitlines()
    assert first.endswith("does not fit the module: it is a model file")
    assert hint == "  Classifier.load(FILE) reads it"


def test_what_is_no_backbone(backbone):
    with pytest.raises(
        ConfigError, match=r"expected a Backbone, such as the result of build_backbone\('resnet18'\); found 'resnet18'"
    ):
        rg.Classifier("resnet18", ["a", "b"])
    with pytest.raises(ConfigError, match="found 'Linear'"):
        rg.Classifier(nn.Linear(2, 2), ["a", "b"])


@pytest.mark.parametrize("what", [True, 1.5, None])
def test_what_cannot_be_unfrozen(classifier, what):
    with pytest.raises(ConfigError, match="unfreeze: expected 'all', a number of blocks from the top, or names; found"):
        classifier.unfreeze(what)


def test_rates_that_cannot_be_are_named_at_once(classifier):
    with pytest.raises(ConfigError, match="parameter_groups: 3 problems") as caught:
        classifier.parameter_groups("1e-3", layer_decay=0, weight_decay=-1.0)
    assert str(caught.value).splitlines() == [
        "parameter_groups: 3 problems",
        "  lr: expected a number above 0, found '1e-3'",
        "  layer_decay: expected a number above 0, found 0",
        "  weight_decay: expected a number from 0, found -1.0",
    ]
    assert classifier.parameter_groups(1e-3, weight_decay=0)
