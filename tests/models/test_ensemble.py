"""Several classifiers as one: the sum of logits in a group, the mean of probabilities over groups."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from regraft.errors import ConfigError
from regraft.models.classifier import Classifier
from regraft.models.ensemble import Ensemble
from regraft.models.zoo import build_backbone

CLASSES = ["ant", "bee", "cow"]


def make_classifier(name: str = "test_resnet", size: int = 64, seed: int = 0, classes=CLASSES) -> Classifier:
    classifier = Classifier(build_backbone(name, pretrained=False, size=size, seed=seed), classes, own=True)
    draw = torch.Generator().manual_seed(seed)
    shape = classifier.head.weight.shape
    classifier.set_head(torch.randn(shape, generator=draw), torch.randn(shape[0], generator=draw))
    return classifier


@pytest.fixture(scope="module")
def three():
    return [make_classifier(seed=0), make_classifier(seed=1), make_classifier("test_efficientnet", 96, seed=2)]


def batch(size: int = 64) -> torch.Tensor:
    return torch.randn(4, 3, size, size, generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
def test_a_joint_linear_head_is_the_sum_of_the_logits(three):
    a, b, _ = three
    joint = nn.Linear(a.head.in_features + b.head.in_features, len(CLASSES))
    with torch.no_grad():
        joint.weight.copy_(torch.cat([a.head.weight, b.head.weight], dim=1))
        joint.bias.copy_(a.head.bias + b.head.bias)
    x = batch()
    expected = joint(torch.cat([a.backbone(x), b.backbone(x)], dim=1)).softmax(dim=1)
    torch.testing.assert_close(Ensemble([[a, b]])(x).softmax(dim=1), expected)


@torch.inference_mode()
def test_groups_are_a_weighted_mean_of_probabilities(three):
    a, b, _ = three
    x = batch()
    expected = 0.25 * a(x).softmax(dim=1) + 0.75 * b(x).softmax(dim=1)
    ensemble = Ensemble([a, [b]], weights=[0.25, 0.75])
    torch.testing.assert_close(ensemble(x).exp(), expected)
    torch.testing.assert_close(Ensemble([a, b])(x).exp(), (a(x).softmax(1) + b(x).softmax(1)) / 2)
    assert ensemble.groups == ((ensemble.members[0],), (ensemble.members[1],))


@torch.inference_mode()
def test_a_member_of_another_input_gets_its_own_size_and_normalization(three):
    """On photos of one color, resizing changes nothing, so that each member sees the photo that it expects."""
    a, _, c = three
    ensemble = Ensemble([a, c])
    assert ensemble.preprocessing == c.preprocessing
    color = torch.tensor([0.2, 0.5, 0.7]).reshape(1, 3, 1, 1)

    def prepared(member):
        p = member.preprocessing
        mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (p.mean, p.std))
        return ((color - mean) / std).expand(1, 3, p.height, p.width).contiguous()

    expected = (a(prepared(a)).softmax(1) + c(prepared(c)).softmax(1)) / 2
    torch.testing.assert_close(ensemble(prepared(c)).exp(), expected, rtol=1e-4, atol=1e-5)


def test_members_are_copies_unless_they_are_given_away(three):
    a, b, _ = three
    copied, own = Ensemble([a, b]), Ensemble([a, b], own=True)
    assert own.members == (a, b)
    assert all(one is not other for one, other in zip(copied.members, own.members, strict=True))


def test_a_snapshot_does_not_change_with_its_ensemble():
    ensemble = Ensemble([make_classifier(seed=0), make_classifier(seed=1)], weights=[0.25, 0.75])
    ensemble.facts["views"] = "2"
    x = batch()
    with torch.inference_mode():
        before, snapshot = ensemble(x), ensemble.train().snapshot()
        ensemble.members[0].head.weight.mul_(2.0)
        assert torch.equal(snapshot(x), before)
    assert (snapshot.weights, snapshot.facts, snapshot.training) == ((0.25, 0.75), {"views": "2"}, False)


@pytest.mark.parametrize(
    ("groups", "weights", "expected"),
    [
        ([], None, "expected at least one classifier in each group, found an empty list"),
        ([[]], None, "expected at least one classifier in each group, found an empty list"),
        ("classifier", None, "expected a list of classifiers, found a Classifier"),
        (["a"], None, "expected classifiers, found a str"),
        ([0] * 17, None, "expected at most 16 classifiers, found 17"),
        ([0, 1], [0.5], "expected 2 positive numbers that sum to 1, found"),
        ([0, 1], [0.5, 0.6], "expected 2 positive numbers that sum to 1, found"),
        ([0, 1], [1.5, -0.5], "expected 2 positive numbers that sum to 1, found"),
        ([0, 1], [1.0, 0.0], "expected 2 positive numbers that sum to 1, found"),
        ([0, 1], [float("nan"), 1.0], "expected 2 positive numbers that sum to 1, found"),
    ],
)
def test_invalid_groups_and_weights_are_named(three, groups, weights, expected):
    if groups == "classifier":
        groups = three[0]
    elif groups and isinstance(groups[0], int):
        groups = [three[number] for number in groups]
    with pytest.raises(ConfigError, match=expected):
        Ensemble(groups, weights, own=True)


def test_classes_heads_and_forwards_must_fit(three):
    other = make_classifier(classes=["bee", "ant", "cow"])
    with pytest.raises(ConfigError, match="same classes in the same order, found ant, bee, cow and bee, ant, cow"):
        Ensemble([three[0], other])
    broken = make_classifier()
    broken.head = nn.Sequential(nn.Linear(512, 3))
    with pytest.raises(ConfigError, match="the head is a Sequential"):
        Ensemble([three[0], broken])

    class Doubled(Classifier):
        def forward(self, x):
            return 2 * super().forward(x)

    with pytest.raises(ConfigError, match="Doubled overrides forward"):
        Ensemble([Doubled(three[0].backbone, CLASSES)])
