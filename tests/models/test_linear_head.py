"""A head that clips features to the range of its training photos: in use, in training, in files."""

from __future__ import annotations

import copy

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from regraft.disk.safetensors_file import read_header
from regraft.errors import ConfigError, ModelFileError
from regraft.inference.predictor import head_of
from regraft.models.classifier import Classifier
from regraft.models.classifier_tensors import classifier_from_tensors, classifier_tensors
from regraft.models.linear_head import set_bounds
from regraft.models.model_file import load_classifier
from regraft.models.model_metadata import ModelMetadata
from regraft.models.zoo import build_backbone
from regraft.training import Trainer

LOWER, UPPER = torch.full((256,), -0.01), torch.full((256,), 0.02)


@pytest.fixture(scope="module")
def backbone():
    return build_backbone("test_efficientnet", pretrained=False, size=64)


@pytest.fixture
def classifier(backbone):
    classifier = Classifier(backbone, ["a", "b"])
    weight = torch.randn(2, 256, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    classifier.set_head(weight, torch.tensor([0.5, -0.5]), (LOWER, UPPER))
    return classifier


@pytest.fixture
def x():
    return 3 * torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def test_features_are_clipped_before_the_linear_layer(classifier, x):
    features = classifier.backbone(x)
    assert bool((features < LOWER).any())
    assert bool((features > UPPER).any())
    weight, bias = classifier.linear_head()
    expected = nn.functional.linear(features.clamp(LOWER, UPPER), weight, bias)
    assert torch.equal(classifier(x), expected)
    classifier.set_head(weight, bias)
    assert torch.equal(classifier(x), nn.functional.linear(features, weight, bias))


def test_a_predictor_clips_as_the_classifier_does(classifier, x):
    features = classifier.backbone(x)
    found = head_of(classifier).logits(features.numpy())
    assert torch.allclose(torch.from_numpy(found), classifier(x).double(), atol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        lambda classifier: classifier.train(),
        lambda classifier: classifier.unfreeze(1),
        lambda classifier: classifier.requires_grad_(),
        lambda classifier: classifier.load_state_dict(classifier.state_dict()),
        lambda classifier: classifier.set_head(*classifier.linear_head()),
    ],
    ids=["train", "unfreeze", "requires_grad_", "load_state_dict", "set_head"],
)
def test_whatever_changes_head_or_features_removes_the_bounds(classifier, change):
    assert classifier.feature_bounds is not None
    change(classifier)
    assert classifier.feature_bounds is None


def test_evaluation_and_freezing_keep_the_bounds(classifier):
    classifier.eval().freeze()
    classifier.train(False).requires_grad_(False)
    assert classifier.feature_bounds is not None


def test_copies_have_bounds_of_their_own(classifier):
    copies = [copy.deepcopy(classifier), classifier.snapshot()]
    classifier.train()
    for copied in copies:
        assert copied.feature_bounds is not None
        assert torch.equal(copied.feature_bounds[1], UPPER)


def test_a_state_dict_is_that_of_a_head_without_bounds(classifier, backbone):
    plain = Classifier(backbone, ["a", "b"])
    assert list(classifier.state_dict()) == list(plain.state_dict())


def test_a_head_of_the_user_is_not_clipped(classifier):
    classifier.head = nn.Linear(256, 2)
    assert classifier.feature_bounds is None
    classifier.train()
    with pytest.raises(ConfigError, match="expected the head that Classifier makes, found a Linear"):
        set_bounds(classifier.head, (LOWER, UPPER))


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ((LOWER[:3], UPPER), r"lower bounds of the features: expected shape \(256,\), found \(3,\)"),
        ((LOWER, UPPER[:3]), r"upper bounds of the features: expected shape \(256,\), found \(3,\)"),
        ((UPPER, LOWER), "expected no lower bound above its upper bound"),
        ((LOWER, UPPER * torch.nan), "and only numbers"),
    ],
)
def test_invalid_bounds_are_refused(classifier, bounds, message):
    with pytest.raises(ConfigError, match=message):
        classifier.set_head(*classifier.linear_head(), bounds)


def test_a_model_file_keeps_the_bounds(classifier, tmp_path, x):
    path = tmp_path / "model.safetensors"
    classifier.save(path)
    loaded = load_classifier(path)
    assert torch.equal(loaded.feature_bounds[0], LOWER)
    assert torch.equal(loaded.feature_bounds[1], UPPER)
    assert torch.equal(loaded(x), classifier(x))


def test_a_model_file_without_bounds_has_the_tensors_that_it_always_had(classifier, tmp_path):
    classifier.set_head(*classifier.linear_head())
    path = tmp_path / "model.safetensors"
    classifier.save(path)
    assert {name for name in load_file(path) if name.startswith("head.")} == {"head.weight", "head.bias"}
    assert load_classifier(path).feature_bounds is None


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda t: t.pop("head.lower"), r"do not match its 256 features .*expected \(256,\), found None"),
        (lambda t: t.update({"head.upper": torch.zeros(3)}), r"found \(256,\) and \(3,\)"),
        (lambda t: t.update({"head.upper": LOWER - 1}), "expected no lower bound above its upper bound"),
    ],
    ids=["one missing", "shape", "order"],
)
def test_damaged_bounds_in_a_file_are_refused(classifier, tmp_path, damage, message):
    metadata = ModelMetadata(classifier.classes, classifier.backbone.spec, {}, "")
    tensors = classifier_tensors(classifier)
    damage(tensors)
    with pytest.raises(ModelFileError, match=message):
        classifier_from_tensors(tmp_path / "model.safetensors", metadata, tensors)


def test_a_file_of_a_trainer_lacks_the_bounds_and_says_so(classifier, tmp_path):
    path = tmp_path / "weights.safetensors"
    with pytest.warns(UserWarning, match=r"not the bounds .* Classifier\.save writes both"):
        Trainer(classifier).save_weights(path)
    assert "head.lower" not in read_header(path).tensors
    assert load_classifier(path).feature_bounds is None
